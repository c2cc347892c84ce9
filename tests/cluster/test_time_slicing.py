"""Time slices by the real device plugin: twice as many GPUs for the scheduler, and as many as before afterwards."""

from __future__ import annotations

import time

import pytest

from tests.cluster.rehearsed import Rehearsed

pytestmark = pytest.mark.cluster
NODES = ("l4-0", "l4-1")
GPUS = 2
PATIENCE_S = 120


def announced(rehearsed: Rehearsed, gpus: int) -> bool:
    """Whether every GPU node comes to announce so many."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        nodes = [rehearsed.get("node", name) for name in NODES]
        if all(node["status"]["allocatable"]["nvidia.com/gpu"] == str(gpus) for node in nodes):
            return True
        time.sleep(1)
    return False


def test_two_slices_a_gpu_double_what_nodes_announce_and_leave_the_replica_alone(rehearsed: Rehearsed) -> None:
    rehearsed.restore_configuration()
    rehearsed.make("up")  # whatever an earlier test has left is rolled back here, and not below
    replicas = rehearsed.kubectl("get", "pods", "--namespace=inference", "--output=name")
    try:
        rehearsed.configure("claims.accept.fits", "the simulator takes nothing of a GPU's memory")
        rehearsed.pulumi("config", "set", "--stack=local", "--path", "inference:devicePlugin.timeSlicing", "2")
        rehearsed.make("up")
        assert announced(rehearsed, 2 * GPUS)
        (config,) = rehearsed.get("configmaps", "--namespace=nvidia-device-plugin", "--selector=app.kubernetes.io/name")
        assert "replicas: 2" in config["data"]["config.yaml"]
    finally:
        rehearsed.restore_configuration()
        rehearsed.make("up")
    assert announced(rehearsed, GPUS)
    assert rehearsed.kubectl("get", "pods", "--namespace=inference", "--output=name") == replicas
