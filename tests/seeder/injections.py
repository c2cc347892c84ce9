"""What the injections into seeding have in common: a volume, the seeder on it, and what must hold after each fault."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.figures import FIGURES
from tests.hub.hubs import RunningHub

# Another copy of it, to see that what is broken there is found here.
PACKAGE = Path(os.environ.get("SEEDER_PACKAGE", "images/weight-seeder")).resolve()
TOKEN = "hf_a-token-that-nobody-may-see"
SECONDS = 60.0
MARKER = ".seeded.json"

KILLS, FAULTS, FILES, WRONG = (
    f"seeding: {what}" for what in ("kills -9", "other faults injected", "files verified", "files published wrong")
)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A seeder that has ended."""

    code: int
    output: str


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A repository of the hub, and the volume that it is seeded to; `sha256s` by path is what the hub has."""

    hub: RunningHub
    volume: Path
    repository: str
    commit: str
    sha256s: dict[str, str]
    folder: str = "rehearsal--model/000000000000-00000000"
    flags: tuple[str, ...] = ("--retry-seconds=0.05", "--metrics-port=0")
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def source(self) -> str:
        return f"hf://{self.repository}@{self.commit}"

    @property
    def published(self) -> Path:
        return self.volume / self.folder

    @property
    def work(self) -> Path:
        return self.volume / ".incoming" / self.folder.replace("/", "--")

    def arguments(self, *flags: str) -> list[str]:
        return ["seed", f"--source={self.source}", f"--volume={self.volume}", f"--folder={self.folder}", *flags]

    @property
    def environment(self) -> dict[str, str]:
        """As in the pod: no home to write to, and the token where the process list does not show it."""
        own = {"PYTHONPATH": str(PACKAGE), "HF_ENDPOINT": self.hub.url, "HF_TOKEN": TOKEN}
        return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **own}

    def start(self, *flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "weight_seeder", *self.arguments(*self.flags, *flags)]
        process = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for its end; what it said must not give the token away, and what it left must not be wrong."""
        output, _ = process.communicate(timeout=SECONDS)
        assert TOKEN not in output
        assert "Traceback" not in output, output
        self.check()
        return Ended(code=process.returncode, output=output)

    def seed(self, *flags: str) -> Ended:
        return self.finish(self.start(*flags))

    def kill(self, process: subprocess.Popen[str]) -> bool:
        """Kill -9; whether it has hit the process alive."""
        process.kill()
        output, _ = process.communicate(timeout=SECONDS)
        assert TOKEN not in output
        self.check()
        killed = process.returncode == -9
        FIGURES[KILLS] += killed
        return killed

    def end(self) -> None:
        """Leave no seeder behind that a failed test has not waited for."""
        for process in self.started:
            process.kill()
            process.communicate()

    def hit(self, **expected: int) -> None:
        """Each of these faults did happen, at least that often."""
        injected = self.hub.injected()
        FIGURES[FAULTS] += sum(count for kind, count in injected.items() if kind != "throttle")
        assert {kind: min(count, injected[kind.strip("_")]) for kind, count in expected.items()} == expected, injected

    def check(self) -> bool:
        """Nothing is published, or every file is the hub's and the marker lists just these; returns whether it is."""
        FIGURES[WRONG] += 0
        if not (self.published / MARKER).exists():
            return False
        found = {path: _sha256(self.published / path) for path in self.sha256s}
        listed = {each["path"]: each["sha256"] for each in json.loads((self.published / MARKER).read_bytes())["files"]}
        wrong = [path for path, sha256 in self.sha256s.items() if not found[path] == listed.get(path) == sha256]
        FIGURES[WRONG] += len(wrong)
        FIGURES[FILES] += len(found) - len(wrong)
        assert not wrong, f"published wrong: {wrong}"
        assert listed.keys() == self.sha256s.keys()
        return True

    def completes(self, *flags: str) -> Ended:
        """A run from a hub in order brings it all, whatever there was before, and leaves no work behind."""
        self.hub.inject()
        ended = self.seed(*flags)
        assert ended.code == 0, ended.output
        assert self.check()
        assert not self.work.exists()
        return ended

    def downloaded(self) -> int:
        """Bytes in the files that grow."""
        return sum(_size(path) for path in self.work.rglob("*.part"))

    def wait_for(self, process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
        """Wait until something is so, while the process lives."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.005)


def flip(path: Path, offset: int) -> None:
    """Flip a bit of a file on the volume."""
    with path.open("r+b", buffering=0) as stream:
        stream.seek(offset)
        (byte,) = stream.read(1)
        stream.seek(offset)
        stream.write(bytes([byte ^ 1]))
    FIGURES[FAULTS] += 1


def truncate(path: Path, size: int) -> None:
    """Cut a file on the volume."""
    os.truncate(path, size)
    FIGURES[FAULTS] += 1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # renamed in between
        return 0


def _sha256(path: Path) -> str:
    try:
        with path.open("rb", buffering=0) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing"
