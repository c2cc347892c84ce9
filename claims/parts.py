"""A claim put together of its parts: one that does not hold refuses it, one that nobody can know leaves it unproven."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from claims.claim import Claim, Verdict

MINUTE: Final = 60
GIB: Final = 2**30
MIB: Final = 2**20


@dataclass(frozen=True, kw_only=True)
class Part:
    """One line of a claim's arithmetic, and what is wrong with it."""

    line: str
    change: str | None = None
    """Where it does not hold: the smallest change with which it would."""
    proof: str | None = None
    """Where nobody here can know: what would prove it."""


def claim_of(claim: str, subject: str, sentence: str, parts: Iterable[Part]) -> Claim:
    """The claim of some parts, in their order."""
    all_parts = tuple(parts)
    changes = [part.change for part in all_parts if part.change]
    # What would prove the rest is of no use as long as something does not hold.
    proofs = [] if changes else [part.proof for part in all_parts if part.proof]
    verdict = Verdict.REFUSED if changes else Verdict.UNPROVEN if proofs else Verdict.PROVED
    return Claim(
        id=claim,
        subject=subject,
        sentence=sentence,
        arithmetic=tuple(part.line for part in all_parts),
        verdict=verdict,
        change="; ".join(dict.fromkeys(changes)) or None,
        proof="; ".join(dict.fromkeys(proofs)) or None,
    )


def of_model(name: str) -> str:
    """The subject of a claim about a model."""
    return f"models.{name}"


def setting(path: str, value: object) -> str:
    """A change of one setting: `inference:models.chat.concurrency 21`."""
    return f"inference:{path} {value}"


def counted(count: int, what: str) -> str:
    """`counted(1, "node") == "1 node"`, `counted(2, "node") == "2 nodes"`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def minutes(seconds: float) -> str:
    """Whole minutes, never fewer than it takes."""
    return f"{math.ceil(seconds / MINUTE):,} min"


def gib(size: float) -> str:
    """Bytes in GiB with one decimal."""
    return f"{size / GIB:,.1f} GiB"
