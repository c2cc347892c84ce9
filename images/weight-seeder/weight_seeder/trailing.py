"""Verification that follows the download: what was written is read back from the volume while the rest comes in."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from weight_seeder.digests import hasher
from weight_seeder.files import File
from weight_seeder.tally import Tally

BLOCK = 16 << 20
"""Bytes after which a reader follows: a larger block leaves more to be read back when the last byte has come."""

_READ = 256 << 10
"""Fits into a processor's own cache: what was read is hashed from there."""


class Trailing:
    """Reads a growing file back from the volume, block by block, and computes its checksums.

    Each block is first brought to the disk and dropped from the page cache, so that what is read is what the volume
    holds and not what memory does. (A file system that lives in memory, or one that will not drop, reads the cache.)
    """

    def __init__(self, path: Path, file: File, tally: Tally, *, block: int = BLOCK) -> None:
        self._path, self._file, self._tally, self._block = path, file, tally, block
        self._hashers = {kind: hasher(kind, file.size) for kind in {"sha256", file.digest.kind}}
        self._changed = threading.Condition()
        self._written = 0
        self._awaited = 0
        self._ended = False
        self._fault: OSError | None = None
        self._thread = threading.Thread(target=self._follow, name=f"verify {file.path}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def written(self, size: int) -> None:
        """So many bytes were written. Raises OSError where the ones before them did not get to the disk."""
        with self._changed:
            self._written = size
            self._raise_fault()
            if size >= self._awaited:
                self._changed.notify()

    def digests(self) -> dict[str, str]:
        """The file's digests by kind, once its last byte was written and read back.

        Raises:
            OSError: the file could not be brought to the disk, or not be read.
        """
        self._thread.join()
        self._raise_fault()
        return {kind: each.hexdigest() for kind, each in self._hashers.items()}

    def _raise_fault(self) -> None:
        if self._fault:
            self._tally.lost(self._file.path)
            raise self._fault

    def _follow(self) -> None:
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
            try:
                self._read_to_the_end(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            with self._changed:
                self._fault = error

    def _read_to_the_end(self, descriptor: int) -> None:
        buffer = memoryview(bytearray(min(_READ, max(self._file.size, 1))))
        position = 0
        while position < self._file.size and (target := self._next_target(position)) is not None:
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, position, target - position, os.POSIX_FADV_DONTNEED)
            while position < target and not self._ended:
                size = os.preadv(descriptor, [buffer[: target - position]], position)
                if not size:
                    raise OSError(f"{self._path} has become shorter while it was read back")
                for each in self._hashers.values():
                    each.update(buffer[:size])
                position += size
                self._tally.verified(self._file.path, position)

    def _next_target(self, position: int) -> int | None:
        """Up to where to read next; None where the rest will not come."""
        with self._changed:
            self._awaited = min(position + self._block, self._file.size)
            self._changed.wait_for(lambda: self._ended or self._written >= self._awaited)
            return None if self._ended else self._written
