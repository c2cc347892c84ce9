"""What must hold before anything is changed: pure functions over settings and shipped facts, with their arithmetic."""

from __future__ import annotations

from typing import Final

from claims import drops, fits, loads, pinned, private, reachable, scales, schedules, shares
from claims.accept import accepted
from claims.claim import Claim, Verdict
from components.settings import Settings

MODULES: Final = (fits, schedules, loads, drops, scales, shares, reachable, pinned, private)
"""In the order in which they are told, which is that of `inference:claims.accept`."""


def claims_of(settings: Settings) -> tuple[Claim, ...]:
    """Every claim on the stack, module by module, with the reasons of those that are refused and accepted."""
    found = [claim for module in MODULES for claim in module.claims(settings)]
    return accepted(found, settings.claims.accept)


__all__ = ["MODULES", "Claim", "Verdict", "claims_of"]
