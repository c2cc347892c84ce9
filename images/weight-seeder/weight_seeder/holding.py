"""A lock file in one hand at a time: taken while it is free, taken over when its holder is lost.

Where the file system has flock, the kernel lets go of it when its holder dies. On one without, a file that is not empty
is held, and of several that rename it away one succeeds.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weight_seeder import lock_file

_NO_FLOCK = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL})


class Holding:
    """One's own hand on a lock file, or the wish for it; who holds it says so for some seconds at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:12]}"
        self.usurped = False
        """Whether the one before had not let go: it may still write to files that it had open."""
        self._descriptor = -1
        self._with_flock = True

    def take(self, seconds: float) -> bool:
        """Take the file for so long if nobody has it, or its holder has not renewed for too long."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            self._with_flock, free = False, False
        if free and lock_file.same(descriptor, self.path):
            self._hold(descriptor, seconds)
            return True
        os.close(descriptor)
        if free:
            return False  # replaced between opening and locking it
        owner, expires = lock_file.read(self.path)
        # One lease more than it says, since clocks differ.
        lapsed = time.time() > expires + seconds
        return (lapsed or (owner == "" and not self._with_flock)) and self._take_over(owner, seconds)

    def ours(self) -> bool:
        """Whether the file is still the one that was taken."""
        held = self._descriptor >= 0 and lock_file.same(self._descriptor, self.path)
        return held and lock_file.read(self.path)[0] == self.owner

    def renew(self, seconds: float) -> None:
        """Say that it is held for so long from now on."""
        lock_file.write(self._descriptor, self.owner, seconds)

    def let_go(self) -> None:
        """Let the next one in."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            # Empty means free, on a file system without flock as well. A file that others may wait at is not removed.
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def remove(self) -> None:
        """Leave no lock file behind; within the guard."""
        self.path.unlink()
        self._guard_path.unlink()

    @contextmanager
    def guard(self) -> Iterator[None]:
        """One at a time, for moments only."""
        while True:
            descriptor = os.open(self._guard_path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if self._with_flock:
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                    if not lock_file.same(descriptor, self._guard_path):
                        continue  # removed while we waited
                yield
                return
            finally:
                os.close(descriptor)

    @property
    def _guard_path(self) -> Path:
        return self.path.with_suffix(".guard")

    def _hold(self, descriptor: int, seconds: float) -> None:
        self._descriptor = descriptor
        self.renew(seconds)

    def _take_over(self, owner: str, seconds: float) -> bool:
        """Put a new lock file into the place of the one of `owner`, unless another was faster."""
        new = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex[:12]}")
        with self.guard():
            if lock_file.read(self.path)[0] != owner:
                return False
            if self._with_flock:
                descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                self._hold(descriptor, seconds)
                new.replace(self.path)
            elif not self._take_without_flock(new, owner, seconds):
                return False
        self.usurped = owner != ""
        return True

    def _take_without_flock(self, new: Path, owner: str, seconds: float) -> bool:
        """As above where no guard keeps others out: of several that rename a file away, one succeeds."""
        try:
            self.path.rename(new)
            if lock_file.read(new)[0] != owner:
                new.rename(self.path)  # somebody has taken it since
                return False
            new.unlink()
            self._hold(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644), seconds)
        except (FileNotFoundError, FileExistsError):
            return False
        if self.ours():
            return True
        os.close(self._descriptor)
        self._descriptor = -1
        return False
