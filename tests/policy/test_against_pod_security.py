"""Our reading of Pod Security's restricted level beside Kubernetes' own evaluator: each pod, the same verdict."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from inference_policy import restricted
from inference_policy.resource import Resource

from rehearsal.places import Places
from rehearsal.toolchain import judges
from tests.policy.analyzer import Asked
from tests.policy.resources import ENGINE, POD, WEB

SECURITY = f"{ENGINE}/securityContext"
OF_POD = f"{POD}/securityContext"
SOURCES: list[dict[str, Any]] = [
    {"hostPath": {"path": "/"}},
    {"nfs": {"server": "s", "path": "/"}},
    {"emptyDir": {}},
    {"csi": {"driver": "d"}},
    {"ephemeral": {}},
    {"projected": {}},
    {"downwardAPI": {}},
    {"configMap": {"name": "c"}},
    {"secret": {"secretName": "s"}},
    {"image": {"reference": "r"}},
    {"persistentVolumeClaim": {"claimName": "c"}},
    {"awsElasticBlockStore": {"volumeID": "v"}},
]
EDITS: list[tuple[str, Any]] = [
    (f"{POD}/hostNetwork", True),
    (f"{POD}/hostNetwork", False),
    (f"{POD}/hostPID", True),
    (f"{POD}/hostIPC", True),
    *((f"{POD}/volumes", [{"name": "v", **source}]) for source in SOURCES),
    *(
        (f"{OF_POD}/sysctls", [{"name": name, "value": "1"}])
        for name in ("kernel.msgmax", "kernel.shm_rmid_forced", "net.ipv4.tcp_rmem", "net.core.somaxconn")
    ),
    (f"{SECURITY}/privileged", True),
    (f"{SECURITY}/privileged", False),
    (f"{SECURITY}/allowPrivilegeEscalation", True),
    (f"{SECURITY}/allowPrivilegeEscalation", None),
    (f"{SECURITY}/capabilities", None),
    (f"{SECURITY}/capabilities", {"drop": ["NET_RAW"]}),
    (f"{SECURITY}/capabilities", {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
    (f"{SECURITY}/capabilities", {"drop": ["ALL"], "add": ["SYS_PTRACE"]}),
    (f"{ENGINE}/ports", [{"containerPort": 80, "hostPort": 80}]),
    (f"{ENGINE}/ports", [{"containerPort": 80, "hostPort": 0}]),
    (f"{OF_POD}/runAsNonRoot", None),
    (f"{OF_POD}/runAsNonRoot", False),
    (f"{SECURITY}/runAsNonRoot", False),
    (f"{SECURITY}/runAsNonRoot", True),
    (f"{OF_POD}/runAsUser", 0),
    (f"{OF_POD}/runAsUser", 1000),
    (f"{SECURITY}/runAsUser", 0),
    (f"{OF_POD}/seccompProfile", None),
    (f"{OF_POD}/seccompProfile", {"type": "Unconfined"}),
    (f"{OF_POD}/seccompProfile", {"type": "Localhost", "localhostProfile": "p"}),
    (f"{SECURITY}/seccompProfile", {"type": "Unconfined"}),
    (f"{SECURITY}/seccompProfile", {"type": "RuntimeDefault"}),
    (f"{OF_POD}/appArmorProfile", {"type": "Unconfined"}),
    (f"{SECURITY}/appArmorProfile", {"type": "RuntimeDefault"}),
    (f"{OF_POD}/seLinuxOptions", {"type": "spc_t"}),
    (f"{OF_POD}/seLinuxOptions", {"type": "container_t"}),
    (f"{SECURITY}/seLinuxOptions", {"user": "u"}),
    (f"{SECURITY}/seLinuxOptions", {"level": "s0"}),
    (f"{SECURITY}/procMount", "Unmasked"),
    (f"{SECURITY}/procMount", "Default"),
    (f"{ENGINE}/livenessProbe", {"httpGet": {"port": 80, "host": "10.0.0.1"}}),
    (f"{ENGINE}/readinessProbe", {"tcpSocket": {"port": 80, "host": "10.0.0.1"}}),
    (f"{ENGINE}/lifecycle", {"preStop": {"httpGet": {"port": 80, "host": "10.0.0.1"}}}),
    (f"{ENGINE}/lifecycle", {"preStop": {"sleep": {"seconds": 5}}}),
    (f"{POD}/initContainers", [{"name": "first", "image": "i"}]),
    (f"{POD}/hostUsers", False),
]


def ours(asked: Asked) -> list[str]:
    resource = Resource(type=asked.type, name=asked.name, inputs=asked.inputs)
    return list(restricted.restricted(resource, {"except": {}}))


@pytest.mark.engine
def test_the_verdict_on_every_pod_is_kubernetes_own() -> None:
    program = judges.ensure(Places.of_user()).pod_security
    edited = {f"{number}": WEB.edited(path, value) for number, (path, value) in enumerate(EDITS)}
    specs = {name: asked.inputs["spec"]["template"]["spec"] for name, asked in {"good": WEB, **edited}.items()}
    shown = [{"name": name, "spec": spec} for name, spec in specs.items()]
    done = subprocess.run([program], input=json.dumps(shown), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs = {line.split(": ", 1)[0] for line in done.stdout.splitlines()}
    assert "good" not in theirs
    assert len(theirs) > 20
    differ = [
        (EDITS[int(name)], ours(asked)) for name, asked in edited.items() if bool(ours(asked)) != (name in theirs)
    ]
    assert not differ, f"{differ}\n{done.stdout}"
