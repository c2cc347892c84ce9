"""Replicas over two nodes under the real controller: what its pods are told, and how it replaces them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.rehearsed import Rehearsed
from tests.figures import SCENARIOS

pytestmark = pytest.mark.cluster
HERE = "--namespace=groups"
LABEL = "leaderworkerset.sigs.k8s.io"
MANIFEST = Path(__file__).parent / "leader_worker_set.yaml"
PATIENCE_S = 120.0
QUIET_S = 8.0
"""In which a rollout that is under way would change something."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """One pod of a group."""

    name: str
    version: str
    ready: bool
    ending: bool
    leads: bool


class Groups:
    """Groups of two pods, of a version, under the name of their number."""

    def __init__(self, rehearsed: Rehearsed, replicas: int) -> None:
        self._rehearsed, self._replicas = rehearsed, replicas
        self.name = f"by-{replicas}"

    def set(self, version: str) -> None:
        """Want all of this version: a surge of one, and none of the wanted ones unavailable."""
        text = MANIFEST.read_text().replace("NAME", self.name).replace("REPLICAS", str(self._replicas))
        self._rehearsed.client.read("apply", "--server-side", "--filename=-", text=text.replace("@", version))

    def pods(self) -> list[Pod]:
        """Those that there are."""
        return [
            Pod(
                name=pod["metadata"]["name"],
                version=next(env["value"] for env in pod["spec"]["containers"][0]["env"] if env["name"] == "VERSION"),
                ready=("Ready", "True") in [(c["type"], c["status"]) for c in pod["status"].get("conditions", [])],
                ending="deletionTimestamp" in pod["metadata"],
                leads=pod["metadata"]["labels"][f"{LABEL}/worker-index"] == "0",
            )
            for pod in self._rehearsed.get("pods", HERE, f"--selector={LABEL}/name={self.name}")
        ]

    def all_are(self, version: str) -> bool:
        """Whether all groups are whole, and of this version."""
        pods = self.pods()
        good = all(pod.ready and not pod.ending and pod.version == version for pod in pods)
        return good and len(pods) == 2 * self._replicas

    def serving(self) -> int:
        """Groups whose leader would get requests."""
        return sum(pod.leads and pod.ready and not pod.ending for pod in self.pods())


def until(met: Callable[[], bool], each: Callable[[], None] = lambda: None) -> None:
    """Wait, doing something each time."""
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        assert time.monotonic() < deadline
        each()
        time.sleep(0.2)


@pytest.fixture(scope="module")
def groups(rehearsed: Rehearsed) -> Iterator[Groups]:
    """Two groups of the first version."""
    rehearsed.make("up", REHEARSAL_ADDONS="lws")
    rehearsed.kubectl("create", "namespace", "groups")
    rehearsed.kubectl("label", "namespace", "groups", "pod-security.kubernetes.io/enforce=restricted")
    two = Groups(rehearsed, 2)
    two.set("1")
    until(lambda: two.all_are("1"))
    yield two
    rehearsed.kubectl("delete", "namespace", "groups", "--wait=false")


def test_each_pod_is_told_its_leader_by_a_name_that_resolves(rehearsed: Rehearsed, groups: Groups) -> None:
    for pod in groups.pods():
        told = rehearsed.kubectl("exec", HERE, pod.name, "--", "env")
        assert f"LWS_LEADER_ADDRESS={pod.name[: len('by-2-0')]}.by-2.groups\n" in told
        assert "LWS_GROUP_SIZE=2\n" in told
        assert f"LWS_WORKER_INDEX={0 if pod.leads else 1}\n" in told
        leader = "wget -q -O- http://$LWS_LEADER_ADDRESS:8000/version"
        assert rehearsed.kubectl("exec", HERE, pod.name, "--", "sh", "-c", leader).strip() == "1"


def test_a_surge_replaces_every_group_and_serves_with_one_less_at_its_end(groups: Groups) -> None:
    least, most = 2, 2

    def look() -> None:
        nonlocal least, most
        least = min(least, groups.serving())
        most = max(most, sum(pod.leads for pod in groups.pods()))

    began = time.monotonic()
    groups.set("2")
    until(lambda: groups.all_are("2"), look)
    took = time.monotonic() - began
    SCENARIOS["LeaderWorkerSet of 2, surge 1"] = f"{took:.0f} s, {most} groups at most, {least} serving at least"
    # components/leader_worker.py replaces the whole set instead, because of this and of what follows.
    assert (least, most) == (1, 3)


def test_a_surge_of_a_single_group_never_begins(rehearsed: Rehearsed, groups: Groups) -> None:
    one = Groups(rehearsed, 1)
    one.set("1")
    until(lambda: one.all_are("1"))
    one.set("2")
    time.sleep(QUIET_S)
    assert one.all_are("1")
