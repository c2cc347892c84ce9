"""Disruptions of four replicas under streaming load: planned ones cost no stream, others only those of the dead pod."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import replace

import pytest

from rehearsal.traffic.result import Result
from tests.cluster.rehearsed import Rehearsed
from tests.cluster.scenarios import (
    HERE,
    LOAD,
    REPLICAS,
    STREAMS,
    Available,
    engine_processes,
    eventually,
    kill_component,
    nothing_lost,
    replicas,
    restart_component,
    rolled_out,
    under_load,
)
from tests.figures import FIGURES

pytestmark = [pytest.mark.cluster, pytest.mark.rehearse, pytest.mark.usefixtures("logs_read")]
NOTICED_S = 10.0
"""After a death: until the last node has stopped to send new connections there, on a busy machine."""


def lost_only_on(result: Result, names: Iterable[str], *, since: float, until: float) -> None:
    """Lost are streams that the named pods answered, and those that nobody answered while they were still endpoints."""
    assert result.streams >= STREAMS
    assert set(result.lost_on) <= {*names, None}, result.summary()
    unanswered = [outcome for outcome in result.lost if outcome.pod is None]
    assert all(since <= outcome.due <= until for outcome in unanswered), result.summary()


def test_deleted_pods_cut_no_stream(four: Rehearsed) -> None:
    with under_load(four, "pods deleted") as traffic:
        for replica in replicas(four)[:2]:
            four.kubectl("delete", "pod", replica.name, HERE)
        rolled_out(four)

    nothing_lost(traffic.result)


def test_drained_node_gives_its_replicas_away_one_by_one_and_cuts_no_stream(four: Rehearsed) -> None:
    node = replicas(four)[0].node
    leaving = [replica for replica in replicas(four) if replica.node == node]

    with Available(four) as available, under_load(four, "node drained") as traffic:
        try:
            four.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=150s")
            rolled_out(four)
            there = [replica for replica in replicas(four) if replica.node == node]
        finally:
            four.kubectl("uncordon", node)

    nothing_lost(traffic.result)
    assert leaving
    assert there == []
    # The disruption budget: never a second one before the first has come up elsewhere.
    assert available.least >= REPLICAS - 1
    # Nothing moves pods back by itself: those that are made anew go to the empty node.
    for replica in replicas(four)[: REPLICAS // 2]:
        four.kubectl("delete", "pod", replica.name, HERE)
    rolled_out(four)
    assert len({replica.node for replica in replicas(four)}) == 2


def test_dead_container_takes_its_own_streams_along_and_a_dead_kubelet_none(four: Rehearsed) -> None:
    every = replicas(four)
    victim = every[0]
    other = next(replica.node for replica in every if replica.node != victim.node)

    began = time.monotonic()
    with under_load(four, "container and another node's kubelet killed") as traffic:
        kill_component(four, f"{other}-kubelet")
        time.sleep(2)
        (process,) = engine_processes(victim.uid)
        died = time.monotonic() - began
        os.kill(process, signal.SIGKILL)
        eventually(lambda: any(each.restarts > victim.restarts for each in replicas(four)))
        restart_component(four, f"{other}-kubelet")
        rolled_out(four)

    lost_only_on(traffic.result, [victim.name], since=died - 2, until=died + NOTICED_S)
    # It had several hundred tokens a second under way.
    assert victim.name in traffic.result.lost_on
    assert {replica.name for replica in replicas(four)} == {replica.name for replica in every}
    FIGURES["faults injected"] += 2


def test_hung_engine_stalls_its_own_streams_until_its_pod_is_deleted(four: Rehearsed) -> None:
    """Health is 200 and the port is open: neither probe sees it, by design; that no token is made shows in metrics.

    `probes.readiness.kind: inference` takes such a replica out by itself.
    """
    victim = replicas(four)[0]
    hang = "import os, signal; os.kill(1, signal.SIGUSR1)"
    short = replace(LOAD, patience_s=15)

    with under_load(four, "engine hung, then its pod deleted", short) as traffic:
        four.kubectl("exec", victim.name, HERE, "--container=engine", "--", "python3", "-c", hang)
        time.sleep(3)
        four.kubectl("wait", f"pod/{victim.name}", HERE, "--for=condition=Ready", "--timeout=1s")
        # Its streams never end, so that there is nothing to drain; new ones go elsewhere from the deletion on.
        four.kubectl("delete", "pod", victim.name, HERE, "--grace-period=8")
        rolled_out(four)

    assert traffic.result.streams >= STREAMS
    assert set(traffic.result.lost_on) == {victim.name}, traffic.result.summary()
    FIGURES["faults injected"] += 1
