"""Start the hub as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rehearsal.hub import model
from rehearsal.hub.injector import PATH
from tests.simulator.engines import free_port

START_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class RunningHub:
    """A running hub; `folder` is where it has the small model's files, read anew for every request."""

    url: str
    folder: Path
    log: Path
    http: httpx.Client

    def inject(self, *faults: dict[str, Any], seed: int = 0) -> None:
        """From now on, break answers like this, and like nothing asked for before."""
        answer = self.http.put(f"{self.url}{PATH}", json={"seed": seed, "faults": faults})
        assert answer.status_code == httpx.codes.OK, answer.text

    def injected(self) -> Counter[str]:
        """How often each fault has hit since it was asked for, by its kind or status."""
        return Counter(self.http.get(f"{self.url}{PATH}").json()["injected"])

    def requests(self) -> list[dict[str, Any]]:
        """The requests since faults were asked for the last time."""
        requests: list[dict[str, Any]] = self.http.get(f"{self.url}{PATH}").json()["requests"]
        return requests


@contextmanager
def running(root: Path, *flags: str, **environment: str) -> Iterator[RunningHub]:
    """A hub that answers; it is ended at the end."""
    port, log = free_port(), root / "log"
    command = [sys.executable, "-m", "rehearsal.hub", f"--root={root}", f"--port={port}", *flags]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | environment)
    try:
        # A connection a request: the hub may have closed one that waits.
        with httpx.Client(limits=httpx.Limits(max_keepalive_connections=0)) as http:
            hub = RunningHub(url=f"http://127.0.0.1:{port}", folder=root / model.REPOSITORY, log=log, http=http)
            deadline = time.monotonic() + START_SECONDS
            while not _answers(hub):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            yield hub
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(hub: RunningHub) -> bool:
    try:
        return hub.http.get(f"{hub.url}/healthz").text == "ok"
    except httpx.ConnectError:
        return False
