"""One at a time: a lock that falls with the process that holds it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rehearsal.progress import step


@contextmanager
def locked(file: Path, *, what: str) -> Iterator[None]:
    """Hold the lock in `file` while the block runs; where another process has it, wait and say so (`what` it does)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step(f"another run {what}: waiting for it"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
