"""Claims as people and programs read them: a short table, all of the arithmetic, Markdown, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from claims.claim import Claim, Verdict
from claims.markdown import fence, line
from claims.secret_names import without_logins
from components.settings.concealment import masked


def table(claims: Sequence[Claim], *, everything: bool = False) -> str:
    """A line for each subject with what is proved of it, and below it each claim that is not.

    With `everything` each claim comes with all of its arithmetic.
    """
    claims = _shown(claims)
    width = max((len(subject) for subject in subjects(claims)), default=0)
    lines = [f"claims: {counted(claims)}"]
    for subject in subjects(claims):
        about = [claim for claim in claims if claim.subject == subject]
        lines.append(f"  {subject:<{width}}  {_summary(about)}")
        for claim in about:
            if everything or claim.verdict is not Verdict.PROVED:
                lines += [f"    {each}" for each in _lines(claim, everything=everything)]
    return "\n".join(lines)


def refusal(claim: Claim) -> str:
    """One line of a claim that is refused: what does not hold, by which arithmetic, and what would change it."""
    (claim,) = _shown([claim])
    computed = "; ".join(claim.arithmetic)
    change = f"; {claim.change}" if claim.change else ""
    return f"{claim.key} {_told(claim)}: {computed}{change}"


def markdown(claims: Sequence[Claim]) -> str:
    """A table for a pull request, a row for each subject, and what is not proved; the arithmetic is folded away."""
    claims = _shown(claims)
    rows = [f"| `{subject}` | {line(_summary(_of(claims, subject)))} |" for subject in subjects(claims)]
    told = [each for claim in claims if claim.verdict is not Verdict.PROVED for each in _bullet(claim)]
    arithmetic = [
        each
        for claim in claims
        for each in (f"{claim.key} {_told(claim)}", *(f"  {' '.join(text.split())}" for text in claim.arithmetic))
    ]
    ticks = fence(arithmetic)
    return "\n".join(
        [
            f"**Claims**: {counted(claims)}",
            "",
            "| | |",
            "|---|---|",
            *rows,
            *(["", *told] if told else []),
            "",
            "<details><summary>The arithmetic</summary>",
            "",
            f"{ticks}text",
            *arithmetic,
            ticks,
            "",
            "</details>",
        ]
    )


def as_json(claims: Sequence[Claim]) -> str:
    """Every claim with all that is known of it, in order; null for what it does not have."""
    return json.dumps(list(map(_tree, _shown(claims))), indent=1)


def summary(claims: Sequence[Claim]) -> dict[str, Any]:
    """What the stack's outputs keep: a count, and by key the change, the reason or the proof of what is not proved."""
    claims = _shown(claims)
    proved = sum(claim.verdict is Verdict.PROVED for claim in claims)
    refused = {claim.key: claim.change for claim in claims if _stops(claim)}
    accepted = {claim.key: claim.accepted for claim in claims if claim.accepted is not None}
    unproven = {claim.key: claim.proof for claim in claims if claim.verdict is Verdict.UNPROVEN}
    return {"proved": proved, "refused": refused, "accepted": accepted, "unproven": unproven}


def counted(claims: Sequence[Claim]) -> str:
    """How many there are of each kind: "24 proved, 1 accepted, 2 unproven"."""
    kinds = {
        "proved": sum(claim.verdict is Verdict.PROVED for claim in claims),
        "refused": sum(map(_stops, claims)),
        "refused and accepted": sum(claim.accepted is not None for claim in claims),
        "unproven": sum(claim.verdict is Verdict.UNPROVEN for claim in claims),
    }
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count) or "none"


def subjects(claims: Sequence[Claim]) -> list[str]:
    """What is claimed something of, each once, in order."""
    return list(dict.fromkeys(claim.subject for claim in claims))


def _shown(claims: Sequence[Claim]) -> list[Claim]:
    """The claims as they may be shown: without what looks like a secret, in a reason or a setting that they quote."""
    return [
        replace(
            claim,
            sentence=_hidden(claim.sentence),
            arithmetic=tuple(map(_hidden, claim.arithmetic)),
            change=claim.change and _hidden(claim.change),
            proof=claim.proof and _hidden(claim.proof),
            accepted=claim.accepted and _hidden(claim.accepted),
        )
        for claim in claims
    ]


def _hidden(text: str) -> str:
    return without_logins(masked(text))


def _of(claims: Sequence[Claim], subject: str) -> list[Claim]:
    return [claim for claim in claims if claim.subject == subject]


def _stops(claim: Claim) -> bool:
    return claim.verdict is Verdict.REFUSED and claim.accepted is None


def _summary(about: Sequence[Claim]) -> str:
    """What is proved of one subject: all of it, or by name what is and what is not."""
    names: dict[str, list[str]] = {}
    for claim in about:
        kind = "refused and accepted" if claim.accepted is not None else str(claim.verdict)
        names.setdefault(kind, []).append(claim.id)
    ids = {kind: ", ".join(dict.fromkeys(each)) for kind, each in names.items()}
    order = ("proved", "refused", "refused and accepted", "unproven")
    return "; ".join(f"{kind}: {ids[kind]}" for kind in order if kind in ids)


def _lines(claim: Claim, *, everything: bool) -> Iterator[str]:
    """A claim below its subject: its arithmetic in full where it is asked for, or where it does not hold."""
    yield f"{claim.id} {_told(claim)}"
    if everything or claim.verdict is Verdict.REFUSED:
        yield from (f"  {each}" for each in claim.arithmetic)
    yield from (f"  {each}" for each in _ways_on(claim))


def _bullet(claim: Claim) -> Iterator[str]:
    yield f"- `{claim.key}` {line(_told(claim))}"
    if claim.verdict is Verdict.REFUSED:
        yield from (f"  - {line(each)}" for each in claim.arithmetic)
    yield from (f"  - {line(each)}" for each in _ways_on(claim))


def _ways_on(claim: Claim) -> Iterator[str]:
    """What would make it hold, what would prove it, and why somebody goes on."""
    if claim.change and claim.verdict is Verdict.REFUSED:
        yield f"would hold with: {claim.change}"
    if claim.proof and claim.verdict is Verdict.UNPROVEN:
        yield f"would be proved by: {claim.proof}"
    if claim.accepted is not None:
        yield f"accepted: {claim.accepted}"


def _tree(claim: Claim) -> dict[str, Any]:
    return {
        "id": claim.id,
        "subject": claim.subject,
        "verdict": str(claim.verdict),
        "sentence": claim.sentence,
        "arithmetic": list(claim.arithmetic),
        "change": claim.change,
        "proof": claim.proof,
        "accepted": claim.accepted,
    }


def _told(claim: Claim) -> str:
    """Verdict and sentence, as one."""
    if claim.verdict is not Verdict.REFUSED:
        return f"is {claim.verdict}: {claim.sentence}"
    kind = "is refused" if claim.accepted is None else "is refused, and accepted"
    return f"{kind}: it does not hold that {claim.sentence}"
