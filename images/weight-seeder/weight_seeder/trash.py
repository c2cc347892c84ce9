"""Where folders are on their way out: renamed away, and back as long as nothing of them was deleted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from weight_seeder import manifest
from weight_seeder.console import say
from weight_seeder.lock import Lease
from weight_seeder.volume import INCOMING, Place

PREFIX = ".trash-"


def remove(root: Path, names: Sequence[str], in_use: Callable[[], set[str]]) -> list[str]:
    """Rename folders away, ask again, and delete those that no pod has come to use meanwhile; returns their names."""
    moved: list[str] = []
    try:
        for name in names:
            remove_tree(_trash(root, name))
            (root / name).rename(_trash(root, name))
            moved.append(name)
        used = in_use() if moved else set()
    except BaseException:
        for name in moved:
            _put_back(_trash(root, name), root / name)
        raise
    for name in names:
        if name in used:
            say(f"{name} is wanted again: left in its place")
            _put_back(_trash(root, name), root / name)
    removed = [name for name in names if name not in used]
    for name in removed:
        # The marker goes first: what is half deleted must not look whole if it is put back.
        (_trash(root, name) / manifest.NAME).unlink(missing_ok=True)
        remove_tree(_trash(root, name))
        with suppress(OSError):
            (root / name).parent.rmdir()  # unless there are others in it
        say(f"{name} removed")
    return removed


def restore(root: Path, lease: Callable[[Path], Lease]) -> None:
    """Put back what an interrupted cleaning has renamed away: it is judged anew."""
    for path, name in list(_trashed(root)):
        held = lease(Place(volume=root, folder=name).lock)
        if not held.try_acquire():
            continue  # seeded anew just now: next time
        try:
            if (root / name).exists():
                remove_tree(path)
            else:
                with suppress(FileNotFoundError):
                    _put_back(path, root / name)
        finally:
            held.release()


def remove_tree(folder: Path) -> None:
    """Remove a folder and what is in it, whoever else may be removing it."""
    while folder.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)


def _trash(root: Path, name: str) -> Path:
    return root / INCOMING / f"{PREFIX}{name.replace('/', '--')}"


def _trashed(root: Path) -> Iterator[tuple[Path, str]]:
    for path in (root / INCOMING).glob(f"{PREFIX}*"):
        slug, _, revision = path.name.removeprefix(PREFIX).rpartition("--")
        yield path, f"{slug}/{revision}"


def _put_back(old: Path, new: Path) -> None:
    new.parent.mkdir(exist_ok=True)
    old.rename(new)
