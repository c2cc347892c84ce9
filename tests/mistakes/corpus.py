"""Stack files with one mistake each, and stack files without any, as people write them; their first lines say what.

A bad one tells what catches it: `# caught by: claim fits:models.chat`, or the beginning of a message in its place.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import yaml

from claims import Verdict, claims_of
from claims.accept import stale
from claims.claim import Claim
from claims.stack_file import StackFileError, read
from components.settings import Settings

HERE: Final = Path(__file__).parent
BAD: Final = sorted((HERE / "bad").glob("*.yaml"))
GOOD: Final = sorted((HERE / "good").glob("*.yaml"))
CAUGHT_BY: Final = "# caught by: "
CLAIM: Final = "claim "
SECRET: Final = "a-key-of-nobody-0123456789abcdef"
"""What stands for the values under `secure:` of the corpus, which no passphrase was ever chosen for."""


def caught_by(path: Path) -> list[str]:
    """What a bad stack file says that it is refused by."""
    return [line.removeprefix(CAUGHT_BY) for line in path.read_text().splitlines() if line.startswith(CAUGHT_BY)]


def said(path: Path) -> str:
    """What the first lines of a stack file say of it."""
    lines = path.read_text().partition("\nconfig:\n")[0].splitlines()
    return " ".join(line.removeprefix("# ") for line in lines if line.startswith("# ") and CAUGHT_BY not in line)


def configuration(path: Path) -> dict[str, Any]:
    """The values of a stack file, as they stand below `inference:`, with something for each secret."""
    return {
        key.removeprefix("inference:"): SECRET if _is_secret(value) else value for key, value in _document(path).items()
    }


def secrets(path: Path) -> list[str]:
    """The keys of a stack file whose values are secrets."""
    return [key.removeprefix("inference:") for key, value in _document(path).items() if _is_secret(value)]


def claims_in(path: Path, folder: Path) -> tuple[Claim, ...]:
    """The claims on a stack file; `StackFileError` with the mistakes of its settings."""
    return claims_of(settings_in(path, folder))


def settings_in(path: Path, folder: Path) -> Settings:
    """The settings of a stack file, read as `make claims` reads those of a stack."""
    shutil.copy(path, folder / f"Pulumi.{path.stem}.yaml")
    return read(folder, path.stem)


def refusals(path: Path, folder: Path) -> list[str]:
    """All that stops the preview of a stack file: the lines of its mistakes, or `claim ID:SUBJECT` for each claim."""
    try:
        settings = settings_in(path, folder)
    except StackFileError as error:
        return str(error).splitlines()
    return refusals_of(settings)


def refusals_of(settings: Settings) -> list[str]:
    """The claims that stop a preview, as `refusals` has them, and acceptances of what is not refused."""
    claims = claims_of(settings)
    refused = [claim.key for claim in claims if claim.verdict is Verdict.REFUSED and claim.accepted is None]
    return [*(f"{CLAIM}{key}" for key in refused), *map(str, stale(claims, settings.claims.accept))]


def _document(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(path.read_text())["config"]
    return config


def _is_secret(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"secure"}
