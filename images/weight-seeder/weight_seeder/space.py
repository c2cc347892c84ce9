"""Room on the volume: enough of it before the first byte, and one line where it runs out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weight_seeder import volume
from weight_seeder.console import say
from weight_seeder.tally import Tally

_GROWN = 0.9
"""Of what a claim asks for, as a file system has at least when the volume has grown: the rest is its own."""

_POLL_SECONDS = 5.0


def ensure(root: Path, tally: Tally, *, promised: int, patience: float) -> None:
    """See that there is room for what is still to come.

    A volume of less than the `promised` bytes (0: none are) is one that is still growing: that is waited for.

    Raises:
        HopelessError: there is not, after `patience` seconds in which it did not grow as far.
    """
    needed = tally.expected_bytes - tally.bytes
    end = time.monotonic() + patience
    told = False
    while needed > volume.free_bytes(root):
        here = volume.total_bytes(root) if promised else 0
        if here >= _GROWN * promised or time.monotonic() >= end:
            raise volume.no_space(needed, root)
        if not told:
            say(f"{root} has {here} of the {promised} bytes that its claim asks for: waiting for it to grow")
            told = True
        time.sleep(_POLL_SECONDS)


@contextmanager
def fault_told(root: Path, tally: Tally) -> Iterator[None]:
    """A volume that is full, which many calls may be the first to find, is told with what is still to come.

    Raises:
        HopelessError: it is.
    """
    try:
        yield
    except OSError as error:
        if not volume.is_full(error):
            raise
        raise volume.no_space(tally.expected_bytes - tally.bytes, root) from error
