"""Names that a source gives its files: each has to be one place in a folder, and a place of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from weight_seeder.faults import HopelessError


def check(paths: Sequence[str], where: str) -> None:
    """Refuse names that come to the same place, and a file where another one has its folder.

    Whether a place is in the folder at all is asked for every source, when its list is there.
    """
    seen: set[str] = set()
    folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    for path in paths:
        if path in seen or path in folders or str(PurePosixPath(path)) != path:
            raise HopelessError(
                f"{where} holds a file with the name {path!r}, which is not the only one in its place: rename it"
            )
        seen.add(path)
