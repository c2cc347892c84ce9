"""Running other programs: their output, or a Fault with their own last words."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from rehearsal.fault import Fault

LAST_LINES = 3
NAMED_WORDS = 3


def run(
    *command: str | Path,
    then: str = "run again",
    cwd: Path | None = None,
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """The standard output of `command`, which gets `text` as its input and `environment` on top of ours.

    Raises Fault with the last lines that it printed, and with `then`: what the user does next.
    """
    words = [str(word) for word in command]
    merged = {**os.environ, **(environment or {})}
    try:
        done = subprocess.run(words, check=False, cwd=cwd, input=text, text=True, capture_output=True, env=merged)
    except FileNotFoundError:
        raise Fault(f"{words[0]}: not on PATH; install it, and {then}") from None
    if done.returncode:
        last = " | ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-LAST_LINES:])
        name = " ".join([Path(words[0]).name, *words[1:NAMED_WORDS]])
        raise Fault(f"{name} failed: {last}; {then}")
    return done.stdout


def succeeds(*command: str | Path) -> bool:
    """Whether `command` exits with 0."""
    return subprocess.run([str(word) for word in command], check=False, capture_output=True).returncode == 0
