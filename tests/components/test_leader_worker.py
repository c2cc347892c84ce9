"""Replicas on several nodes, as LeaderWorkerSet gets them."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.components.program import Recorder, plain, run_program
from tests.components.samples import SMALLEST, changed

# Pull, startup, minReadySeconds and grace: all groups come at once.
COMES_SECONDS = 600 + 480 + 30 + 325
POOL = {"nodes": 6, "gpu": {"product": "NVIDIA-H100", "memoryGiB": 80, "count": 8}}


@pytest.fixture(scope="module")
def grouped() -> Recorder:
    config = changed(SMALLEST, "gpuPools.l4", POOL)
    config["models"]["chat"] |= {
        "gpus": 8,
        "nodesPerReplica": 2,
        "replicas": {"min": 2, "max": 2},
        "resources": {"requests": {"memory": "96Gi"}, "limits": {"memory": "128Gi"}},
        "engineArgs": ["--enable-prefix-caching"],
    }
    return run_program(config)


@pytest.fixture(scope="module")
def spec(grouped: Recorder) -> Any:
    return plain(grouped.one("LeaderWorkerSet").inputs)["spec"]


def engine(spec: Any, part: str) -> Any:
    return spec["leaderWorkerTemplate"][f"{part}Template"]["spec"]["containers"][0]


def test_a_replica_on_several_nodes_is_a_group_that_is_moved_and_restarted_as_one(grouped: Recorder, spec: Any) -> None:
    made = grouped.one("LeaderWorkerSet")
    assert plain(made.inputs)["apiVersion"] == "leaderworkerset.x-k8s.io/v1"
    assert grouped.of("Deployment") == []
    assert (spec["replicas"], spec["leaderWorkerTemplate"]["size"]) == (2, 2)
    assert spec["leaderWorkerTemplate"]["restartPolicy"] == "RecreateGroupOnPodRestart"
    assert plain(made.inputs)["metadata"]["annotations"] == {"pulumi.com/waitFor": "condition=Available"}


def test_another_revision_is_another_set_beside_it_until_it_is_available(grouped: Recorder, spec: Any) -> None:
    """Its own rolling update would serve with a group less; and its headless Service must not take the name of ours."""
    made = grouped.one("LeaderWorkerSet")
    assert made.replace_on_changes == ["spec.leaderWorkerTemplate"]
    assert "name" not in plain(made.inputs)["metadata"]
    assert "rolloutStrategy" not in spec
    assert made.timeouts["create"] == f"{COMES_SECONDS + 60}s"


def test_requests_go_to_leaders_only(grouped: Recorder) -> None:
    selector = plain(grouped.one("Service").inputs)["spec"]["selector"]
    assert selector["leaderworkerset.sigs.k8s.io/worker-index"] == "0"


def test_the_disruption_budget_counts_all_pods_since_one_takes_its_group_with_it(grouped: Recorder) -> None:
    budget = plain(grouped.one("PodDisruptionBudget").inputs)["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "vllm",
        "app.kubernetes.io/instance": "chat",
    }


def test_every_pod_has_all_gpus_of_its_node_and_the_labels_of_the_model(spec: Any) -> None:
    for part in ("leader", "worker"):
        assert engine(spec, part)["resources"]["limits"]["nvidia.com/gpu"] == "8"
        labels = spec["leaderWorkerTemplate"][f"{part}Template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/component"] == "engine"
        assert labels["app.kubernetes.io/instance"] == "chat"
        pod = spec["leaderWorkerTemplate"][f"{part}Template"]["spec"]
        assert [each["matchLabelKeys"] for each in pod["topologySpreadConstraints"][1:]] == 2 * [
            ["leaderworkerset.sigs.k8s.io/name"]
        ]


def test_the_engine_is_told_its_place_by_variables_that_leader_worker_set_gives(spec: Any) -> None:
    leading, working = engine(spec, "leader")["args"], engine(spec, "worker")["args"]
    joined = " ".join(leading)
    assert "--tensor-parallel-size 8" in joined
    assert "--pipeline-parallel-size 2 --distributed-executor-backend mp --nnodes 2" in joined
    assert "--master-addr $(LWS_LEADER_ADDRESS) --master-port 29501 --node-rank $(LWS_WORKER_INDEX)" in joined
    assert "--headless" not in leading
    assert working == [*leading, "--headless"]


def test_only_the_leader_is_probed(spec: Any) -> None:
    probes = {"startupProbe", "readinessProbe", "livenessProbe"}
    assert probes <= engine(spec, "leader").keys()
    assert not probes & engine(spec, "worker").keys()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_worker_stays_until_its_leader_has_ended(spec: Any, family: socket.AddressFamily) -> None:
    """All pods of a group are stopped at once; a worker that goes first cuts the leader's answers."""
    _, flag, script = engine(spec, "worker")["lifecycle"]["preStop"]["exec"]["command"]
    assert flag == "-c"
    with socket.create_server(("", 0), family=family) as leader:
        port = leader.getsockname()[1]
        worker = socket.create_connection(("127.0.0.1" if family == socket.AF_INET else "::1", port))
        connected, _ = leader.accept()
    with worker:
        code = script.replace(":733D", f":{port:04X}")
        assert code != script
        waiting = subprocess.Popen([sys.executable, "-c", code])
        time.sleep(2)
        assert waiting.poll() is None
        connected.close()
        assert waiting.wait(timeout=30) == 0


@pytest.mark.parametrize("part", ["leader", "worker"])
def test_each_pod_of_a_replica_has_a_node_of_its_own(spec: Any, part: str) -> None:
    """With GPUs to spare the scheduler would put both on one."""
    alone, *_ = spec["leaderWorkerTemplate"][f"{part}Template"]["spec"]["topologySpreadConstraints"]
    assert (alone["topologyKey"], alone["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "DoNotSchedule")
    assert (alone["maxSkew"], alone["matchLabelKeys"]) == (1, ["leaderworkerset.sigs.k8s.io/group-key"])
