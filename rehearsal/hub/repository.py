"""A model folder as a Hugging Face repository: what is in it, and the hashes by which the hub names it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Files that the hub of Hugging Face keeps in large file storage, named by their sha256; the rest are git blobs.
_LARGE_SUFFIXES = frozenset({".safetensors", ".bin", ".gguf", ".pt", ".pth", ".model", ".onnx", ".msgpack"})
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a repository: path inside it, size in bytes, git blob id, and sha256 when it is a large file."""

    path: str
    size: int
    blob_id: str
    sha256: str | None

    @property
    def etag(self) -> str:
        """The hash that the hub gives as ETag: sha256 of a large file, else the git blob id."""
        return self.sha256 or self.blob_id


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A model repository at its only commit: `owner/name`, 40 hex digits, and its files in order of their paths."""

    id: str
    commit: str
    root: Path
    files: tuple[File, ...]

    def find(self, path: str) -> File | None:
        """The file at `path`, if the repository holds one."""
        return next((file for file in self.files if file.path == path), None)


def read(root: Path, *, repository_id: str) -> Repository:
    """Take in the folder `root` as a repository, hashing every file once; hidden files are left out."""
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not _hidden(path.relative_to(root)))
    files = tuple(
        describe(path.relative_to(root).as_posix(), size=path.stat().st_size, chunks=_chunks(path)) for path in paths
    )
    return Repository(id=repository_id, commit=commit(files), root=root, files=files)


def describe(path: str, *, size: int, chunks: Iterable[bytes]) -> File:
    """The file at `path` with the content `chunks` of `size` bytes in all, hashed as git, or git-lfs, names it."""
    if PurePosixPath(path).suffix not in _LARGE_SUFFIXES:
        return File(path=path, size=size, blob_id=_git_id("blob", size, chunks), sha256=None)
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    sha256 = digest.hexdigest()
    # What git itself holds of a large file (git-lfs specification, version 1).
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    return File(path=path, size=size, blob_id=_git_id("blob", len(pointer), [pointer]), sha256=sha256)


def commit(files: Iterable[File]) -> str:
    """A revision of 40 hex digits that follows from paths and contents alone: another byte, another revision.

    For a flat folder it is the id that git gives the tree of these files; a commit object would hold a date as well.
    """
    entries = sorted((file.path.encode(), bytes.fromhex(file.blob_id)) for file in files)
    tree = b"".join(b"100644 " + path + b"\0" + blob_id for path, blob_id in entries)
    return _git_id("tree", len(tree), [tree])


def _git_id(kind: str, size: int, chunks: Iterable[bytes]) -> str:
    """SHA-1 of an object as git stores it: its kind and size, then its content."""
    digest = hashlib.sha1(f"{kind} {size}\0".encode(), usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
