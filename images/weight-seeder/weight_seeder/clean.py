"""Cleaning: remove the revisions that nobody reads any more and no rollback may want."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from weight_seeder import manifest
from weight_seeder.console import say
from weight_seeder.known import published_folders
from weight_seeder.lock import Lease
from weight_seeder.volume import INCOMING, Place

_TRASH = ".trash-"
_ABANDONED_SECONDS = 86_400.0
# SLUG/REVISION-SELECTION as the program names folders; what else lies on a volume belongs to somebody.
_SEEDED = re.compile(r"[^/]+/([0-9a-f]{12}|unpinned)-[0-9a-f]{8}")


def clean(place: Place, *, keep: int, in_use: Callable[[], set[str]], lease: Callable[[Path], Lease]) -> None:
    """Remove all published folders but that of `place`, the `keep` most recently wanted others, and those in use.

    `in_use` names the folders that pods have; it is asked before and after they were renamed away. `lease` makes the
    lease of a lock file. A folder that is just being seeded or repaired is left alone.

    Raises:
        SeedError: it is not known what is in use: nothing was removed.
    """
    root = place.volume
    (root / INCOMING).mkdir(parents=True, exist_ok=True)
    used = in_use()
    _restore(root)
    others = sorted(_others(place), key=lambda name: _wanted_at(root / name), reverse=True)
    with ExitStack() as stack:
        leases = {name: lease(Place(volume=root, folder=name).lock) for name in others[keep:] if name not in used}
        held = {name: each for name, each in leases.items() if each.try_acquire()}
        for each in held.values():
            stack.callback(each.release)
        removed = _remove(root, list(held), in_use)
        for name in removed:
            held[name].discard()
    say(f"{len(removed)} folders removed, {len(others) - len(removed)} kept beside {place.folder}")
    _clean_incoming(place, lease)


def _others(place: Place) -> Iterator[str]:
    for path in published_folders(place.volume):
        name = path.relative_to(place.volume).as_posix()
        if name != place.folder and _SEEDED.fullmatch(name):
            yield name


def _wanted_at(folder: Path) -> float:
    """When it was last asked for; one without a marker is of no use to anybody."""
    marker = folder / manifest.NAME
    return marker.stat().st_mtime if marker.is_file() else 0.0


def _remove(root: Path, names: Sequence[str], in_use: Callable[[], set[str]]) -> list[str]:
    """Rename folders away, ask again, and delete those that no pod has come to use meanwhile; returns their names."""
    if not names:
        return []
    for name in names:
        (root / name).rename(_trash(root, name))
    try:
        used = in_use()
    except BaseException:
        _restore(root)
        raise
    for name in names:
        if name in used:
            say(f"{name} is wanted again: left in its place")
            _trash(root, name).rename(root / name)
    removed = [name for name in names if name not in used]
    for name in removed:
        # The marker goes first: what is half deleted must not look whole if it is put back.
        (_trash(root, name) / manifest.NAME).unlink(missing_ok=True)
        shutil.rmtree(_trash(root, name))
        _remove_if_empty((root / name).parent)
        say(f"{name} removed")
    return removed


def _trash(root: Path, name: str) -> Path:
    return root / INCOMING / f"{_TRASH}{name.replace('/', '--')}"


def _restore(root: Path) -> None:
    """Put back what an interrupted cleaning has renamed away: it is judged anew."""
    for path in (root / INCOMING).glob(f"{_TRASH}*"):
        slug, _, revision = path.name.removeprefix(_TRASH).rpartition("--")
        place = root / slug / revision
        if place.exists():
            shutil.rmtree(path)  # seeded anew since
        else:
            place.parent.mkdir(exist_ok=True)
            path.rename(place)


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _clean_incoming(place: Place, lease: Callable[[Path], Lease]) -> None:
    """Remove unfinished work that nobody has gone on with for a day."""
    for work in (place.volume / INCOMING).iterdir():
        if not work.is_dir() or work == place.work or work.name.startswith(_TRASH) or not _is_abandoned(work):
            continue
        held = lease(work.with_name(f"{work.name}.lock"))
        if held.try_acquire():
            shutil.rmtree(work)
            held.discard()
            say(f"{INCOMING}/{work.name} removed: nobody went on with it for a day")


def _is_abandoned(work: Path) -> bool:
    newest = max(path.lstat().st_mtime for path in (work, *work.rglob("*")))
    return time.time() - newest > _ABANDONED_SECONDS
