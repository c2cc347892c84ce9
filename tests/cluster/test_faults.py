"""Faults that are injected for real: kills, crashes, wrong models, wrong flags; and what comes after each."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rehearsal.nvml import inject_xid
from tests.cluster.rehearsed import NETWORK, Rehearsed, host_state
from tests.figures import FIGURES

pytestmark = pytest.mark.cluster


def test_failing_seeding_job_says_why_and_the_stack_stays_usable(rehearsed: Rehearsed) -> None:
    unknown = "0" * 40
    try:
        rehearsed.configure("models.chat.source", f"hf://rehearsal/tiny-llama@{unknown}")
        shown = rehearsed.make("up", ok=False).stdout
    finally:
        rehearsed.restore_configuration()
    assert unknown in shown
    assert "Traceback" not in shown
    # The container's own last line, not only that the Job failed.
    assert "weight-seeder" in shown or "revision" in shown.lower()
    assert "finish_reason" in rehearsed.make("up").stdout
    FIGURES["faults injected"] += 1


def test_crashing_engine_says_why_and_the_old_replica_goes_on_serving(rehearsed: Rehearsed) -> None:
    try:
        rehearsed.configure("models.chat.engineArgs", ["--no-such-flag"])
        # As short as a rollout's deadlines get: Pulumi waits for all of them before it gives up.
        rehearsed.configure("models.chat.replicas", {"min": 1, "max": 1})
        rehearsed.configure("models.chat.probes.startupSeconds", 10)
        rehearsed.configure("models.chat.rollout.imagePullSeconds", 1)
        rehearsed.configure("models.chat.drainSeconds", 5)
        shown = rehearsed.make("up", ok=False).stdout
        available = rehearsed.get("deployment", "chat", "--namespace=inference")["status"]["availableReplicas"]
    finally:
        rehearsed.restore_configuration()
    assert "unrecognized arguments: --no-such-flag" in shown
    assert "Traceback" not in shown
    assert available == 1
    assert "finish_reason" in rehearsed.make("up").stdout
    FIGURES["faults injected"] += 1


def test_make_up_repairs_the_crash_of_any_part(rehearsed: Rehearsed) -> None:
    records = sorted((rehearsed.cluster / "records").glob("*.json"))
    assert len(records) == 14
    for record in records:
        _kill_recorded(record)
        FIGURES["faults injected"] += 1
    broken = rehearsed.make("status", ok=False).stdout
    assert broken.count("make up starts it again") == len(records)
    assert "finish_reason" in rehearsed.make("up").stdout
    rehearsed.make("status")


def test_xid_event_takes_one_gpu_out_of_the_nodes_allocatable(rehearsed: Rehearsed) -> None:
    plugins = rehearsed.cluster / "nodes/l4-1/var-lib/kubelet/device-plugins"
    inject_xid(plugins, 1, 79)
    FIGURES["faults injected"] += 1
    _eventually(lambda: rehearsed.get("node", "l4-1")["status"]["allocatable"]["nvidia.com/gpu"] == "1")
    pods = rehearsed.get("pods", "--namespace=nvidia-device-plugin")
    (plugin,) = [pod["metadata"]["name"] for pod in pods if pod["spec"]["nodeName"] == "l4-1"]
    rehearsed.kubectl("delete", "pod", plugin, "--namespace=nvidia-device-plugin")
    _eventually(lambda: rehearsed.get("node", "l4-1")["status"]["allocatable"]["nvidia.com/gpu"] == "2")


def test_second_cluster_on_the_same_network_is_refused_with_the_way_out(rehearsed: Rehearsed) -> None:
    refused = rehearsed.make("up", ok=False, REHEARSAL_NAME="inference-two", REHEARSAL_NETWORK=NETWORK).stdout
    assert refused.count("error:") == 1
    assert "REHEARSAL_NETWORK" in refused
    assert "overlaps" in refused


def test_no_space_is_refused_before_anything_is_made(rehearsed: Rehearsed, tmp_path: Path) -> None:
    script = f"mount -t tmpfs -o size=64m none {tmp_path} && XDG_STATE_HOME={tmp_path} exec make --silent up"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=rehearsed.checkout,
        env=rehearsed.environment,
        check=False,
        text=True,
        capture_output=True,
    )
    shown = done.stdout + done.stderr
    assert done.returncode != 0
    assert "disk: the cluster needs" in shown
    assert "Traceback" not in shown


def test_killed_make_up_is_completed_by_the_next_one_at_any_stage(rehearsed: Rehearsed) -> None:
    rehearsed.make("down")
    left = host_state()
    assert [kind for kind in ("links", "routes", "namespaces", "mounts", "cgroups", "processes") if left[kind]] == []
    choose = random.Random(20261121)  # noqa: S311 - the same times in every run
    # Ports that the control plane uses in its namespace may be taken on the host.
    with socket.create_server(("127.0.0.1", 6443)), socket.create_server(("127.0.0.1", 2379)):
        for stage in range(6):
            # From the first second to the rollout, with some chance in between.
            if rehearsed.make_killed("up", after_s=1 + 6 * stage + choose.uniform(0, 5)):
                FIGURES["faults injected"] += 1
        assert "finish_reason" in rehearsed.make("up").stdout
    assert "unchanged" in rehearsed.make("up").stdout
    rehearsed.pulumi("preview", "--stack", "local", "--expect-no-changes")


def _kill_recorded(record: Path) -> None:
    os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)


def _eventually(condition: Callable[[], bool], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.5)
