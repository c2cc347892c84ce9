"""Rollouts of four replicas under streaming load: whatever happens to them on the way, they cost no stream."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from tests.cluster.rehearsed import Rehearsed
from tests.cluster.scenarios import (
    HERE,
    REPLICAS,
    UP,
    Available,
    generation,
    half_way,
    kill_component,
    nothing_lost,
    replicas,
    restart_component,
    started_up,
    under_load,
)
from tests.figures import FIGURES

pytestmark = [pytest.mark.cluster, pytest.mark.rehearse, pytest.mark.usefixtures("logs_read")]


def context_length(rehearsed: Rehearsed) -> int:
    """What the engines are told; each test sets one that none had before."""
    spec = rehearsed.get("deployment", "chat", HERE)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    arguments = [*container.get("command", []), *container.get("args", [])]
    return int(arguments[arguments.index("--max-model-len") + 1])


def change(rehearsed: Rehearsed) -> tuple[int, int]:
    """Configure a change of all replicas; gives the context length before and after."""
    before = context_length(rehearsed)
    rehearsed.configure("models.chat.contextLength", before - 16)
    return before, before - 16


def test_rolling_update_of_four_replicas_cuts_no_stream(four: Rehearsed) -> None:
    old = {replica.name for replica in replicas(four)}
    _, wanted = change(four)

    with Available(four) as available, under_load(four, "rolling update of 4 replicas") as traffic:
        four.pulumi(*UP)

    nothing_lost(traffic.result)
    assert (available.least, available.most) == (REPLICAS, REPLICAS + 1)
    assert old.isdisjoint({replica.name for replica in replicas(four)})
    assert context_length(four) == wanted


def test_rollback_half_way_cuts_no_stream(four: Rehearsed) -> None:
    before, _ = change(four)
    begun = generation(four)

    with Available(four) as available, under_load(four, "rollback half-way") as traffic:
        with started_up(four) as up:
            half_way(four, begun)
            # Ctrl-C: Pulumi saves its state and ends.
            up.signal(signal.SIGINT)
            code, shown = up.ends()
        four.configure("models.chat.contextLength", before)
        four.pulumi(*UP)

    nothing_lost(traffic.result)
    assert code != 0, shown
    assert available.least == REPLICAS
    assert context_length(four) == before
    four.pulumi("preview", "--stack", "local", "--expect-no-changes")


def test_killed_pulumi_up_is_completed_by_the_next_one_and_cuts_no_stream(four: Rehearsed) -> None:
    _, wanted = change(four)
    begun = generation(four)

    with Available(four) as available, under_load(four, "pulumi up killed and run again") as traffic:
        with started_up(four) as up:
            half_way(four, begun)
            up.kill()
        # It finds the stack locked by a process that is gone, and an operation without an end.
        four.make("up")

    nothing_lost(traffic.result)
    assert available.least == REPLICAS
    assert context_length(four) == wanted
    four.pulumi("preview", "--stack", "local", "--expect-no-changes")
    FIGURES["faults injected"] += 1


def test_api_server_that_restarts_during_up_costs_neither_the_rollout_nor_a_stream(four: Rehearsed) -> None:
    _, wanted = change(four)
    begun = generation(four)

    with under_load(four, "API server restarted during up") as traffic, started_up(four) as up:
        half_way(four, begun)
        kill_component(four, "kube-apiserver")
        time.sleep(2)
        restart_component(four, "kube-apiserver")
        code, shown = up.ends()

    nothing_lost(traffic.result)
    assert code == 0, shown
    assert context_length(four) == wanted
    FIGURES["faults injected"] += 1


def test_crash_loop_of_a_new_version_fails_with_its_reason_and_leaves_the_old_replicas_alone(four: Rehearsed) -> None:
    old = replicas(four)
    before = (four.checkout / "Pulumi.local.yaml").read_text()
    changes: dict[str, Any] = {
        "engineArgs": ["--no-such-flag"],
        # As short as they get: Pulumi waits until its own timeout, though Kubernetes has given up before.
        "drainSeconds": 1,
        "preStopSeconds": 1,
        "probes.startupSeconds": 10,
        "probes.firstTokenSeconds": 2,
        "rollout.imagePullSeconds": 0,
        "rollout.minReadySeconds": 0,
        "rollout.surge": REPLICAS,
        "rollout.timeoutSeconds": 40,
    }

    with Available(four) as available, under_load(four, "new version in a crash loop") as traffic:
        try:
            for key, value in changes.items():
                four.configure(f"models.chat.{key}", value)
            shown = four.pulumi(*UP, ok=False)
        finally:
            (four.checkout / "Pulumi.local.yaml").write_text(before)
        beside = replicas(four)
        four.pulumi(*UP)

    nothing_lost(traffic.result)
    assert "unrecognized arguments: --no-such-flag" in shown
    assert "Traceback" not in shown
    assert available.least == REPLICAS
    assert {replica.name for replica in old} < {replica.name for replica in beside}
    # The same pods as before, none of them restarted.
    assert replicas(four) == old
    FIGURES["faults injected"] += 1
