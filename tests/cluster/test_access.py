"""Who reaches the models: API keys that change under load, and NetworkPolicies that a real implementation enforces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.cluster.rehearsed import NETWORK, Rehearsed
from tests.cluster.scenarios import ENGINES, HERE, LOAD, UP, engine_processes, eventually, replicas, under_load

OLD, NEW = "old-3f7c1a9be05d42868d", "new-b84e6d20c9f1357aa1"
FEW = replace(LOAD, streams=300, rate=20, long_every=10, long_tokens=200)
IMAGE = "docker.io/local/vllm-simulator:0.33"
NODES = NETWORK.replace(".0.0/16", ".0.0/24")
"""The cluster's nodes, and this host beside them."""
CONNECT = """
import socket, sys
try:
    address = socket.gethostbyname(sys.argv[1])
except OSError:
    sys.exit(print("no name"))
try:
    socket.create_connection((address, int(sys.argv[2])), timeout=3).close()
except OSError:
    sys.exit(print("no connection"))
print("connection")
"""
API_SERVER, HUB = ("kubernetes.default.svc.cluster.local", 443), ("hub.rehearsal.svc.cluster.local", 80)

pytestmark = pytest.mark.cluster


SECURITY: Final = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
ASKS: Final[dict[str, Any]] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "spec": {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "asks",
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python3", "-c", "import time; time.sleep(3600)"],
                "securityContext": SECURITY,
            }
        ],
    },
}
"""A pod that waits to be told whom to connect to."""
ALL_IN: Final = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "all-in", "namespace": "inference"},
    "spec": {"podSelector": {}, "ingress": [{}]},
}


@pytest.fixture(scope="module")
def access(rehearsed: Rehearsed) -> Iterator[Rehearsed]:
    """The local stack with two replicas that only this host, the gateway and Prometheus may ask."""
    rehearsed.configure("models.chat.replicas", {"min": 2, "max": 2})
    rehearsed.configure("networkPolicy.clients", [NODES])
    rehearsed.configure("networkPolicy.gatewayNamespace", "gateway")
    rehearsed.pulumi(*UP)
    yield rehearsed
    rehearsed.restore_configuration()
    rehearsed.pulumi(*UP)


def set_keys(rehearsed: Rehearsed, *keys: str) -> None:
    rehearsed.pulumi("config", "set", "--secret", "inference:apiKeys", " ".join(keys), "--stack", "local")


def status(rehearsed: Rehearsed, key: str | None) -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = httpx.get(f"http://{rehearsed.address}/v1/models", headers=headers, trust_env=False, timeout=10)
    return answer.status_code


@pytest.fixture(scope="module")
def rotated(access: Rehearsed) -> Iterator[Rehearsed]:
    """Keys given to a stack without any; then one is added and the other taken out, under the streams of each."""
    set_keys(access, OLD)
    access.pulumi(*UP)
    assert [status(access, key) for key in (None, OLD, NEW)] == [401, 200, 401]
    with under_load(access, "API key added", replace(FEW, api_key=OLD)) as added:
        set_keys(access, OLD, NEW)
        access.pulumi(*UP)
    assert [status(access, key) for key in (None, OLD, NEW)] == [401, 200, 200]
    with under_load(access, "API key taken out", replace(FEW, api_key=NEW)) as removed:
        set_keys(access, NEW)
        access.pulumi(*UP)
    for traffic in (added, removed):
        assert not traffic.result.lost, traffic.result.summary()
        assert traffic.result.streams >= FEW.streams
    yield access
    access.pulumi("config", "rm", "inference:apiKeys", "--stack", "local")
    access.pulumi(*UP)


def test_keys_change_in_two_rollouts_without_a_lost_stream(rotated: Rehearsed) -> None:
    assert [status(rotated, key) for key in (None, OLD, NEW)] == [401, 401, 200]
    assert len(rotated.get("secrets", HERE)) == 1


def test_a_key_is_nowhere_but_in_its_secret(rotated: Rehearsed) -> None:
    processes = [process for replica in replicas(rotated) for process in engine_processes(replica.uid)]
    assert len(processes) >= 2
    places = {
        "state": rotated.pulumi("stack", "export", "--stack", "local"),
        "outputs": rotated.pulumi("stack", "output", "--json", "--stack", "local"),
        "preview": rotated.pulumi("preview", "--diff", "--stack", "local"),
        "stack file": (rotated.checkout / "Pulumi.local.yaml").read_text(),
        "objects": rotated.kubectl("get", "deployments,replicasets,pods,jobs,events", HERE, "--output=yaml"),
        "logs": rotated.kubectl("logs", HERE, ENGINES, "--container=engine", "--tail=-1"),
        "arguments": "".join(Path(f"/proc/{each}/cmdline").read_bytes().decode() for each in processes),
        "environment": "".join(Path(f"/proc/{each}/environ").read_bytes().decode() for each in processes),
    }
    assert [name for name, text in places.items() if OLD in text or NEW in text] == []
    # It has been looked for where it could be.
    assert "--config" in places["arguments"]
    assert "'api_key': '***'" in places["logs"]
    (secret,) = rotated.get("secrets", HERE)
    assert secret["immutable"] is True


