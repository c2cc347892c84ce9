"""Components as detached processes: started once, known again by a later run, stopped by their cgroup."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from rehearsal.cluster.cgroups import Cgroups
from rehearsal.cluster.layout import Folders
from rehearsal.fault import Fault

TAIL_LINES = 4


@dataclass(frozen=True, kw_only=True)
class Component:
    """A long-running program of the cluster.

    `group` is the cgroup that it and its children live in, `namespaces` what it enters (kind as `nsenter` names it, and
    file). `watched` are configuration files: if one changes, the component is started anew. `ready` says whether it
    serves.
    """

    name: str
    group: str
    command: tuple[str, ...]
    namespaces: tuple[tuple[str, Path], ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    watched: tuple[Path, ...] = ()
    ready: Callable[[], bool]
    ready_within_s: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Supervisor:
    """Starts, recognises and stops components. Has no process of its own: records on disk are its memory."""

    folders: Folders
    cgroups: Cgroups

    def ensure(self, component: Component) -> bool:
        """Have `component` run and be ready; True if it had to be started. Fault with its last lines if it cannot."""
        if self.alive(component.name) and self._recorded(component.name).get("spec") == _spec(component):
            if not component.ready():
                self._await_ready(component)
            return False
        self.stop(component.name)
        self._start(component)
        self._await_ready(component)
        return True

    def alive(self, name: str) -> bool:
        """Whether the recorded process still runs; a recycled pid does not count."""
        return self._process(name) is not None

    def stop(self, name: str, *, patience_s: float = 10.0) -> None:
        """End one component: SIGTERM, then SIGKILL after `patience_s`. What it started (pods) goes on."""
        process = self._process(name)
        if process is not None:
            process.terminate()
            try:
                process.wait(patience_s)
            except psutil.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait(patience_s)
        (self.folders.records / f"{name}.json").unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        """The component's log file."""
        return self.folders.logs / f"{name}.log"

    def recorded_names(self) -> list[str]:
        """Names of all components that were started and not stopped."""
        return sorted(path.stem for path in self.folders.records.glob("*.json"))

    def _start(self, component: Component) -> None:
        self.folders.logs.mkdir(parents=True, exist_ok=True)
        self.folders.records.mkdir(parents=True, exist_ok=True)
        with self.log(component.name).open("ab") as log:
            process = subprocess.Popen(
                # The shell joins the cgroup before it becomes the component: no child can ever be outside of it.
                [
                    *("/bin/sh", "-c", f'{self.cgroups.join_script(component.group)}exec "$@"', "sh"),
                    *enter(component.namespaces),
                    *component.command,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": "/", **component.environment},
            )
        record = {
            "pid": process.pid,
            "created": psutil.Process(process.pid).create_time(),
            "spec": _spec(component),
        }
        aside = self.folders.records / f".{component.name}.partial"
        aside.write_text(json.dumps(record))
        aside.replace(self.folders.records / f"{component.name}.json")

    def _await_ready(self, component: Component) -> None:
        deadline = time.monotonic() + component.ready_within_s
        while not component.ready():
            if not self.alive(component.name):
                raise Fault(
                    f"{component.name} ended at start: {self.tail(component.name)}; its log: {self.log(component.name)}"
                )
            if time.monotonic() > deadline:
                raise Fault(
                    f"{component.name} is not ready after {component.ready_within_s:.0f} s: "
                    f"{self.tail(component.name)}; "
                    f"its log: {self.log(component.name)}"
                )
            time.sleep(0.1)

    def tail(self, name: str) -> str:
        """The last lines of the component's log on one line."""
        with contextlib.suppress(FileNotFoundError):
            lines = self.log(name).read_text(errors="replace").strip().splitlines()[-TAIL_LINES:]
            return " | ".join(line[:300] for line in lines)
        return "no log"

    def _recorded(self, name: str) -> dict[str, object]:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            record: dict[str, object] = json.loads((self.folders.records / f"{name}.json").read_text())
            return record
        return {}

    def _process(self, name: str) -> psutil.Process | None:
        record = self._recorded(name)
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(int(str(record.get("pid", -1)))) if record else None
            if process and process.create_time() == record["created"] and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


def enter(namespaces: tuple[tuple[str, Path], ...]) -> tuple[str, ...]:
    """The command that runs another one in `namespaces`."""
    return ("nsenter", *(f"--{kind}={path}" for kind, path in namespaces)) if namespaces else ()


def _spec(component: Component) -> str:
    """What the component was started with: if it differs, it must be started anew."""
    # A namespace that was removed and made again has the same path but another inode.
    inodes = [(kind, path.stat().st_ino) for kind, path in component.namespaces]
    digest = hashlib.sha256(json.dumps([inodes, component.command, sorted(component.environment.items())]).encode())
    for path in component.watched:
        digest.update(path.read_bytes())
    return digest.hexdigest()
