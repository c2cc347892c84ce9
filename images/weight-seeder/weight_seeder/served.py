"""Which folders replicas were started from, and when: what a rollback may want."""

from __future__ import annotations

from pathlib import Path

from weight_seeder import manifest
from weight_seeder.console import say

NAME = ".served"
"""An empty file of a published folder, as old as its last serving."""


def mark(folder: Path) -> None:
    """Note that replicas are served from a folder; a volume that has no room for the note is no reason to end."""
    if not folder.is_dir():
        return
    try:
        (folder / NAME).touch()
    except OSError as error:
        say(f"it is not noted that {folder} is served: {error.strerror}")


def rank(folder: Path) -> tuple[float, float]:
    """The higher, the sooner it may be wanted again: the one served last, then the one seeded or asked for last.

    One without a marker is of no use to anybody.
    """
    wanted = _changed(folder / manifest.NAME)
    return (_changed(folder / NAME), wanted) if wanted else (0.0, 0.0)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
