"""The part of a pull request's comment on one stack: `python -m claims.pull_request --stack prod --preview prod.jsonl`.

    --preview  what `pulumi preview --json` streamed (claims/changes.py)
    --before   a folder with the stack's file as it was, for what the change costs more or less; without it, or where
               the folder has none, the stack is told as new

Writes Markdown to standard output. It asks nobody, and needs no credentials. Exits with 1 where the preview came to no
end, a claim is refused and not accepted, or a policy forbids.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from claims import claims_of, render
from claims.changes import preview
from claims.claim import Claim, Verdict
from claims.comment import comment
from claims.stack_file import StackFileError, read
from components.settings import Settings
from components.settings.concealment import masked

CHECKOUT: Final = Path(__file__).resolve().parents[1]


def write(stack: str, told: str, *, now: Path, before: Path | None) -> tuple[str, bool]:
    """The Markdown, and whether the stack could go up as it is; `now` and `before` are folders with its file."""
    found = preview(told)
    after, old = _read(now, stack), _read(before, stack) if before else None
    claims: tuple[Claim, ...] = claims_of(after) if after else ()
    # A claim's refusal stops the preview with a line of its own, which the claims' part says better.
    again = {masked(render.refusal(each)) for each in claims}
    found = replace(found, errors=tuple(error for error in found.errors if error not in again))
    text = comment(
        stack,
        found,
        after=after,
        before=old,
        counted_claims=render.counted(claims) if after else "not computed",
        claims=render.markdown(claims) if after else "",
    )
    return text, found.complete and not any(map(_stops, claims)) and not any(each.stops for each in found.findings)


def _read(folder: Path, stack: str) -> Settings | None:
    """The settings; None where there are none or they are refused, which the preview tells in full."""
    try:
        return read(folder, stack)
    except StackFileError:
        return None


def _stops(claim: Claim) -> bool:
    return claim.verdict is Verdict.REFUSED and claim.accepted is None


def main(words: Sequence[str], checkout: Path = CHECKOUT) -> int:
    """Run the command; give its exit code."""
    parser = argparse.ArgumentParser(prog="python -m claims.pull_request", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stack", required=True, help="the stack: Pulumi.STACK.yaml")
    parser.add_argument("--preview", required=True, type=Path, help="file with what pulumi preview --json streamed")
    parser.add_argument("--before", type=Path, help="folder with the stack's file as it was")
    given = parser.parse_args(words)
    try:
        text, good = write(given.stack, given.preview.read_text(), now=checkout, before=given.before)
    except ValueError as error:
        # Also as the comment's part: one of yesterday would stay there, or nothing would.
        sys.stdout.write(f"## The preview of `{given.stack}` did not run: see the log\n")
        sys.stderr.write(f"error: {given.preview}: {error}\n")
        return 1
    sys.stdout.write(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
