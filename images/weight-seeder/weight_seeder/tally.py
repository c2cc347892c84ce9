"""How far a seeding is."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from weight_seeder.files import File


class Tally:
    """Bytes and files of a seeding, counted by its threads and read by the log and the metrics."""

    def __init__(self, files: Sequence[File]) -> None:
        self.expected_bytes = sum(file.size for file in files)
        self.expected_files = len(files)
        self.retries = 0
        self.wrong = 0
        self._lock = threading.Lock()
        # By path, and set as a whole: a file that is fetched again counts once. An assignment needs no lock.
        self._here: dict[str, int] = dict.fromkeys((file.path for file in files), 0)
        self._verified: dict[str, int] = dict(self._here)
        self._done: set[str] = set()

    @property
    def bytes(self) -> int:
        """Bytes of the selection that are on the volume."""
        return sum(self._here.values())

    @property
    def verified_bytes(self) -> int:
        """Bytes of it that were read back."""
        return sum(self._verified.values())

    @property
    def files(self) -> int:
        """Files whose checksum was found right."""
        return len(self._done)

    def here(self, path: str, size: int) -> None:
        """So many bytes of a file are on the volume."""
        self._here[path] = size

    def verified(self, path: str, size: int) -> None:
        """So many bytes of a file were read back."""
        self._verified[path] = size

    def lost(self, path: str) -> None:
        """What of a file was not read back has not got to the disk."""
        self._here[path] = self._verified[path]

    def done(self, path: str) -> None:
        """A file is whole and right."""
        self._done.add(path)

    def retried(self) -> None:
        """The source was asked again."""
        with self._lock:
            self.retries += 1

    def found_wrong(self) -> None:
        """A file had another content than announced, and is fetched again."""
        with self._lock:
            self.wrong += 1
