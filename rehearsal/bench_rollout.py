"""How long a rollout takes beside its floor: the rounds that it needs, each of a load and minReadySeconds."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rehearsal.kubectl import Kubectl
from rehearsal.understudy import deployment_of, set_env

REPLICAS = 4
SURGES = (1, 2, 4)
"""One is the default; the others are what `surge: auto` makes of as many spare GPUs."""
LOAD_S = 20
"""Seconds that the engine loads for: few, so that what a rollout adds to them shows."""
PATIENCE_S = 300
_NAME = "bench-rollout"


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One rollout, in seconds; the floor is what it would take if nothing but loads and minReadySeconds took time."""

    surge: int
    rounds: int
    floor_s: float
    measured_s: float

    @property
    def added_s(self) -> float:
        """What each round takes beyond its load: pod start, probes, and the controllers' turns."""
        return (self.measured_s - self.floor_s) / self.rounds


def expected_s() -> float:
    """About what `measure` takes, without what rollouts add, and with minReadySeconds of a few seconds."""
    return LOAD_S + 10 + sum(math.ceil(REPLICAS / surge) * (LOAD_S + 10) for surge in SURGES)


def measure(kubectl: Kubectl, namespace: str, model: str, *, surges: Sequence[int] = SURGES) -> list[Rollout]:
    """Roll an understudy of the model's Deployment with four replicas, once for each surge.

    Raises Fault if one does not come to its end.
    """
    here = f"--namespace={namespace}"
    live = json.loads(kubectl.read("get", "deployment", model, here, "--output=json"))
    env = {"SIMULATOR_LOAD_MBPS": "0", "SIMULATOR_STARTUP_SECONDS": str(LOAD_S)}
    understudy = deployment_of(live, _NAME, replicas=REPLICAS, env=env)
    # Left by a bench that was killed.
    gone = ("delete", "deployment", _NAME, here, "--ignore-not-found", "--wait")
    kubectl.read(*gone)
    try:
        kubectl.read("create", "--filename=-", text=json.dumps(understudy))
        _wait(kubectl, here)
        return [_roll(kubectl, here, understudy["spec"], surge) for surge in surges]
    finally:
        kubectl.read(*gone)


def floor_s(surge: int, min_ready_s: float) -> float:
    """Seconds of the rounds' loads and minReadySeconds."""
    return math.ceil(REPLICAS / surge) * (LOAD_S + min_ready_s)


def _roll(kubectl: Kubectl, here: str, spec: dict[str, Any], surge: int) -> Rollout:
    spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": 0}}
    set_env(spec, {"BENCH_SURGE": str(surge)})
    patch = json.dumps({"spec": {"strategy": spec["strategy"], "template": spec["template"]}})
    started = time.monotonic()
    kubectl.read("patch", "deployment", _NAME, here, "--type=merge", f"--patch={patch}")
    _wait(kubectl, here)
    return Rollout(
        surge=surge,
        rounds=math.ceil(REPLICAS / surge),
        floor_s=floor_s(surge, spec.get("minReadySeconds", 0)),
        measured_s=time.monotonic() - started,
    )


def _wait(kubectl: Kubectl, here: str) -> None:
    kubectl.read("rollout", "status", f"deployment/{_NAME}", here, f"--timeout={PATIENCE_S}s")
