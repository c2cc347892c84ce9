"""Lines about how far a seeding is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from weight_seeder.console import amount, say
from weight_seeder.tally import Tally

_SECONDS = 5.0
_WEIGHT = 0.4
"""Of the newest interval in the rate: a short stall does not make the estimate jump."""


@contextmanager
def reported(tally: Tally, *, seconds: float = _SECONDS) -> Iterator[None]:
    """Print bytes, rate and estimate every few seconds; also once at the start, where a resumed run shows its find."""
    say(
        f"{tally.expected_files} files, {amount(tally.expected_bytes)}, of which {amount(tally.bytes)} are here already"
    )
    done = threading.Event()
    thread = threading.Thread(target=_report, args=(tally, done, seconds), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _report(tally: Tally, done: threading.Event, seconds: float) -> None:
    before, rate = tally.bytes, 0.0
    begun = time.monotonic()
    while not done.wait(seconds):
        now, here = time.monotonic(), tally.bytes
        latest = max(0.0, (here - before) / (now - begun))
        rate = latest if not rate else _WEIGHT * latest + (1 - _WEIGHT) * rate
        before, begun = here, now
        say(line(tally, rate))


def line(tally: Tally, rate: float) -> str:
    """Where a seeding is, at a rate in bytes per second."""
    here, total = tally.bytes, tally.expected_bytes
    if here == total:
        left = f"{amount(total - tally.verified_bytes)} are still to be read back"
    else:
        left = f"about {(total - here) / rate:.0f} s left" if rate >= 1 else "waiting for the source"
    return f"{amount(here)} of {amount(total)} ({100 * here // max(total, 1)} %), {amount(rate)}/s, {left}"
