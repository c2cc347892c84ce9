"""`python -m claims --stack prod`: what the preview would claim, without an engine, an account or a network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from claims import claims_of, render
from claims.accept import stale
from claims.bill import told
from claims.claim import Verdict
from claims.stack_file import StackFileError, read

CHECKOUT: Final = Path(__file__).parents[1]


def main(arguments: list[str], folder: Path = CHECKOUT) -> int:
    """Write the claims on a stack; 1 where one is refused and not accepted, or the settings have mistakes."""
    parser = argparse.ArgumentParser(prog="claims", description=__doc__)
    parser.add_argument("--stack", required=True, help="the stack: Pulumi.STACK.yaml")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--all", action="store_true", help="each claim with its arithmetic, those that are proved too")
    form.add_argument("--json", action="store_true", help="for programs")
    form.add_argument("--markdown", action="store_true", help="for a pull request")
    given = parser.parse_args(arguments)
    try:
        settings = read(folder, given.stack)
    except StackFileError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    claims = claims_of(settings)
    if given.json:
        text = render.as_json(claims)
    elif given.markdown:
        text = render.markdown(claims)
    else:
        text = f"{render.table(claims, everything=given.all)}\n{told(settings)}"
    mistakes = [str(mistake) for mistake in stale(claims, settings.claims.accept)]
    sys.stdout.write(f"{text}\n")
    sys.stderr.write("".join(f"{line}\n" for line in mistakes))
    refused = any(claim.verdict is Verdict.REFUSED and claim.accepted is None for claim in claims)
    return 1 if refused or mistakes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
