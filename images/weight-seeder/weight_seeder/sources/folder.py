"""Weights in a folder: of a node, or on a claim of the user's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Self

from weight_seeder.faults import HopelessError, SeedError
from weight_seeder.files import Digest, File, Selection
from weight_seeder.sources import sums

_ADDRESS = re.compile(r"file://(/[^@]*[^@/])(?:@(.*))?")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """A folder with a SHA256SUMS, whose own sha256 is the `revision`.

    `path` is the folder's place where it was made, `mounted` its place in this file system.
    """

    name: str
    path: str
    mounted: Path
    revision: str

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        read_from: Path | None,
        stall_seconds: float = 30.0,  # noqa: ARG003 - no connection, no silence
    ) -> Self:
        """Read `file:///PATH@sha256:HEX`; PATH is looked up below `read_from`."""
        match = _ADDRESS.fullmatch(text)
        if match is None or ".." in PurePosixPath(match[1]).parts:
            raise HopelessError(f"source {text!r} is not of the form file:///PATH@sha256:<64 hex>, with no .. in PATH")
        path, pin = match.groups()
        digest = _DIGEST.fullmatch(pin or "")
        if digest is None:
            raise HopelessError(
                f"source {text!r} says nothing of what is in the folder: run `{sums.command(path)}`, and put the "
                f"digest that it prints into file://{path}@sha256:<64 hex>"
            )
        return cls(name=text, path=path, mounted=(read_from or Path("/")) / path[1:], revision=digest[1])

    def files(self, selection: Selection) -> list[File]:
        """The selected files of SHA256SUMS, each of which has to be there."""
        with self._reading(sums.NAME), self._inside(sums.NAME).open("rb") as stream:
            content = stream.read(sums.MOST_BYTES)
        where = f"{self.path}/{sums.NAME}"
        named = sums.read(content, expected=self.revision, where=where)
        return [self._file(path, sha256) for path, sha256 in sorted(named.items()) if selection.takes(path)]

    @contextmanager
    def read(self, file: File, offset: int) -> Iterator[Iterator[bytes]]:
        """The bytes of a file from `offset` to its end."""
        with self._reading(file.path):
            # Unbuffered: each chunk is copied once.
            stream = FileIO(self._inside(file.path))
        with stream:
            stream.seek(offset)
            yield self._chunks(stream, file)

    def _chunks(self, stream: FileIO, file: File) -> Iterator[bytes]:
        with self._reading(file.path):
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk
            if stream.tell() < file.size:
                raise SeedError(f"{self.path}/{file.path} got shorter while it was read: run again")

    def _file(self, path: str, sha256: str) -> File:
        with self._reading(path):
            size = self._inside(path).stat().st_size
        return File(path=path, size=size, digest=Digest(kind="sha256", value=sha256))

    def _inside(self, path: str) -> Path:
        """Where a file is, which no name and no link may lead out of the folder."""
        found = (self.mounted / path).resolve(strict=True)
        if not found.is_relative_to(self.mounted.resolve()):
            raise HopelessError(f"{self.path}/{path} leads out of the folder: put the file itself there")
        if not found.is_file():
            raise HopelessError(f"{self.path}/{path} is not a file: mend {sums.NAME}")
        return found

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        """What the file system has against it, in the seeder's words."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            missing = f"{self.path}/{path} is not there"
            if path == sums.NAME:
                raise HopelessError(
                    f"{missing}: is this the folder, on this node or claim? `{sums.command(self.path)}` makes it"
                ) from None
            raise HopelessError(f"{missing}, and {sums.NAME} names it: put it there, or make the list again") from None
        except PermissionError:
            raise HopelessError(
                f"{self.path}/{path} may not be read: `chmod -R a+rX` on the folder lets the seeder's user do it"
            ) from None
