"""What the embedded cluster gets only where something needs it: each takes minutes to build and memory to run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import StrEnum

from rehearsal.fault import Fault

VARIABLE = "REHEARSAL_ADDONS"


class Addon(StrEnum):
    """Each by the name that it is asked for by; in the order in which a cluster gets them."""

    GATEWAY = "traefik"
    """A gateway that has the Gateway API, and Ingresses."""
    LEADER_WORKER_SET = "lws"
    """The controller of replicas that take several nodes."""
    PROMETHEUS = "prometheus"
    """Prometheus' operator, a Prometheus that scrapes what any PodMonitor names, and kube-state-metrics."""
    KEDA = "keda"
    """The scaler: KEDA's operator, and the server of the metrics that Kubernetes' own autoscaler asks for."""
    HTTP_ADD_ON = "http-add-on"
    """KEDA's holder of requests for models that have no replica at the moment."""


PROGRAMS = {
    Addon.GATEWAY: ("traefik",),
    Addon.LEADER_WORKER_SET: ("lws",),
    Addon.PROMETHEUS: ("prometheus-operator", "prometheus-config-reloader", "kube-state-metrics", "prometheus"),
    Addon.KEDA: ("keda-operator", "keda-adapter"),
    Addon.HTTP_ADD_ON: ("http-add-on-operator", "http-add-on-interceptor", "http-add-on-scaler"),
}
"""What each is built of, by names in the toolchain's list; the first one's entry has the manifests."""
NEEDS = {Addon.HTTP_ADD_ON: Addon.KEDA}


def in_order(addons: Iterable[Addon]) -> tuple[Addon, ...]:
    """The addons, and what they need, in the order in which a cluster gets them."""
    given = {*addons}
    wanted = given | {NEEDS[addon] for addon in given if addon in NEEDS}
    return tuple(addon for addon in Addon if addon in wanted)


def asked_for() -> frozenset[Addon]:
    """Those that the environment names beside what a stack needs. Fault if there is no such addon."""
    names = os.environ.get(VARIABLE, "").replace(",", " ").split()
    unknown = [name for name in names if name not in {*Addon}]
    if unknown:
        allowed = ", ".join(Addon)
        raise Fault(f"{VARIABLE}: {unknown[0]!r}; allowed: {allowed}; run: {VARIABLE}={Addon.GATEWAY} make up")
    return frozenset(in_order(map(Addon, names)))
