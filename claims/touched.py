"""Which stacks a pull request touches: `git diff --name-only BASE... | python -m claims.touched --except local`.

A stack's own file touches that stack. What the program is made of touches them all, tests and documents none. Writes
the stacks as a JSON list, which GitHub makes a matrix of. Of no path, no stack: a shell without `pipefail` would take a
`git diff` that fails for that.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[1]
PROGRAM: Final = re.compile(r"^(__main__\.py|Pulumi\.yaml|pyproject\.toml|uv\.lock|(components|claims|policy)/.*)$")
STACK_FILE: Final = re.compile(r"^Pulumi\.(?P<stack>[^/]+)\.yaml$")


def touched(paths: Iterable[str], stacks: Collection[str]) -> list[str]:
    """Those of the stacks that a change of these paths may change, in order."""
    changed = [*paths]
    if any(PROGRAM.match(path) for path in changed):
        return sorted(stacks)
    named = {match["stack"] for path in changed if (match := STACK_FILE.match(path))}
    return sorted(named & {*stacks})


def main(words: Sequence[str] | None = None) -> None:
    """Read paths from standard input, a line each, and write the stacks."""
    parser = argparse.ArgumentParser(prog="python -m claims.touched", description=__doc__.splitlines()[0])
    parser.add_argument("--except", dest="left_out", action="append", default=[], help="a stack that is none of CI's")
    parser.add_argument("--every", action="store_true", help="every stack, whatever was changed")
    parser.add_argument("--also", action="append", default=[], help="a stack, whatever was changed")
    given = parser.parse_args(words)
    names = {match["stack"] for path in CHECKOUT.glob("Pulumi.*.yaml") if (match := STACK_FILE.match(path.name))}
    stacks = names - {*given.left_out}
    for name in {*given.also} - stacks:
        parser.error(f"there is no stack {name}; allowed: {', '.join(sorted(stacks))}")
    found = stacks if given.every else {*touched(sys.stdin.read().splitlines(), stacks), *given.also}
    sys.stdout.write(f"{json.dumps(sorted(found))}\n")


if __name__ == "__main__":
    main()
