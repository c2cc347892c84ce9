"""One seeder a folder: a lock with an owner and a time at which it lapses.

Where the file system has flock, the kernel lets go of it when its holder dies, and the next one goes on at once. A
holder that is frozen, or whose node is lost, keeps its flock: then the time counts, which a living holder puts off
every third of the lease. On a file system without flock the time is all there is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from weight_seeder import lock_file
from weight_seeder.console import say
from weight_seeder.faults import SeedError
from weight_seeder.holding import Holding

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
        self.usurped = False
        """Whether the one before had not let go: it may still write to files that it had open."""
        self._holding = Holding(path)
        self._on_loss = on_loss
        self._valid_until = 0.0
        self._released = threading.Event()
        self._keeper: threading.Thread | None = None

    @property
    def owner(self) -> str:
        """Who this is in the lock file: host, process and a word of its own."""
        return self._holding.owner

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
        if not self._holding.take(self.seconds):
            return False
        self._valid_until = time.clock_gettime(_CLOCK) + self.seconds
        self.usurped = self._holding.usurped
        self._keeper = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._keeper.start()
        return True

    def release(self) -> None:
        """Let the next one in."""
        self._stop_renewing()
        self._holding.let_go()

    def discard(self) -> None:
        """Let go of what is no more, and leave no lock file behind."""
        # A renewal in between would find the file gone, and take that for a loss.
        self._stop_renewing()
        try:
            with self.critical():
                self._holding.remove()
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
        if not self._holding.ours():
            self._valid_until = 0.0
            raise LeaseLost(f"the lock of {self.path.stem} is another seeder's by now: nothing more is touched")
        self._holding.renew(self.seconds)
        self._valid_until = begun + self.seconds

    @contextmanager
    def critical(self) -> Iterator[None]:
        """What must not happen after a take-over: whoever takes over waits until it has happened.

        For moments only, and for what readers see: while a holder is frozen in here, nobody can take over.
        """
        with self._holding.guard():
            self.renew()
            yield

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
