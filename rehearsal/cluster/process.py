"""Components as detached processes: started once, known again by a later run, stopped by their cgroup."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from rehearsal.cluster.cgroups import Cgroups
from rehearsal.cluster.layout import Folders
from rehearsal.fault import Fault
from rehearsal.progress import notes

TAIL_LINES = 4
HUNG_AFTER_S = 20.0
"""A component that runs and does not answer for this long is started anew."""

GRACE_S = 2.0
MOST_LOG_BYTES = 16 << 20


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
            if component.ready() or self._comes_ready(component, HUNG_AFTER_S):
                return False
            notes.print(f"{component.name} runs and does not answer: starting it anew")
        self.stop(component.name)
        self._start(component)
        if not self._comes_ready(component, component.ready_within_s):
            ended = "is not ready" if self.alive(component.name) else "ended at start"
            raise Fault(f"{component.name} {ended}: {self.tail(component.name)}; its log: {self.log(component.name)}")
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
                process.kill()
                process.wait(patience_s)
        for path in (self._pid_file(name), self._record_file(name)):
            path.unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        """The component's log file."""
        return self.folders.logs / f"{name}.log"

    def recorded_names(self) -> list[str]:
        """Names of all components that were started and not stopped."""
        return sorted(path.stem for path in self.folders.records.glob("*.json"))

    def _start(self, component: Component) -> None:
        self.folders.logs.mkdir(parents=True, exist_ok=True)
        self.folders.records.mkdir(parents=True, exist_ok=True)
        log = self.log(component.name)
        if log.exists() and log.stat().st_size > MOST_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        self._record_file(component.name).write_text(json.dumps({"spec": _spec(component), "boot": _boot()}))
        # The shell joins the cgroup and notes its pid before it becomes the component: however this process may end,
        # no child is outside of the group, and none is unknown to the next run.
        note = f"echo $$ $(cut -d ' ' -f 22 /proc/$$/stat) > {shlex.quote(str(self._pid_file(component.name)))} && "
        script = f'{self.cgroups.join_script(component.group)}{note}exec "$@"'
        with log.open("ab") as output:
            subprocess.Popen(
                ["/bin/sh", "-c", script, "sh", *enter(component.namespaces), *component.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": "/", **component.environment},
            )

    def _comes_ready(self, component: Component, within_s: float) -> bool:
        """Wait until the component is ready; False if it ends first, or `within_s` have passed."""
        begun = time.monotonic()
        while time.monotonic() < begun + within_s:
            alive = self.alive(component.name)
            # Another process may answer in its place.
            if alive and component.ready():
                return True
            # The shell needs a moment to note its pid.
            if not alive and time.monotonic() > begun + GRACE_S:
                return False
            time.sleep(0.1)
        return False

    def tail(self, name: str) -> str:
        """The last lines of the component's log on one line."""
        with contextlib.suppress(FileNotFoundError):
            lines = self.log(name).read_text(errors="replace").strip().splitlines()[-TAIL_LINES:]
            return " | ".join(line[:300] for line in lines)
        return "no log"

    def _record_file(self, name: str) -> Path:
        return self.folders.records / f"{name}.json"

    def _pid_file(self, name: str) -> Path:
        return self.folders.records / f"{name}.pid"

    def _recorded(self, name: str) -> dict[str, object]:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            record: dict[str, object] = json.loads(self._record_file(name).read_text())
            return record
        return {}

    def _process(self, name: str) -> psutil.Process | None:
        """The recorded process. Its identity is pid, start in clock ticks, and boot: none follows the wall clock."""
        with contextlib.suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            pid, ticks = self._pid_file(name).read_text().split()
            state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            # `state` is the third field of the line, the start the twenty-second.
            if state != "Z" and fields[18] == ticks and self._recorded(name).get("boot") == _boot():
                return psutil.Process(int(pid))
        return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def answers(url: str) -> Callable[[], bool]:
    """A check whether a GET of `url` succeeds. The certificates of components are their own, so none is verified."""

    def ready() -> bool:
        try:
            return httpx.get(url, verify=False, timeout=2, trust_env=False).is_success  # noqa: S501
        except httpx.HTTPError:
            return False

    return ready


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
