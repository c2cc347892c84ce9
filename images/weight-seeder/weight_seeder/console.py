"""Lines for people to read."""

from __future__ import annotations

import sys

_GB = 1e9


def say(line: str) -> None:
    """A line of the log."""
    sys.stdout.write(f"weight-seeder: {line}\n")
    sys.stdout.flush()


def warn(line: str) -> None:
    """A line beside the output, where that is for a program to read."""
    sys.stderr.write(f"weight-seeder: {line}\n")
    sys.stderr.flush()


def amount(size: float) -> str:
    """Bytes as a log shows them: `1.23 GB`, `0.45 MB`."""
    return f"{size / _GB:.2f} GB" if size >= _GB else f"{size / 1e6:.2f} MB"
