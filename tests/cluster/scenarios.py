"""What the scenarios under load share: the traffic, its figures, and ways to look at and hurt the replicas."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rehearsal.counts import Counts
from rehearsal.traffic.background import Background
from rehearsal.traffic.load import Load
from rehearsal.traffic.result import Result
from tests.cluster.rehearsed import Rehearsed
from tests.figures import FIGURES, SCENARIOS

REPLICAS = 4
STREAMS = 2000
UP = ("up", "--stack", "local", "--yes", "--skip-preview", "--suppress-progress")
HERE = "--namespace=inference"
ENGINES = "--selector=app.kubernetes.io/component=engine,app.kubernetes.io/instance=chat"
# The long ones last for seven seconds and more, beyond a preStop sleep and into the engine's drain. Tokens are few and
# slow, since a machine of two cores makes some thousands a second for all. Patience is for one that does more.
LOAD = Load(
    base_url="", model="chat", streams=STREAMS, rate=100, tokens=16, long_tokens=120, long_every=40, patience_s=60
)


@contextmanager
def under_load(rehearsed: Rehearsed, title: str, load: Load = LOAD) -> Iterator[Background]:
    """Streams through the model's Service for as long as the block runs, and their figures in the summary."""
    began = time.monotonic()
    with Background(replace(load, base_url=f"http://{rehearsed.address}/v1")) as traffic:
        yield traffic
        took = time.monotonic() - began
    note(title, traffic.result, f"done after {took:.0f} s")


def note(title: str, result: Result, more: str) -> None:
    """Put a scenario's figures into the summary."""
    FIGURES["streams checked"] += result.streams
    first, token = result.first_token, result.per_token
    latency = f"first token p99 {first.p99:.2f} s, a token {1e3 * token.p50:.0f} ms" if first.p99 and token.p50 else ""
    lost = ", ".join(f"{count} {kind}" for kind, count in result.endings.items() if kind != "complete")
    SCENARIOS[title] = (
        f"{result.streams} streams ({result.most_open} at a time), lost: {lost or 'none'}; {latency}; {more}"
    )


def nothing_lost(result: Result) -> None:
    """A planned change under at least 2,000 streams has cost none of them."""
    assert not result.lost, result.summary()
    assert result.streams >= STREAMS
    FIGURES["streams lost in planned changes"] += 0


class Available(Counts):
    """How many replicas were available at least, and at most how many were there, while the block ran."""

    def __init__(self, rehearsed: Rehearsed) -> None:
        super().__init__(rehearsed.client, "inference", "chat", ".status.availableReplicas", ".status.replicas")

    @property
    def least(self) -> int:
        return min(available for _, (available, _) in self.seen)

    @property
    def most(self) -> int:
        return max(replicas for _, (_, replicas) in self.seen)


@dataclass(frozen=True, kw_only=True)
class Replica:
    """A running replica."""

    name: str
    node: str
    uid: str
    restarts: int


def replicas(rehearsed: Rehearsed) -> list[Replica]:
    """The replicas that are not being deleted, by name."""
    pods = [pod for pod in rehearsed.get("pods", HERE, ENGINES) if "deletionTimestamp" not in pod["metadata"]]
    return sorted((_replica(pod) for pod in pods), key=lambda replica: replica.name)


def _replica(pod: dict[str, Any]) -> Replica:
    status, spec = pod["status"].get("containerStatuses") or [], pod["spec"]
    return Replica(
        name=pod["metadata"]["name"],
        node=spec.get("nodeName", ""),
        uid=pod["metadata"]["uid"],
        restarts=sum(each["restartCount"] for each in status if each["name"] == "engine"),
    )


def half_way(rehearsed: Rehearsed, generation: int) -> None:
    """Wait until a rollout after this generation has replaced some replicas and has some left."""

    def reached() -> bool:
        found = rehearsed.get("deployment", "chat", HERE)
        seen, done = (found["status"].get(field, 0) for field in ("observedGeneration", "updatedReplicas"))
        return bool(seen > generation and REPLICAS / 2 <= done < REPLICAS)

    eventually(reached)


def generation(rehearsed: Rehearsed) -> int:
    """The Deployment's generation."""
    return int(rehearsed.get("deployment", "chat", HERE)["metadata"]["generation"])


@dataclass(frozen=True, kw_only=True)
class Up:
    """`pulumi up` under way, in a process group of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def ends(self, within_s: float = 180) -> tuple[int, str]:
        """Wait for its end: exit code, and what it has shown."""
        return self.process.wait(within_s), self.log.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to Pulumi alone, as Ctrl-C in `make up` does."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once, with what it has started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def started_up(rehearsed: Rehearsed) -> Iterator[Up]:
    """`pulumi up` under way; what is left of it ends with the block."""
    log = rehearsed.state / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["pulumi", *UP, "--non-interactive"],
            cwd=rehearsed.checkout,
            env={**rehearsed.environment, **rehearsed.pulumi_environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    up = Up(process=process, log=log)
    try:
        yield up
    finally:
        if process.poll() is None:
            up.kill()


def engine_processes(pod_uid: str) -> list[int]:
    """The engine's processes of a pod, as this host sees them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            mine = pod_uid in (folder / "cgroup").read_text()
            if mine and b"vllm" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def kill_component(rehearsed: Rehearsed, name: str) -> None:
    """Kill a component of the cluster."""
    os.kill(int((rehearsed.cluster / "records" / f"{name}.pid").read_text().split()[0]), signal.SIGKILL)


def restart_component(rehearsed: Rehearsed, name: str) -> None:
    """Start a killed component of the cluster."""
    python = rehearsed.checkout / ".venv/bin/python"
    subprocess.run(
        [python, "-m", "tests.cluster.restart", name], cwd=rehearsed.checkout, env=rehearsed.environment, check=True
    )


def eventually(condition: Callable[[], bool], within_s: float = 90) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.3)


def rolled_out(rehearsed: Rehearsed, name: str = "chat", within_s: int = 180) -> None:
    """Wait until a Deployment's rollout has ended."""
    rehearsed.kubectl("rollout", "status", f"deployment/{name}", HERE, f"--timeout={within_s}s")


def applied(rehearsed: Rehearsed, manifest: dict[str, Any]) -> None:
    """Create an object."""
    rehearsed.client.read("create", "--filename=-", text=json.dumps(manifest))
