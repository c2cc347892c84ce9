"""The real `ollama`: its server as a process, and its commands."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.simulator import engines
from tests.simulator.engines import Engine

START_SECONDS = 120
"""For a machine that has other work."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """The program, and the authority whose registries it trusts."""

    program: Path
    authority: Path

    def environment(self, home: Path, port: int) -> dict[str, str]:
        """What its server and its commands need: nothing of ours."""
        return {
            "HOME": str(home),
            "OLLAMA_HOST": f"127.0.0.1:{port}",
            "OLLAMA_NOPRUNE": "1",
            "PATH": f"{self.program.parent}:{os.environ['PATH']}",
            "SSL_CERT_FILE": str(self.authority),
            "USER": "inference",
        }

    def run(self, environment: Mapping[str, str], *words: str) -> None:
        """One of its commands, which must not fail."""
        done = subprocess.run([self.program, *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    @contextmanager
    def serving(
        self, environment: Mapping[str, str], log: Path, *, port: int, within: tuple[str, ...] = ()
    ) -> Iterator[Engine]:
        """Its server, until the block ends; `within` is a command that runs another (setpriv ...)."""
        # The kernel ends it with the test run, however that ends.
        command = [*within, "setpriv", "--pdeathsig", "TERM", str(self.program), "serve"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        engine = Engine(url=f"http://127.0.0.1:{port}", process=process, log=log)
        with engines.ended(engine):
            wait_until_it_answers(engine)
            yield engine


def wait_until_it_answers(engine: Engine) -> None:
    """Wait for its server's first answer."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert engine.process.poll() is None, engine.log.read_text()
        assert time.monotonic() < deadline, engine.log.read_text()
        try:
            engine.get("/")
        except httpx.ConnectError:
            time.sleep(0.05)
        else:
            return
