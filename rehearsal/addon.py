"""What the embedded cluster gets only where something needs it: each takes minutes to build and memory to run."""

from __future__ import annotations

import os
from enum import StrEnum

from rehearsal.fault import Fault

VARIABLE = "REHEARSAL_ADDONS"


class Addon(StrEnum):
    """Each by the name that its program has in the toolchain's list."""

    GATEWAY = "traefik"
    """A gateway that has the Gateway API, and Ingresses."""
    LEADER_WORKER_SET = "lws"
    """The controller of replicas that take several nodes."""


def asked_for() -> frozenset[Addon]:
    """Those that the environment names beside what a stack needs. Fault if there is no such addon."""
    names = os.environ.get(VARIABLE, "").replace(",", " ").split()
    unknown = [name for name in names if name not in {*Addon}]
    if unknown:
        allowed = ", ".join(Addon)
        raise Fault(f"{VARIABLE}: {unknown[0]!r}; allowed: {allowed}; run: {VARIABLE}={Addon.GATEWAY} make up")
    return frozenset(map(Addon, names))