def test_make_up_asks_with_a_key_of_the_stack(rotated: Rehearsed) -> None:
    done = rotated.make("up")
    assert "finish_reason" in done.stdout
    assert NEW not in done.stdout


@pytest.fixture(scope="module")
def engine(access: Rehearsed) -> tuple[str, str]:
    """Name and address of a replica."""
    name = replicas(access)[0].name
    return name, access.get("pod", name, HERE)["status"]["podIP"]


def connect(rehearsed: Rehearsed, pod: str, namespace: str, host: str, port: int) -> str:
    """What a running pod gets of an address: a connection, none, or not even the address of the name."""
    command = ("python3", "-c", CONNECT, host, str(port))
    # kubectl's own words about the containers of the pod come first.
    return rehearsed.kubectl("exec", pod, f"--namespace={namespace}", "--", *command).splitlines()[-1]


@pytest.fixture(scope="module")
def outside(access: Rehearsed) -> Iterator[None]:
    """A pod `asks` in each of some namespaces."""
    names = ("gateway", "monitoring", "elsewhere")
    there = {each["metadata"]["name"] for each in access.get("namespaces")}
    made = [name for name in names if name not in there]
    for name in made:
        access.kubectl("create", "namespace", name)
    for name in names:
        metadata = {"name": "asks", "namespace": name}
        access.client.read("apply", "--filename=-", text=json.dumps(ASKS | {"metadata": metadata}))
    for name in names:
        access.kubectl("wait", "--for=condition=Ready", "pod/asks", f"--namespace={name}", "--timeout=60s")
    yield
    for name in names:
        access.kubectl("delete", "pod", "asks", f"--namespace={name}", "--grace-period=0", "--force")
    for name in made:
        access.kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize(
    ("namespace", "got"), [("gateway", "connection"), ("monitoring", "connection"), ("elsewhere", "no connection")]
)
def test_gateway_and_prometheus_get_through_to_the_engine_and_no_other_pod(
    access: Rehearsed, engine: tuple[str, str], namespace: str, got: str
) -> None:
    assert connect(access, "asks", namespace, engine[1], 8000) == got
    # By the Service as well.
    assert connect(access, "asks", namespace, "chat.inference.svc.cluster.local", 8000) == got


@pytest.mark.usefixtures("outside")
def test_a_pod_outside_is_stopped_by_the_policies_and_by_nothing_else(
    access: Rehearsed, engine: tuple[str, str]
) -> None:
    """With one more that lets all in it gets through: else the test above would show nothing."""
    access.client.read("apply", "--filename=-", text=json.dumps(ALL_IN))
    try:
        eventually(lambda: connect(access, "asks", "elsewhere", engine[1], 8000) == "connection")
    finally:
        access.kubectl("delete", "networkpolicy", "all-in", HERE)
    eventually(lambda: connect(access, "asks", "elsewhere", engine[1], 8000) == "no connection")


@pytest.mark.parametrize("where", [API_SERVER, HUB], ids=["API server", "hub"])
def test_the_engine_finds_names_and_reaches_nothing(
    access: Rehearsed, engine: tuple[str, str], where: tuple[str, int]
) -> None:
    assert connect(access, engine[0], "inference", *where) == "no connection"


def test_the_seeder_reaches_its_source_through_the_policies(access: Rehearsed) -> None:
    """A revision that is not there yet is fetched with all policies in place."""
    names = {each["metadata"]["name"].rpartition("-")[0] for each in access.get("networkpolicies", HERE)}
    assert {"seeding", "default"} <= names
    before = {job["metadata"]["name"] for job in access.get("jobs", HERE)}
    access.configure("models.chat.weights.include", ["*.json", "*.safetensors"])
    access.pulumi(*UP)
    seeded = {job["metadata"]["name"]: job["status"].get("succeeded") for job in access.get("jobs", HERE)}
    new = {name: done for name, done in seeded.items() if name not in before}
    assert [name for name in new if name.startswith("chat-seed-")]
    assert set(new.values()) == {1}
