"""The way from a work folder to a published one, and back for what has to be repaired."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from weight_seeder import manifest, volume
from weight_seeder.files import File
from weight_seeder.lock import Lease
from weight_seeder.volume import Place


def withdraw(place: Place, lease: Lease) -> None:
    """Nobody is to read what is about to change."""
    with lease.critical():
        if place.published.is_dir():
            manifest.withdraw(place.published)
        else:
            place.published.unlink(missing_ok=True)


def prepare(place: Place, files: Sequence[File], *, usurped: bool) -> None:
    """A work folder with what earlier runs have left of these files, and nothing else."""
    whole = {place.work / file.path for file in files}
    parts = set() if usurped else {volume.part(path) for path in whole}
    place.work.mkdir(parents=True, exist_ok=True)
    # From the bottom up, so that a folder is empty when its turn comes.
    for path in sorted(place.work.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in whole | parts:
            path.unlink()


def publish(place: Place, files: Sequence[File], mark: Callable[[Path], None], lease: Lease) -> None:
    """Let the folder appear by one rename, or its repaired files one by one and its marker, by `mark`, last."""
    volume.sync_tree(place.work)
    with lease.critical():
        if place.published.exists():
            _replace(place, files, mark)
        else:
            mark(place.work)
            _appear(place)
        volume.sync(place.published.parent)
        volume.sync(place.volume)


def _appear(place: Place) -> None:
    while True:
        place.published.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.work.rename(place.published)
        except FileNotFoundError:
            # A cleaner has found it empty, and removed it in between.
            if not place.work.exists():
                raise
        else:
            return


def _replace(place: Place, files: Sequence[File], mark: Callable[[Path], None]) -> None:
    for file in files:
        new, old = place.work / file.path, place.published / file.path
        if new.exists():
            old.parent.mkdir(parents=True, exist_ok=True)
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            new.replace(old)
    volume.sync_tree(place.published)
    mark(place.published)
    shutil.rmtree(place.work)
