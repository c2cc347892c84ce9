"""Numbers of a Deployment as they change, each change with its time."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from typing import Self

from rehearsal.kubectl import Kubectl


class Counts:
    """Watches numbers of a Deployment, named by their paths, while the block runs; one that is not there is 0."""

    def __init__(self, kubectl: Kubectl, namespace: str, deployment: str, *fields: str) -> None:
        numbers = ",".join(f"{{{field}}}" for field in fields)
        here = (f"--namespace={namespace}", "-w", f"-o=jsonpath={numbers}{{'\\n'}}")
        self._command = kubectl.command("get", "deployment", deployment, *here)
        self._environment = {**os.environ, **kubectl.environment}
        self.seen: list[tuple[float, tuple[int, ...]]] = []
        """Each change with its time, in seconds since the epoch."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        return self

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.seen.append((time.time(), tuple(int(number or 0) for number in line.strip().split(","))))

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._thread.join()
        if self._process.stdout:
            self._process.stdout.close()
        self._process.wait()
