"""The files of a source, the names of their contents, and which of them are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch


@dataclass(frozen=True, kw_only=True)
class Digest:
    """What a source says of a content.

    `kind` is one of sha256, git-blob, crc64nvme, crc32c and crc32; `value` is in lower-case hex, the most significant
    byte first.
    """

    kind: str
    value: str


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a source: its path in the folder (with slashes), its size in bytes, and how to know its content."""

    path: str
    size: int
    digest: Digest


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The files that are wanted: those like a pattern of `include` (all when empty) and like none of `exclude`."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def takes(self, path: str) -> bool:
        """Whether a file of the source is wanted."""
        return (not self.include or _like(path, self.include)) and not _like(path, self.exclude)

    def listed(self) -> dict[str, list[str]]:
        """What the manifest has of it."""
        return {"include": sorted(self.include), "exclude": sorted(self.exclude)}

    def __str__(self) -> str:
        """As in a message: `*.json, *.safetensors and not consolidated*`."""
        left_out = f" and not {', '.join(self.exclude)}" if self.exclude else ""
        return f"{', '.join(self.include) or '*'}{left_out}"


def _like(path: str, patterns: Sequence[str]) -> bool:
    """As in a shell, a pattern without a slash is for files at the top; fnmatch alone would let `*` match folders."""
    return any(fnmatch(path, pattern) and ("/" in pattern or "/" not in path) for pattern in patterns)
