"""Where things are on the volume, and how they get there for good."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from weight_seeder.faults import HopelessError

INCOMING = ".incoming"
PART = ".part"
"""Suffix of a file that is not whole, or not verified."""

_NAME = "[A-Za-z0-9_-][A-Za-z0-9._-]*"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, kw_only=True)
class Place:
    """The folder of one selection of one revision on a volume: `SLUG/REVISION-SELECTION`."""

    volume: Path
    folder: str

    def __post_init__(self) -> None:
        if not is_folder(self.folder):
            raise HopelessError(f"folder {self.folder!r} is not of the form SLUG/REVISION-SELECTION")

    @property
    def published(self) -> Path:
        """Where readers find it, whole."""
        return self.volume / self.folder

    @property
    def work(self) -> Path:
        """Where it is put together; on the same volume, so that one rename publishes it."""
        return self.volume / INCOMING / self.folder.replace("/", "--")

    @property
    def lock(self) -> Path:
        """The file that its seeder holds."""
        return self.work.with_name(f"{self.work.name}.lock")


def is_folder(name: str) -> bool:
    """Whether this may be the name of a published folder: two levels, nothing hidden."""
    return re.fullmatch(f"{_NAME}/{_NAME}", name) is not None


def part(path: Path) -> Path:
    """Where a file grows."""
    return path.with_name(f"{path.name}{PART}")


def size_of(path: Path) -> int | None:
    """The size of a file, None where there is none; a link is none, since it may lead out of the folder."""
    return path.stat().st_size if path.is_file() and not path.is_symlink() else None


def free_bytes(volume: Path) -> int:
    """Bytes that may be written to the volume by this user."""
    found = os.statvfs(volume)
    return found.f_bavail * found.f_frsize


def total_bytes(volume: Path) -> int:
    """The size of the volume."""
    found = os.statvfs(volume)
    return found.f_blocks * found.f_frsize


_KEPT_OUT = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


def no_space(needed: int, volume: Path) -> HopelessError:
    """The fault of a volume that is too small: for `needed` bytes of files, or for what names them."""
    what = f"{needed} bytes are still to come" if needed else "a name or a marker is still to be written"
    return HopelessError(f"no space: {what} and {free_bytes(volume)} are free on {volume}: enlarge it (weights.size)")


def is_full(error: OSError) -> bool:
    """Whether this says that the volume, or the quota on it, is used up."""
    return error.errno in _FULL


def sync(path: Path) -> None:
    """Let what a file or folder holds be on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Let everything in a folder be on the disk."""
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink() and (path.is_file() or path.is_dir()):
            sync(path)


def unusable(error: OSError, volume: Path) -> HopelessError | None:
    """The fault where the volume itself keeps this user out; None for any other error."""
    if error.errno not in _KEPT_OUT or not str(error.filename or volume).startswith(str(volume)):
        return None
    return HopelessError(
        f"{volume} cannot be used by user {os.geteuid()}: {error.strerror}: mount a folder there that it may write to"
    )
