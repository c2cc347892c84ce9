"""The program's own replicas over two nodes, under the real LeaderWorkerSet controller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from rehearsal.answer import ask
from tests.cluster.rehearsed import Rehearsed
from tests.cluster.scenarios import HERE, LOAD, UP, eventually, under_load

pytestmark = pytest.mark.cluster
LABEL = "leaderworkerset.sigs.k8s.io"
FEW = replace(LOAD, streams=300, rate=6, tokens=25, long_tokens=300, long_every=10)
CHANGES: dict[str, Any] = {
    "models.chat.nodesPerReplica": 2,
    "models.chat.replicas": {"min": 1, "max": 1},
    # None of the streams below has to wait for another.
    "models.chat.concurrency": 128,
    "models.chat.drainSeconds": 60,
    "models.chat.rollout.minReadySeconds": 1,
}


@dataclass(frozen=True, kw_only=True)
class Pod:
    """One pod of a group."""

    name: str
    group: str
    uid: str
    node: str
    address: str
    ready: bool
    leads: bool


@pytest.fixture(scope="module")
def grouped(rehearsed: Rehearsed) -> Iterator[Rehearsed]:
    """The local stack with one replica that takes both GPU nodes."""
    try:
        for key, value in CHANGES.items():
            rehearsed.configure(key, value)
        rehearsed.make("up")
        yield rehearsed
    finally:
        rehearsed.restore_configuration()
        rehearsed.pulumi(*UP)


def pods(rehearsed: Rehearsed) -> list[Pod]:
    """Those of all groups that are not being deleted, the leaders first."""
    found = [
        Pod(
            name=pod["metadata"]["name"],
            group=pod["metadata"]["labels"][f"{LABEL}/name"],
            uid=pod["metadata"]["uid"],
            node=pod["spec"].get("nodeName", ""),
            address=pod["status"].get("podIP", ""),
            ready=("Ready", "True") in [(c["type"], c["status"]) for c in pod["status"].get("conditions", [])],
            leads=pod["metadata"]["labels"][f"{LABEL}/worker-index"] == "0",
        )
        for pod in rehearsed.get("pods", HERE, f"--selector={LABEL}/name")
        if "deletionTimestamp" not in pod["metadata"]
    ]
    return sorted(found, key=lambda pod: (not pod.leads, pod.name))


def asked(rehearsed: Rehearsed) -> set[str]:
    """Addresses that the model's Service leads to."""
    slices = rehearsed.get("endpointslices", HERE, "--selector=kubernetes.io/service-name=chat")
    return {address for each in slices for one in each["endpoints"] or () for address in one["addresses"]}


def test_a_replica_takes_two_nodes_and_requests_go_to_the_first(grouped: Rehearsed) -> None:
    leader, worker = pods(grouped)
    assert (leader.leads, worker.leads) == (True, False)
    assert {leader.node, worker.node} == {"l4-0", "l4-1"}
    eventually(lambda: asked(grouped) == {leader.address})
    assert ask(f"http://{grouped.address}/v1", "chat").tokens


def test_another_revision_is_another_group_that_costs_no_stream(grouped: Rehearsed) -> None:
    before = {pod.group for pod in pods(grouped)}
    with under_load(grouped, "replica over two nodes replaced", FEW) as traffic:
        grouped.configure("models.chat.contextLength", 2032)
        grouped.pulumi(*UP)
    assert not traffic.result.lost, traffic.result.summary()
    assert before.isdisjoint({pod.group for pod in pods(grouped)})


def test_a_group_that_loses_a_pod_is_made_anew_as_one(grouped: Rehearsed) -> None:
    before = pods(grouped)
    grouped.kubectl("delete", "pod", before[1].name, HERE, "--wait=false")

    def anew() -> bool:
        now = pods(grouped)
        return [pod.ready for pod in now] == [True, True] and not {p.uid for p in now} & {p.uid for p in before}

    eventually(anew, within_s=180)
