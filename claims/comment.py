"""What a pull request's comment says of a stack: claims, policy findings, cost, rollout and resources, as Markdown."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jinja2

from claims import markdown
from claims.bill import bill
from claims.changes import Change, Finding, Preview
from claims.cost import cost
from claims.rollouts import in_turn, most_seconds, rollout_time
from components.settings import Settings
from components.surge import replaced
from components.timing import rounds

TEMPLATE: Final = Path(__file__).with_name("comment.md.j2")
LONGEST: Final = 40_000
"""Characters of the resources' part: GitHub takes 65,536 in all."""
LASTING: Final = ("Cluster", "FileSystem", "Key", "LustreFileSystem", "NodeGroup", "PersistentVolumeClaim", "Vpc")
"""Kinds whose end takes something with it that another update does not bring back at once."""
_SIGNS: Final = {"create": "+", "delete": "-", "forget": "-"}


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How long a model's rollout takes: where nodes and images are there, and until Pulumi gives up."""

    model: str
    replicas: int
    rounds: int
    about: str
    most: str


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some resources' changes, fenced so that nothing in them ends the fence."""

    fence: str
    text: str


def comment(
    stack: str,
    preview: Preview,
    *,
    after: Settings | None,
    before: Settings | None,
    counted_claims: str,
    claims: str,
) -> str:
    """The part of the comment on one stack; `after` is None where its settings are refused, `before` where it is new.

    `counted_claims` says how many claims hold, and `claims` which, in Markdown (claims/render.py).
    """
    whole = bill(cost(after), cost(before) if before else None) if after else None
    rollouts = _rollouts(preview, after) if after else ()
    blocks, cut = _blocks(preview.changes)
    rolling = [each.model for each in rollouts]
    most = most_seconds(after, rolling) if after else 0
    environment = jinja2.Environment(  # noqa: S701 - it is Markdown, whose signs `line` and `code` see to
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"line": markdown.line, "code": markdown.code}
    rendered = environment.from_string(TEMPLATE.read_text()).render(
        stack=stack,
        headline=_headline(preview),
        errors=preview.errors,
        ends=[f"{each.kind} {each.name}" for each in preview.changes if each.kind in LASTING and each.ends],
        counted={
            "claims": counted_claims,
            "policy": _counted_findings(preview.findings),
            "cost": whole.summary if whole else "unknown",
            "rollout": f"at most {_minutes(most)}" if rollouts else "none",
        },
        claims=claims.strip(),
        findings=preview.findings,
        bill=whole,
        rollouts=rollouts,
        waiting=in_turn(after, rolling) if after else (),
        job_minutes=math.ceil(most / 60),
        blocks=blocks,
        cut=cut,
    )
    return re.sub(r"\n{3,}", "\n\n", rendered).strip() + "\n"


def _headline(preview: Preview) -> str:
    if not preview.complete:
        return "refused" if preview.errors else "stopped"
    if not preview.changes:
        return "nothing changes"
    counts = Counter(change.operation for change in preview.changes)
    said = ", ".join(f"{count} to {operation}" for operation, count in sorted(counts.items()))
    return f"{said}, {preview.unchanged} unchanged"


def _counted_findings(findings: Sequence[Finding]) -> str:
    levels = Counter(each.level for each in findings)
    return ", ".join(f"{count} {level}" for level, count in sorted(levels.items(), reverse=True)) or "no violations"


def _rollouts(preview: Preview, settings: Settings) -> tuple[Rollout, ...]:
    """Of the models whose replicas the change replaces; those that are new start, and roll out nothing."""
    names = sorted(each.name for each in preview.changes if each.rolls_out and each.operation != "create")
    times = {name: rollout_time(settings, settings.models[name]) for name in names if name in settings.models}
    return tuple(
        Rollout(
            model=name,
            replicas=replaced(settings.models[name]),
            rounds=rounds(settings.models[name]),
            about=_minutes(time.usual),
            most=_minutes(time.most),
        )
        for name, time in times.items()
    )


def _minutes(seconds: float) -> str:
    return f"{math.ceil(seconds / 60)} min"


def _blocks(changes: Sequence[Change]) -> tuple[tuple[Block, ...], int]:
    """As many as a comment holds, and the number of those that it does not."""
    texts = [_told(change) for change in sorted(changes, key=lambda each: (each.operation, each.kind, each.name))]
    length, kept = 0, []
    for text in texts:
        length += len(text)
        if length > LONGEST:
            break
        kept.append(text)
    text = "\n\n".join(kept)
    return ((Block(fence=markdown.fence(kept), text=text),) if kept else ()), len(texts) - len(kept)


def _told(change: Change) -> str:
    """One resource's lines: a diff viewer shows what goes in red and what comes in green."""
    title = f"{change.kind} {change.name}"
    if change.operation in _SIGNS:
        return f"{_SIGNS[change.operation]} {title}"
    reason = f", because of {', '.join(change.replaced_for)}" if change.replaced_for else ""
    lines = [f"@@ {change.operation} {title}{reason} @@"]
    for each in change.differences:
        lines += [f"- {each.path}: {each.old}"] if each.old is not None else []
        lines += [f"+ {each.path}: {each.new}"] if each.new is not None else []
    lines += [f"! {path} differs, which the program's inputs do not show" for path in change.elsewhere]
    return "\n".join(lines)
