"""The policy pack of a preview, and its configuration for the stack."""

from __future__ import annotations

import os

from rehearsal.fault import Fault
from rehearsal.places import CHECKOUT

PACK = CHECKOUT / "policy"


def options(stack: str) -> tuple[str, ...]:
    """Options of `pulumi preview`: the pack, with the stack's exceptions where it has some; none with POLICY=none."""
    choice = os.environ.get("POLICY") or "pack"
    if choice not in ("pack", "none"):
        raise Fault(
            f"POLICY: {choice!r}; allowed: pack (the default), none; run: make preview STACK={stack} POLICY=none"
        )
    if choice == "none":
        return ()
    exceptions = PACK / f"{stack}.json"
    given = ("--policy-pack-config", str(exceptions)) if exceptions.exists() else ()
    return ("--policy-pack", str(PACK), *given)
