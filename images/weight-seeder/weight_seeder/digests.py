"""The names that sources know contents by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

from weight_seeder.faults import HopelessError

_CRC_BYTES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8}


class Hasher(Protocol):
    """What hashlib's objects can do that is needed here."""

    def update(self, data: memoryview, /) -> None:
        """Take in the next bytes."""

    def hexdigest(self) -> str:
        """The digest of all bytes so far, in hex."""


def hasher(kind: str, size: int) -> Hasher:
    """What computes a digest of this kind for a file of `size` bytes.

    Raises:
        HopelessError: for a kind that is not known.
    """
    if kind == "sha256":
        return hashlib.sha256()
    if kind == "git-blob":
        return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    if kind in _CRC_BYTES:
        return _Crc(kind)
    raise HopelessError(f"the source announces a checksum of the kind {kind!r}, which is not known")


class _Crc:
    """One of S3's checksums, big-endian as S3 writes it."""

    def __init__(self, kind: str) -> None:
        # Only for sources that have them: the library takes 20 MB.
        from awscrt import checksums  # type: ignore[import-untyped]  # noqa: PLC0415

        self._step: Callable[[memoryview, int], int] = getattr(checksums, kind)
        self._width = 2 * _CRC_BYTES[kind]
        self._value = 0

    def update(self, data: memoryview, /) -> None:
        self._value = self._step(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:0{self._width}x}"
