"""One seeder a folder: a lock with an owner and a time at which it lapses.

Where the file system has flock, the kernel lets go of it when its holder dies, and the next one goes on at once. A
holder that is frozen, or whose node is lost, keeps its flock: then the time counts, which a living holder puts off
every third of the lease. On a file system without flock the time is all there is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from weight_seeder import lock_file
from weight_seeder.console import say
from weight_seeder.faults import SeedError

_NO_FLOCK = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL})
_POLL_SECONDS = 0.5
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""One that goes on while the machine is suspended, where there is one: the lease lapses meanwhile."""


class LeaseLost(SeedError):
    """Another seeder has taken the folder over, or may have by now."""


class Lease:
    """The right to change what belongs to a folder, for as long as it is renewed."""

    def __init__(self, path: Path, *, seconds: float, on_loss: Callable[[str], None]) -> None:
        """`on_loss` is called with a line, by the thread that renews, when another seeder has taken over."""
        self.path, self.seconds = path, seconds
        self.owner = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:12]}"
        self.usurped = False
        """Whether the one before had not let go: it may still write to files that it had open."""
        self._on_loss = on_loss
        self._descriptor = -1
        self._valid_until = 0.0
        self._released = threading.Event()
        self._keeper: threading.Thread | None = None
        self._with_flock = True

    def acquire(self, *, busy: str = "another seeder is at work on this revision") -> None:
        """Wait until the folder is ours; `busy` says why, if need be."""
        told = False
        while not self.try_acquire():
            if not told:
                owner = lock_file.read(self.path)[0] or "one that has just begun"
                say(f"{busy}: waiting for it ({owner})")
                told = True
            time.sleep(min(_POLL_SECONDS, self.seconds / 4))

    def try_acquire(self) -> bool:
        """Take the folder if nobody has it."""
        taken = self._try()
        if taken:
            self._keeper = threading.Thread(target=self._keep, name="lease", daemon=True)
            self._keeper.start()
        return taken

    def release(self) -> None:
        """Let the next one in."""
        self._stop_renewing()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            # Empty means free, on a file system without flock as well. A file that others may wait at is not removed.
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def discard(self) -> None:
        """Let go of what is no more, and leave no lock file behind."""
        # A renewal in between would find the file gone, and take that for a loss.
        self._stop_renewing()
        try:
            with self.critical():
                self.path.unlink()
                self.path.with_suffix(".guard").unlink()
        finally:
            self.release()

    def check(self) -> None:
        """Raise LeaseLost unless the folder is ours still: before every write."""
        if time.clock_gettime(_CLOCK) >= self._valid_until:
            # A process that was frozen for long wakes up here; perhaps nobody has noticed.
            self.renew()

    def renew(self) -> None:
        """Put off the time at which the lease lapses.

        Raises:
            LeaseLost: the lock file is another's by now.
        """
        begun = time.clock_gettime(_CLOCK)
        if self._descriptor < 0 or not self._ours():
            self._valid_until = 0.0
            raise LeaseLost(f"the lock of {self.path.stem} is another seeder's by now: nothing more is touched")
        lock_file.write(self._descriptor, self.owner, self.seconds)
        self._valid_until = begun + self.seconds

    @contextmanager
    def critical(self) -> Iterator[None]:
        """What must not happen after a take-over: whoever takes over waits until it has happened.

        For moments only, and for what readers see: while a holder is frozen in here, nobody can take over.
        """
        with self._guard():
            self.renew()
            yield

    def _try(self) -> bool:
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
            return self._take(descriptor)
        os.close(descriptor)
        if free:
            return False  # replaced between opening and locking it
        owner, expires = lock_file.read(self.path)
        if self._with_flock:
            # One lease more than it says, since clocks differ.
            return time.time() > expires + self.seconds and self._take_over(owner)
        return (owner == "" or time.time() > expires + self.seconds) and self._take_over(owner)

    def _take(self, descriptor: int) -> bool:
        self._descriptor = descriptor
        lock_file.write(descriptor, self.owner, self.seconds)
        self._valid_until = time.clock_gettime(_CLOCK) + self.seconds
        return True

    def _take_over(self, owner: str) -> bool:
        """Put a new lock file into the place of the one of `owner`, unless another was faster."""
        new = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex[:12]}")
        with self._guard():
            if lock_file.read(self.path)[0] != owner:
                return False
            if self._with_flock:
                descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                self._take(descriptor)
                new.replace(self.path)
            elif not self._take_without_flock(new, owner):
                return False
        self.usurped = owner != ""
        return True

    def _take_without_flock(self, new: Path, owner: str) -> bool:
        """As above where no guard keeps others out: of several that rename a file away, one succeeds."""
        try:
            self.path.rename(new)
            if lock_file.read(new)[0] != owner:
                new.rename(self.path)  # somebody has taken it since
                return False
            new.unlink()
            self._take(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644))
        except (FileNotFoundError, FileExistsError):
            return False
        if self._ours():
            return True
        os.close(self._descriptor)
        self._descriptor = -1
        return False

    def _ours(self) -> bool:
        return lock_file.same(self._descriptor, self.path) and lock_file.read(self.path)[0] == self.owner

    def _stop_renewing(self) -> None:
        """Until it has ended, the thread that renews may write to the lock file."""
        self._released.set()
        if self._keeper:
            self._keeper.join()
        self._valid_until = 0.0

    def _keep(self) -> None:
        while not self._released.wait(self.seconds / 3):
            try:
                self.renew()
            except LeaseLost as lost:
                if not self._released.is_set():
                    self._on_loss(str(lost))
                return
            except OSError:
                continue  # the volume is away for a moment; check() looks when the time is up

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """One at a time, for moments only."""
        path = self.path.with_suffix(".guard")
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if self._with_flock:
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                    if not lock_file.same(descriptor, path):
                        continue  # removed while we waited
                yield
                return
            finally:
                os.close(descriptor)
