"""Claims that are refused, and that somebody goes on in spite of: `inference:claims.accept`, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from claims.claim import Claim, Verdict
from components.settings.mistakes import Mistake, refused


def accepted(claims: Sequence[Claim], accept: Mapping[str, str]) -> tuple[Claim, ...]:
    """The claims, the refused ones with the reason that is given for them: for the one itself, or for all of its id."""
    return tuple(
        replace(claim, accepted=accept.get(claim.key, accept.get(claim.id)))
        if claim.verdict is Verdict.REFUSED
        else claim
        for claim in claims
    )


def stale(claims: Sequence[Claim], accept: Mapping[str, str]) -> Iterator[Mistake]:
    """A mistake for each acceptance without a refused claim: left there, it would let the next such mistake through."""
    refusals = {name for claim in claims if claim.verdict is Verdict.REFUSED for name in (claim.key, claim.id)}
    for name in accept:
        if name in refusals:
            continue
        verdicts = sorted({claim.verdict for claim in claims if name in (claim.key, claim.id)})
        keys = sorted({claim.key for claim in claims if claim.verdict is Verdict.REFUSED})
        yield refused(
            ("claims", "accept", name),
            f"accepts what is not refused: it is {' and '.join(verdicts)}" if verdicts else "is no claim on this stack",
            allowed=f"what is refused ({', '.join(keys) or 'nothing is now'})",
            fix="take it out of the stack file",
        )
