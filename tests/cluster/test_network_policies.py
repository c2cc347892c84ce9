"""NetworkPolicies are enforced on every node: what they forbid does not get through, what they allow is not hurt."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from rehearsal.images import WEIGHT_SEEDER
from tests.cluster.rehearsed import Rehearsed
from tests.cluster.scenarios import eventually

pytestmark = pytest.mark.cluster
NAMESPACE: Final = "fenced"
PORT: Final = 8080
PATIENCE_S: Final = 60
PROBES: Final = 5

# Answers each connection with a line a tenth of a second for as long as it is asked to.
SERVER: Final = f"""
import socketserver, time
class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        lines = self.request.recv(64).decode()
        for number in range(int(lines) if lines.isdigit() else 1):
            self.request.sendall(b"%d\\n" % number)
            time.sleep(0.1)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server(("", {PORT}), Answer).serve_forever()
"""
# Says what became of one connection: its lines, or how it failed.
CLIENT: Final = """
import socket, sys
host, port, lines = sys.argv[1], int(sys.argv[2]), sys.argv[3]
try:
    with socket.create_connection((host, port), 3) as one:
        one.settimeout(5)
        one.sendall(lines.encode())
        print(len(b"".join(iter(lambda: one.recv(4096), b"")).splitlines()))
except socket.gaierror:
    print("no name")
except OSError as error:
    print(type(error).__name__)
"""
WAITING: Final = "import signal; signal.pause()"


class Fenced:
    """A namespace with a server that is probed, on one node, and a client on another."""

    def __init__(self, rehearsed: Rehearsed) -> None:
        self.rehearsed = rehearsed

    def apply(self, *objects: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.rehearsed.client.read("apply", "--filename=-", text=text)

    def policies(self, *specs: dict[str, Any]) -> None:
        """Have just these policies, and wait until they are in force: the nodes hear of them within a second."""
        self.rehearsed.kubectl("delete", "networkpolicies", "--all", f"--namespace={NAMESPACE}")
        metadata = {"namespace": NAMESPACE}
        self.apply(
            *(
                {
                    "apiVersion": "networking.k8s.io/v1",
                    "kind": "NetworkPolicy",
                    "metadata": {**metadata, "name": f"policy-{number}"},
                    "spec": spec,
                }
                for number, spec in enumerate(specs)
            )
        )
        time.sleep(3)

    def asks(self, host: str, lines: int = 1, port: int = PORT) -> str:
        """What the client's connection to a host gives."""
        return self.rehearsed.kubectl(
            *("exec", "client", f"--namespace={NAMESPACE}", "--", "python3", "-c", CLIENT, host, str(port), str(lines))
        ).strip()

    def pod(self, name: str) -> Any:
        return self.rehearsed.get("pod", name, f"--namespace={NAMESPACE}")


def pod(name: str, code: str, node: str, probe: dict[str, Any]) -> dict[str, Any]:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    identity = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    container = {
        "name": "main",
        "image": WEIGHT_SEEDER,
        "command": ["python3", "-c", code],
        "securityContext": security,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "securityContext": identity,
            "containers": [{**container, **probe}],
        },
    }


@pytest.fixture(scope="module")
def fenced(rehearsed: Rehearsed) -> Iterator[Fenced]:
    """The namespace with both pods ready, before any policy."""
    made = Fenced(rehearsed)
    probe = {"tcpSocket": {"port": PORT}, "periodSeconds": 1, "failureThreshold": 2}
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    made.apply(
        pod("server", SERVER, "l4-0", {"readinessProbe": probe, "livenessProbe": probe}),
        pod("client", WAITING, "l4-1", {}),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "server", "namespace": NAMESPACE},
            "spec": {"selector": {"app": "server"}, "ports": [{"port": PORT}]},
        },
    )
    ready = "--for=condition=Ready"
    rehearsed.kubectl("wait", "pod", "--all", f"--namespace={NAMESPACE}", ready, f"--timeout={PATIENCE_S}s")
    yield made
    rehearsed.kubectl("delete", "namespace", NAMESPACE)


