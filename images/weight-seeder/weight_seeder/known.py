"""Files that another revision on the same volume has already: linked instead of fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from weight_seeder import manifest, volume
from weight_seeder.console import say
from weight_seeder.files import File
from weight_seeder.volume import Place


def published_folders(root: Path) -> list[Path]:
    """The folders below a volume that have the shape of a published one, with a marker or without."""
    return sorted(
        path
        for path in root.glob("*/*")
        if volume.is_folder(f"{path.parent.name}/{path.name}")
        and path.is_dir()
        and not path.is_symlink()
        and not path.parent.is_symlink()
    )


def link_known(place: Place, files: Sequence[File]) -> int:
    """Link files with the wanted sha256 into the work folder, where they are hashed as all others; returns how many.

    A file system that cannot link leaves them to be fetched.
    """
    wanted = [file for file in files if file.digest.kind == "sha256" and _is_missing(place, file)]
    if not wanted:
        return 0
    there = {
        (file.sha256, file.size): folder / file.path
        for folder in published_folders(place.volume)
        if folder != place.published and (found := manifest.read(folder))
        for file in found.files
    }
    return sum(
        _link(there[key], place.work / file.path) for file in wanted if (key := (file.digest.value, file.size)) in there
    )


def distrust_links(place: Place, damaged: Path, sha256: str) -> None:
    """What is damaged on the disk is so under each of its names: no reader is to trust the folders that list it."""
    if damaged.stat().st_nlink == 1:
        return
    for folder in published_folders(place.volume):
        found = manifest.read(folder) if folder != place.published else None
        if found and any(file.sha256 != sha256 and _same(folder / file.path, damaged) for file in found.files):
            manifest.withdraw(folder)
            say(f"{folder.relative_to(place.volume)} shares a damaged file: it is to be seeded again")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except FileNotFoundError:
        return False


def _is_missing(place: Place, file: File) -> bool:
    return all(volume.size_of(folder / file.path) != file.size for folder in (place.work, place.published))


def _link(old: Path, new: Path) -> bool:
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        if volume.size_of(old) is None:
            return False
        new.unlink(missing_ok=True)
        new.hardlink_to(old)
    except OSError:
        return False
    return True
