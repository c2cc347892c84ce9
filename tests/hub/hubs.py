"""Start the hub as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from rehearsal.hub import model
from tests.simulator.engines import free_port

START_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class RunningHub:
    """A running hub; `folder` is where it has the small model's files, read anew for every request."""

    url: str
    folder: Path
    log: Path


@contextmanager
def running(root: Path, *flags: str, **environment: str) -> Iterator[RunningHub]:
    """A hub that answers; it is ended at the end."""
    port, log = free_port(), root / "log"
    command = [sys.executable, "-m", "rehearsal.hub", f"--root={root}", f"--port={port}", *flags]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | environment)
    hub = RunningHub(url=f"http://127.0.0.1:{port}", folder=root / model.REPOSITORY, log=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client() as http:
            while not _answers(http, hub):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
        yield hub
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(http: httpx.Client, hub: RunningHub) -> bool:
    try:
        return http.get(f"{hub.url}/healthz").text == "ok"
    except httpx.ConnectError:
        return False
