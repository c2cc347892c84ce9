"""Faults that are injected for real: kills, crashes, wrong models, wrong flags; and what comes after each."""

from __future__ import annotations

import contextlib
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

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("logs_read")]


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
        _signal_recorded(record, signal.SIGKILL)
        FIGURES["faults injected"] += 1
    broken = rehearsed.make("status", ok=False).stdout
    assert broken.count("make up starts it again") == len(records)
    assert "finish_reason" in rehearsed.make("up").stdout
    rehearsed.make("status")


def test_make_up_starts_a_component_that_hangs_anew(rehearsed: Rehearsed) -> None:
    _signal_recorded(rehearsed.cluster / "records/kube-scheduler.json", signal.SIGSTOP)
    FIGURES["faults injected"] += 1
    shown = rehearsed.make("up").stdout
    assert "kube-scheduler runs and does not answer" in shown
    assert "finish_reason" in shown


def test_nodes_of_a_pool_come_and_go_with_the_settings(rehearsed: Rehearsed) -> None:
    try:
        rehearsed.configure("gpuPools.l4.nodes", 1)
        rehearsed.make("up")
        assert [node["metadata"]["name"] for node in rehearsed.get("nodes")] == ["l4-0", "system"]
    finally:
        rehearsed.restore_configuration()
    assert "finish_reason" in rehearsed.make("up").stdout
    assert [node["metadata"]["name"] for node in rehearsed.get("nodes")] == ["l4-0", "l4-1", "system"]
    _eventually(lambda: rehearsed.get("node", "l4-1")["status"]["allocatable"].get("nvidia.com/gpu") == "2")


def test_a_name_belongs_to_the_state_folder_that_started_it(rehearsed: Rehearsed) -> None:
    for target in ("up", "down"):
        refused = rehearsed.make(target, ok=False, XDG_STATE_HOME=str(rehearsed.state.with_name("other"))).stdout
        assert f"its state in {rehearsed.cluster}" in refused
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
    _nothing_is_left()
    choose = random.Random(20261121)  # noqa: S311 - the same times in every run
    # Ports that the control plane uses in its namespace may be taken on the host.
    with contextlib.ExitStack() as taken:
        for port in (6443, 2379):
            with contextlib.suppress(OSError):
                # Where it is taken already, that is what was wanted.
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
        for stage in range(6):
            # From the first second to the rollout, with some chance in between; a kill, or Ctrl-C.
            kill = (signal.SIGKILL, signal.SIGINT)[stage % 2]
            if rehearsed.make_killed("up", after_s=1 + 6 * stage + choose.uniform(0, 5), kill=kill):
                FIGURES["faults injected"] += 1
            if stage == 2:
                rehearsed.make("down")
                _nothing_is_left()
        assert "finish_reason" in rehearsed.make("up").stdout
    assert "unchanged" in rehearsed.make("up").stdout
    rehearsed.pulumi("preview", "--stack", "local", "--expect-no-changes")


def _signal_recorded(record: Path, number: signal.Signals) -> None:
    os.kill(int(record.with_suffix(".pid").read_text().split()[0]), number)


def _nothing_is_left() -> None:
    left = host_state()
    kinds = ("links", "routes", "namespaces", "mounts", "cgroups", "processes", "owners")
    assert {kind: left[kind] for kind in kinds} == {kind: [] for kind in kinds}


def _eventually(condition: Callable[[], bool], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.5)
