"""When to ask a source again, and when to give up."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from weight_seeder.faults import SeedError, Transient

_T = TypeVar("_T")

_LONGEST = 60.0
"""The longest pause of its own, as a multiple of the first."""


class Retries:
    """Pauses that double, with jitter, and one gate for all downloads, which a source closes by Retry-After."""

    def __init__(self, *, patience: float, first_seconds: float, say: Callable[[str], None]) -> None:
        self._patience, self._first, self._say = patience, first_seconds, say
        self._progressed = time.monotonic()
        self._closed_until = 0.0
        self._stopped = threading.Event()

    def progressed(self) -> None:
        """Another byte has come in: patience starts anew."""
        self._progressed = time.monotonic()

    def stop(self) -> None:
        """Let nobody wait any longer, or try again."""
        self._stopped.set()

    def wait_for_gate(self) -> None:
        """Wait until the source may be asked."""
        while (left := self._closed_until - time.monotonic()) > 0 and not self._stopped.wait(left):
            pass

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Close the gate for all by the Retry-After of a failure in here, whoever waits after it."""
        try:
            yield
        except Transient as fault:
            self._heed(fault)
            raise

    def _heed(self, fault: Transient) -> None:
        # Other files are from the same source: it has asked all of them.
        self._closed_until = max(self._closed_until, time.monotonic() + (fault.retry_after or 0.0))

    def pause(self, fault: Transient, *, failures: int, what: str) -> None:
        """Wait after a failure, the longer the more there were in a row.

        Raises:
            SeedError: after `patience` seconds without a byte. A pause that the source has asked for is kept up to
                then first: a Job that starts anew would ask again too early.
        """
        idle = time.monotonic() - self._progressed
        if idle >= self._patience:
            raise SeedError(f"{what}: {fault}: given up after {idle:.0f} s without a byte")
        # Jitter: downloads that failed together would come back together.
        own = self._first * min(2.0 ** (failures - 1), _LONGEST) * random.uniform(0.5, 1)  # noqa: S311
        asked = fault.retry_after or 0.0
        if asked > self._patience - idle:
            self._say(f"{what}: {fault}: it asks to be left alone for {asked:.0f} s, longer than there is patience")
        else:
            self._say(f"{what}: {fault}: trying again in {max(own, asked):.0f} s")
        self._stopped.wait(own)
        self._wait_patiently(what, fault)
        if self._stopped.is_set():
            raise SeedError(f"{what}: {fault}")

    def _wait_patiently(self, what: str, fault: Transient) -> None:
        """Wait at the gate; bytes of other files, whose answers had begun, keep patience alive."""
        while (closed := self._closed_until - time.monotonic()) > 0 and not self._stopped.is_set():
            left = self._progressed + self._patience - time.monotonic()
            if left <= 0:
                raise SeedError(
                    f"{what}: {fault}: given up: it asks to be left alone for {closed:.0f} s more, and patience"
                    f" ends after {self._patience:.0f} s without a byte"
                )
            self._stopped.wait(min(closed, left))

    def until_answered(self, ask: Callable[[], _T], *, what: str) -> _T:
        """What `ask` returns, asked again as long as that may help."""
        failures = 0
        while True:
            try:
                return ask()
            except Transient as fault:
                failures += 1
                self._heed(fault)
                self.pause(fault, failures=failures, what=what)
