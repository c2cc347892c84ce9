"""The seeder, killed before its Nth change of a name on the volume: a program with the seeder's environment.

Reads `{"volume": ..., "arguments": [...], "at": N}` from each line, has a fork carry it out, and answers with the exit
status of that and with what was not on the disk when it was published: a power cut could have made it empty.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from weight_seeder import cli
from weight_seeder.sources import hub  # noqa: F401  # imported once, for all forks

CHANGES = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link"})
MARKER = ".seeded.json"


class Watch:
    """Counts changes, kills at one of them, and knows what was brought to the disk since it was changed last."""

    def __init__(self, volume: Path, at: int, report: int) -> None:
        self._volume, self._at, self._report = volume, at, report
        self._lock = threading.Lock()
        self._changes = 0
        self._synced: dict[int, int] = {}

    def start(self) -> None:
        for name in ("fsync", "fdatasync"):
            setattr(os, name, self._noting(getattr(os, name)))
        sys.addaudithook(self._before)

    def _noting(self, sync: Any) -> Any:
        def noted(descriptor: int) -> None:
            before = os.fstat(descriptor)
            sync(descriptor)
            self._synced[before.st_ino] = before.st_mtime_ns

        return noted

    def _before(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CHANGES or not str(arguments[0]).startswith(f"{self._volume}/"):
            return
        with self._lock:
            self._changes += 1
            if event == "os.rename":
                self._look(Path(arguments[0]), Path(arguments[1]))
            if self._changes == self._at:
                os.kill(os.getpid(), signal.SIGKILL)

    def _look(self, old: Path, new: Path) -> None:
        """Before a folder is published, all of it must be on the disk; before a marker is, all that it lists."""
        if old.is_dir() and ".incoming" not in new.parts:
            self._say(old, *old.rglob("*"))
        elif new.name == MARKER:
            self._say(*old.parent.rglob("*"))

    def _say(self, *paths: Path) -> None:
        for path in paths:
            found = path.stat()
            if self._synced.get(found.st_ino) != found.st_mtime_ns:
                os.write(self._report, f"{path.relative_to(self._volume)}\n".encode())


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Run the seeder in a fork: the imports, which take most of the time, are there already."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.dup2(nowhere, sys.stderr.fileno())
        Watch(Path(order["volume"]), order["at"], writer).start()
        sys.argv = ["weight-seeder", *order["arguments"]]
        cli.run()
    os.close(writer)
    with os.fdopen(reader) as report:
        unsynced = report.read().splitlines()
    return {"status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "unsynced": unsynced}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line))), flush=True)  # noqa: T201  # the answer
