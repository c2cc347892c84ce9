"""The cgroups of the cluster. Whatever it starts, and whatever that starts, is in them, to be found and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from rehearsal.fault import Fault

MOUNT = Path("/sys/fs/cgroup")
CONTROLLERS = {"cpu", "cpuset", "io", "memory", "pids"}
"""What a kubelet uses; it can do without io."""


@dataclass(frozen=True, kw_only=True)
class Cgroups:
    """cgroup v2 (one hierarchy) or v1 (one a controller), as the host has it."""

    name: str
    hierarchies: tuple[Path, ...]
    unified: bool

    @classmethod
    def of_host(cls, name: str, mount: Path = MOUNT) -> Cgroups:
        """What is mounted at /sys/fs/cgroup. Fault if the controllers that a kubelet needs are not there."""
        if (mount / "cgroup.controllers").exists():
            available = set((mount / "cgroup.controllers").read_text().split())
            found = cls(name=name, hierarchies=(mount,), unified=True)
        else:
            folders = (
                {path.resolve() for path in mount.iterdir() if (path / "cgroup.procs").exists()}
                if mount.exists()
                else set()
            )
            available = (
                {path.name for path in mount.iterdir() if path.resolve() in folders} if mount.exists() else set()
            )
            found = cls(name=name, hierarchies=tuple(sorted(folders)), unified=False)
        missing = (CONTROLLERS - {"io"}) - {name for entry in available for name in entry.split(",")}
        if missing:
            raise Fault(
                f"cgroup controllers missing: {', '.join(sorted(missing))}; a kubelet needs them; "
                "enable them in the kernel, or use CLUSTER=existing make up"
            )
        return found

    def make(self, name: str) -> str:
        """Make the group `name` below ours in every hierarchy; give its path as a kubelet's `cgroupRoot` wants it."""
        for hierarchy in self.hierarchies:
            top = hierarchy / self.name
            for group in (top, top / name):
                group.mkdir(exist_ok=True)
                self._open(group)
        return f"/{self.name}/{name}"

    def _open(self, group: Path) -> None:
        """Let the group have what its parent has: v1 cpusets start empty, v2 controllers start switched off."""
        if self.unified:
            # One line may name several, but then one that cannot be switched on keeps the others off.
            for name in sorted(set((group.parent / "cgroup.controllers").read_text().split()) & CONTROLLERS):
                (group.parent / "cgroup.subtree_control").write_text(f"+{name}")
            return
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (group / file).exists() and not (group / file).read_text().strip():
                (group / file).write_text((group.parent / file).read_text())

    def join_script(self, name: str) -> str:
        """Shell text by which a process enters the group `name`, which exists."""
        groups = [hierarchy / self.name / name for hierarchy in self._tracking()]
        return "".join(f"echo $$ > {group}/cgroup.procs && " for group in groups)

    def _tracking(self) -> list[Path]:
        """The hierarchies that daemons are put in: enough to find them (pids) and to see their memory."""
        return [path for path in self.hierarchies if self.unified or path.name in ("pids", "memory")]

    def processes(self, name: str = ".") -> set[int]:
        """The processes in the group `name` and below: daemons, container shims, containers. Zombies are left out."""
        found: set[int] = set()
        for hierarchy in self.hierarchies:
            # os.walk passes over groups that vanish meanwhile.
            for group, _, _ in os.walk(hierarchy / self.name / name):
                with contextlib.suppress(OSError):
                    found.update(int(pid) for pid in Path(group, "cgroup.procs").read_text().split())
        return {pid for pid in found if not _is_zombie(pid)}

    def kill(self, name: str = ".", *, within_s: float = 20.0) -> None:
        """SIGKILL until nothing is left in the group `name` and below. Fault naming what survives."""
        deadline = time.monotonic() + within_s
        while left := self.processes(name):
            if time.monotonic() > deadline:
                raise Fault(
                    f"processes {sorted(left)} do not end after SIGKILL; look at them with ps, then make down again"
                )
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def remove(self, name: str = ".") -> None:
        """Remove the group `name` and those below, innermost first. They must be empty of processes."""
        for hierarchy in self.hierarchies:
            for group, _, _ in os.walk(hierarchy / self.name / name, topdown=False):
                _remove_group(Path(group))

    def left(self) -> list[Path]:
        """Our groups that still exist."""
        return [hierarchy / self.name for hierarchy in self.hierarchies if (hierarchy / self.name).exists()]


def _remove_group(group: Path) -> None:
    """Remove one group; the kernel may need a moment after its last process has gone."""
    for _ in range(100):
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise Fault(f"{group}: cannot be removed, something is still in it; look at its cgroup.procs, then make down again")


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True
