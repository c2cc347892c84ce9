"""The marker of a published folder, which is its manifest as well: who finds it may read everything that it lists."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from weight_seeder import volume
from weight_seeder.files import File, Selection

NAME = ".seeded.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file of a manifest."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What was seeded, as far as it is checked again."""

    source: str
    selection: Mapping[str, Sequence[str]]
    files: tuple[Listed, ...]


def read(folder: Path) -> Manifest | None:
    """The manifest of a folder; None where there is none, or one that cannot be understood."""
    try:
        found = json.loads((folder / NAME).read_bytes())
        if found["format"] != FORMAT:
            return None
        files = tuple(
            Listed(path=str(file["path"]), size=int(file["size"]), sha256=str(file["sha256"]))
            for file in found["files"]
        )
        return Manifest(source=found["source"], selection=found["selection"], files=files)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def problem(folder: Path, source: str, selection: Selection, *, checksums: bool) -> str | None:
    """Why a folder is not what was asked for, in a few words; None where it is."""
    if not folder.is_dir():
        return "it is not there"
    manifest = read(folder)
    if manifest is None:
        return f"it has no valid {NAME}"
    if manifest.source != source:
        return f"it holds {manifest.source}"
    if manifest.selection != selection.listed():
        return "it holds another selection of files"
    if not manifest.files:
        return f"its {NAME} lists no files"
    return next(filter(None, (_damage(folder, file, checksums=checksums) for file in manifest.files)), None)


def _damage(folder: Path, file: Listed, *, checksums: bool) -> str | None:
    size = volume.size_of(folder / file.path)
    if size is None:
        return f"{file.path} is missing"
    if size != file.size:
        return f"{file.path} has {size} bytes instead of {file.size}"
    if checksums:
        with (folder / file.path).open("rb", buffering=0) as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != file.sha256:
            return f"{file.path} has the sha256 {found} instead of {file.sha256}"
    return None


def write(
    folder: Path, *, source: str, revision: str, selection: Selection, files: Sequence[File], sha256s: Mapping[str, str]
) -> None:
    """Write the marker as a whole, and for good: a run that is killed leaves none."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "source": source,
        "revision": revision,
        "selection": selection.listed(),
        "files": [{"path": file.path, "size": file.size, "sha256": sha256s[file.path]} for file in files],
        "seededAt": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    new = folder / f"{NAME}.new"
    new.write_text(json.dumps(content, indent=2) + "\n")
    volume.sync(new)
    new.replace(folder / NAME)
    volume.sync(folder)


def withdraw(folder: Path) -> None:
    """Take the marker away, so that no reader trusts what is about to change."""
    (folder / NAME).unlink(missing_ok=True)
    volume.sync(folder)


def touch(folder: Path) -> None:
    """Note that the folder was wanted just now: cleaning keeps those that were wanted last."""
    os.utime(folder / NAME)