@pytest.fixture
def address(fenced: Fenced) -> str:
    """The server's own address, which needs no name."""
    return str(fenced.pod("server")["status"]["podIP"])


DENY: Final[dict[str, Any]] = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
TO_SERVER: Final[dict[str, Any]] = {
    "podSelector": {"matchLabels": {"app": "server"}},
    "policyTypes": ["Ingress"],
    "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": PORT}]}],
}
FROM_CLIENT: Final[dict[str, Any]] = {
    "podSelector": {"matchLabels": {"app": "client"}},
    "policyTypes": ["Egress"],
    "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "server"}}}]}],
}
DNS: Final[dict[str, Any]] = {
    "podSelector": {},
    "policyTypes": ["Egress"],
    "egress": [
        {
            "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
        }
    ],
}


def test_it_runs_on_every_node(rehearsed: Rehearsed) -> None:
    daemons = rehearsed.get("daemonset", "kube-network-policies", "--namespace=kube-system")
    nodes = rehearsed.get("nodes")
    assert daemons["status"]["numberReady"] == len(nodes)


def test_without_a_policy_everything_passes(fenced: Fenced, address: str) -> None:
    assert fenced.asks(address) == "1"
    # A Service leads nowhere until every node's kube-proxy has heard of its endpoint.
    eventually(lambda: fenced.asks("server") == "1")


def test_by_default_nothing_passes_and_probes_do(fenced: Fenced, address: str) -> None:
    fenced.policies(DENY)
    assert fenced.asks(address) == "TimeoutError"
    time.sleep(PROBES)
    status = fenced.pod("server")["status"]["containerStatuses"][0]
    assert status["ready"]
    assert status["restartCount"] == 0


@pytest.mark.parametrize(("end", "allowed"), [("of the server", TO_SERVER), ("of the client", FROM_CLIENT)])
def test_the_leave_of_one_end_is_not_enough(fenced: Fenced, address: str, end: str, allowed: dict[str, Any]) -> None:
    fenced.policies(DENY, allowed)
    assert fenced.asks(address) == "TimeoutError"


def test_what_both_ends_allow_passes_and_no_other_port_does(fenced: Fenced, address: str) -> None:
    fenced.policies(DENY, TO_SERVER, FROM_CLIENT)
    assert fenced.asks(address) == "1"
    assert fenced.asks(address, port=PORT + 1) == "TimeoutError"


def test_names_are_resolved_where_dns_is_allowed_only(fenced: Fenced) -> None:
    fenced.policies(DENY, TO_SERVER, FROM_CLIENT)
    assert fenced.asks("server") == "no name"
    fenced.policies(DENY, TO_SERVER, FROM_CLIENT, DNS)
    assert fenced.asks("server") == "1"


def test_a_stream_goes_on_while_the_enforcement_restarts(rehearsed: Rehearsed, fenced: Fenced, address: str) -> None:
    fenced.policies(DENY, TO_SERVER, FROM_CLIENT)
    lines = 200
    asked = ("exec", "client", f"--namespace={NAMESPACE}", "--", "python3", "-c", CLIENT, address, str(PORT))
    with subprocess.Popen(
        rehearsed.client.command(*asked, str(lines)),
        env={**os.environ, **rehearsed.client.environment},
        stdout=subprocess.PIPE,
        text=True,
    ) as stream:
        # All of them at once, and back before the stream ends.
        rehearsed.kubectl("delete", "pods", "--selector=k8s-app=kube-network-policies", "--namespace=kube-system")
        daemon = "daemonset/kube-network-policies"
        rehearsed.kubectl("rollout", "status", daemon, "--namespace=kube-system", f"--timeout={PATIENCE_S}s")
        assert stream.poll() is None
        said, _ = stream.communicate(timeout=PATIENCE_S)
    assert said.strip() == str(lines)
    # And it enforces again.
    fenced.policies(DENY)
    assert fenced.asks(address) == "TimeoutError"
