"""A server as a process for as long as a block runs: on the address that its log names, and ended with us."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rehearsal.fault import Fault

START_S, STOP_S = 30.0, 5.0


@contextmanager
def serving(
    command: Sequence[str | Path], log: Path, *, listens: str, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The address that the log names: the first group of the pattern `listens`. It gets `environment`, or ours.

    Raises:
        Fault: it ended, or named none, within 30 seconds.
    """
    # The kernel ends it with us, however we end.
    bound = ["setpriv", "--pdeathsig", "TERM", *map(str, command)]
    with log.open("wb") as output:
        process = subprocess.Popen(bound, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
    try:
        yield _address(process, log, listens)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path, listens: str) -> str:
    begun = time.monotonic()
    while process.poll() is None and time.monotonic() < begun + START_S:
        if found := re.search(listens, log.read_text()):
            return found[1]
        time.sleep(0.02)
    last = " | ".join(log.read_text().strip().splitlines()[-3:])
    raise Fault(f"the server with the log {log} did not start: {last}; run again")
