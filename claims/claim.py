"""A claim: a sentence about the stack, what was computed for it, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What the arithmetic comes to; without the facts that it needs a claim is unproven, never proved."""

    PROVED = "proved"
    REFUSED = "refused"
    UNPROVEN = "unproven"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What must hold of one model, one pool or the stack before anything of it is changed.

    `subject` is "models.chat", "gpuPools.l40s" or "stack"; a line of `arithmetic` is a whole computation, with units.
    """

    id: str
    subject: str
    sentence: str
    arithmetic: tuple[str, ...]
    verdict: Verdict
    change: str | None = None
    """Refused: the smallest change that would make it hold, with key path and value."""
    proof: str | None = None
    """Unproven: what would prove it, a command or a setting."""
    accepted: str | None = None
    """Why somebody goes on although it is refused: what `inference:claims.accept` gives for it."""

    @property
    def key(self) -> str:
        """What `inference:claims.accept` names: `fits:models.chat`."""
        return f"{self.id}:{self.subject}"
