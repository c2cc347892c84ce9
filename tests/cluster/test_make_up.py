"""`make up` on the embedded cluster: what a person sees after it, and after doing it again."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import httpx
import pytest

from rehearsal.answer import forwarded
from rehearsal.nvml import gpu_uuid
from tests.cluster.rehearsed import CONTROL, Rehearsed, Streams, listening_ports
from tests.figures import FIGURES

pytestmark = pytest.mark.cluster
NODES = ("l4-0", "l4-1")
OBJECTS = "deployments,replicasets,jobs,services,pvc"
"""Without pods: one of an earlier rollout may just be ending."""


def test_make_up_ends_with_a_streamed_answer(rehearsed: Rehearsed) -> None:
    assert rehearsed.first_up
    answer = re.search(r"(\d+) tokens, finish_reason (stop|length)", rehearsed.first_up.stdout)
    assert answer
    assert int(answer[1]) > 0


def test_second_make_up_changes_no_resource(rehearsed: Rehearsed) -> None:
    again = rehearsed.make("up").stdout
    assert re.search(r"^\s+\d+ unchanged$", again, re.MULTILINE)
    assert not re.search(r"\d+ (created|updated|deleted|replaced)", again)


def test_plain_pulumi_preview_expects_no_changes(rehearsed: Rehearsed) -> None:
    rehearsed.pulumi("preview", "--stack", "local", "--expect-no-changes")


def test_gpu_nodes_have_taint_labels_and_gpus_of_the_device_plugin(rehearsed: Rehearsed) -> None:
    for name in NODES:
        node = rehearsed.get("node", name)
        assert {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"} in node["spec"]["taints"]
        assert node["metadata"]["labels"]["inference/gpu-pool"] == "l4"
        assert node["metadata"]["labels"]["nvidia.com/gpu.product"] == "NVIDIA-L4"
        assert node["status"]["allocatable"]["nvidia.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in rehearsed.get("node", "system")["status"]["allocatable"]


def test_device_plugin_runs_on_the_gpu_nodes_only(rehearsed: Rehearsed) -> None:
    pods = rehearsed.get("pods", "--namespace=nvidia-device-plugin")
    assert sorted(pod["spec"]["nodeName"] for pod in pods) == sorted(NODES)
    assert {pod["spec"]["priorityClassName"] for pod in pods} == {"system-node-critical"}


def test_replica_serves_on_a_gpu_node_with_a_gpu_of_that_node(rehearsed: Rehearsed) -> None:
    deployment = rehearsed.get("deployment", "chat", "--namespace=inference")
    assert deployment["status"]["readyReplicas"] == 1
    (pod,) = _serving_pods(rehearsed)
    node = pod["spec"]["nodeName"]
    assert node in NODES
    code = "import os; print(os.environ['NVIDIA_VISIBLE_DEVICES'])"
    seen = in_engine(rehearsed, pod, "python3", "-c", code)
    assert seen.strip() in {gpu_uuid(node, 0), gpu_uuid(node, 1)}


def test_weights_are_seeded_by_a_completed_job_onto_a_shared_volume(rehearsed: Rehearsed) -> None:
    (job,) = rehearsed.get("jobs", "--namespace=inference", "--selector=app.kubernetes.io/name=weight-seeder")
    assert job["status"]["succeeded"] == 1
    claim = rehearsed.get("pvc", "chat-weights-rehearsal-shared", "--namespace=inference")
    assert claim["status"]["phase"] == "Bound"
    assert claim["status"]["accessModes"] == ["ReadWriteMany"]
    # Tests before this one may have had another selection seeded beside.
    manifests = [*(rehearsed.cluster / "volumes").glob(f"{claim['spec']['volumeName']}_*/*/*/.seeded.json")]
    assert manifests
    for manifest in manifests:
        for file in json.loads(manifest.read_text())["files"]:
            path = manifest.parent / file["path"]
            assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"], file["path"]
            assert path.read_bytes() == (rehearsed.cluster / "hub/rehearsal/tiny-llama" / file["path"]).read_bytes()


def test_logs_exec_and_port_forward_work(rehearsed: Rehearsed) -> None:
    (pod,) = _serving_pods(rehearsed)
    assert "INFO" in rehearsed.kubectl("logs", "--namespace=inference", pod["metadata"]["name"])
    with forwarded(rehearsed.client, "inference", "chat") as address:
        listed = httpx.get(f"http://{address}/v1/models", trust_env=False).json()
    assert [model["id"] for model in listed["data"]] == ["chat"]


def test_pod_security_refuses_a_privileged_pod_beside_the_model(rehearsed: Rehearsed) -> None:
    overrides = '{"spec":{"containers":[{"name":"x","image":"x:1","securityContext":{"privileged":true}}]}}'
    refusal = rehearsed.kubectl(
        "run", "x", "--image=x:1", "--namespace=inference", f"--overrides={overrides}", "--dry-run=server", ok=False
    )
    assert 'violates PodSecurity "restricted' in refusal


def test_replica_has_no_credentials_for_the_api_server(rehearsed: Rehearsed) -> None:
    (pod,) = _serving_pods(rehearsed)
    code = "import os; print(os.path.exists('/var/run/secrets/kubernetes.io'))"
    shown = in_engine(rehearsed, pod, "python3", "-c", code)
    assert shown.strip() == "False"


def test_api_server_refuses_strangers_and_unprivileged_accounts(rehearsed: Rehearsed) -> None:
    unknown = httpx.get(f"https://{CONTROL}:6443/api/v1/namespaces", verify=False, trust_env=False)  # noqa: S501
    assert unknown.status_code == httpx.codes.UNAUTHORIZED
    account = "system:serviceaccount:inference:chat"
    assert "no" in rehearsed.kubectl("auth", "can-i", "get", "secrets", f"--as={account}", ok=False)


def test_everything_listens_in_namespaces_and_not_on_the_host(rehearsed: Rehearsed) -> None:
    new = listening_ports() - rehearsed.ports_before
    assert new.isdisjoint({6443, 2379, 2380, 10250, 10257, 10259, 8080})


def test_changed_context_length_rolls_by_surge_and_cuts_no_stream(rehearsed: Rehearsed) -> None:
    before = rehearsed.get("deployment", "chat", "--namespace=inference")["metadata"]["generation"]
    try:
        rehearsed.configure("models.chat.contextLength", 1024)
        with Streams(rehearsed.address) as streams:
            rolled = rehearsed.make("up").stdout
        assert re.search(r"~ 1 updated", rolled)
        after = rehearsed.get("deployment", "chat", "--namespace=inference")
        assert after["metadata"]["generation"] == before + 1
        assert after["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        command = after["spec"]["template"]["spec"]["containers"][0]
        assert "1024" in [*command.get("command", []), *command.get("args", [])]
    finally:
        rehearsed.restore_configuration()
    assert streams.lost == []
    assert len(streams.completed) >= 3
    rehearsed.make("up")


def test_mistakes_are_refused_together_at_preview_and_nothing_is_touched(rehearsed: Rehearsed) -> None:
    before = rehearsed.kubectl("get", OBJECTS, "--namespace=inference", "--output=name")
    mistakes = {
        "models.chat.contextLenght": 2048,
        "models.chat.concurrency": "many",
        "models.chat.pool": "a100",
        "models.chat.source": "hf://rehearsal/tiny-llama@main",
        "models.chat.replicas": {"min": 3, "max": 2},
    }
    try:
        for key, value in mistakes.items():
            rehearsed.configure(key, value)
        shown = rehearsed.make("preview", ok=False).stdout
        assert "Traceback" not in shown
        for key in mistakes:
            assert len(re.findall(rf"error: inference:{re.escape(key)}[^a-zA-Z]", shown)) == 1, (key, shown)
        rehearsed.restore_configuration()
        rehearsed.configure("models.chat.gpus", 4)
        shown = rehearsed.make("preview", ok=False).stdout
        assert "inference:models.chat.gpus" in shown
        assert "Traceback" not in shown
    finally:
        rehearsed.restore_configuration()
    assert rehearsed.kubectl("get", OBJECTS, "--namespace=inference", "--output=name") == before
    FIGURES["mistakes caught"] += len(mistakes) + 1


def test_no_component_has_logged_an_unexpected_error(rehearsed: Rehearsed) -> None:
    errors = rehearsed.unexpected_errors(kubelets=True)
    assert not errors, "\n".join(errors)


def in_engine(rehearsed: Rehearsed, pod: dict[str, Any], *command: str) -> str:
    """What a command in the pod's engine prints."""
    where = ("--namespace=inference", "--container=engine", pod["metadata"]["name"])
    return rehearsed.kubectl("exec", *where, "--", *command)


def _serving_pods(rehearsed: Rehearsed) -> list[dict]:  # type: ignore[type-arg]
    pods = rehearsed.get("pods", "--namespace=inference", "--selector=app.kubernetes.io/component=engine")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
