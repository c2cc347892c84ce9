"""Weights on the nodes' own disks: volume and claim as the program renders them, on real kubelets."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.aws.stored import named, stored
from tests.cluster.rehearsed import Rehearsed
from tests.components.program import plain
from tests.components.samples import AWS_CREATED, changed
from tests.figures import FIGURES

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore:aws.ec2/:DeprecationWarning")]
NAMESPACE: Final = "inference"
IMAGE: Final = "docker.io/local/weight-seeder:0.1"
USER: Final = 65532


@dataclass(frozen=True, kw_only=True)
class NodeLocal:
    """A claim on a folder that the nodes see, because they see the host's; the test makes it, or does not."""

    rehearsed: Rehearsed
    scratch: Path
    claim: str

    @property
    def folder(self) -> Path:
        return self.scratch / "weights"

    def apply(self, name: str, *objects: dict[str, Any]) -> None:
        """Create objects as they are."""
        path = self.scratch / f"{name}.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        self.rehearsed.kubectl("apply", f"--filename={path}")

    def start(self, name: str, code: str) -> None:
        """Start a pod that Pod Security's `restricted` lets into the models' namespace, and that names no node."""
        container = {
            "name": "main",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-c", code],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "weights", "mountPath": "/weights"}],
        }
        user = {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER}
        spec = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "weights", "persistentVolumeClaim": {"claimName": self.claim}}],
        }
        metadata = {"name": name, "namespace": NAMESPACE, "labels": {"test": self.claim}}
        self.apply(name, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def output(self, name: str) -> str:
        """What a pod has printed when it has ended well."""
        ended = "--for=jsonpath={.status.phase}=Succeeded"
        self.rehearsed.kubectl("wait", f"pod/{name}", f"--namespace={NAMESPACE}", ended, "--timeout=150s")
        return self.rehearsed.kubectl("logs", name, f"--namespace={NAMESPACE}").strip()

    def failed_mount(self, name: str) -> str:
        """The message of the first event that says why a pod's volume could not be mounted."""
        selector = f"--field-selector=involvedObject.name={name},reason=FailedMount"
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for event in self.rehearsed.get("events", f"--namespace={NAMESPACE}", selector):
                return str(event["message"])
            time.sleep(1)
        pytest.fail(self.rehearsed.kubectl("describe", "pod", name, f"--namespace={NAMESPACE}"))


@pytest.fixture
def local(rehearsed: Rehearsed, tmp_path: Path) -> Iterator[NodeLocal]:
    """The volume and the claim of the sample's model `draft`, whose pool has the name of the rehearsal's."""
    recorder = stored(changed(AWS_CREATED, "namespace", NAMESPACE))
    volume, claim = (named(recorder, kind, "draft-") for kind in ("PersistentVolume", "PersistentVolumeClaim"))
    local = NodeLocal(rehearsed=rehearsed, scratch=tmp_path, claim=claim.name)
    rendered = plain(volume.inputs)
    # Settings take folders of the RAID only, which no node here has.
    rendered["spec"]["local"]["path"] = str(tmp_path / "weights")
    try:
        for manifest, kind in ((rendered, "PersistentVolume"), (plain(claim.inputs), "PersistentVolumeClaim")):
            local.apply(kind, {"apiVersion": "v1", "kind": kind, **manifest})
        yield local
    finally:
        rehearsed.kubectl("delete", "pods", f"--namespace={NAMESPACE}", f"--selector=test={claim.name}")
        for kind in ("PersistentVolumeClaim", "PersistentVolume"):
            rehearsed.kubectl("delete", "--ignore-not-found", f"--filename={tmp_path / kind}.json")


def test_restricted_pods_write_to_the_folder_that_root_made_and_run_on_the_pools_nodes(local: NodeLocal) -> None:
    local.folder.mkdir(mode=0o755)
    local.start("writer", "import os; open('/weights/model', 'w').write('whole'); print(os.getuid(), os.getgid())")
    assert local.output("writer") == f"{USER} {USER}"
    assert (local.folder / "model").read_text() == "whole"
    assert local.folder.stat().st_gid == USER

    local.start("reader", "print(open('/weights/model').read())")
    assert local.output("reader") == "whole"
    # Nothing in the pod says where: the volume does.
    node = local.rehearsed.get("pod", "reader", f"--namespace={NAMESPACE}")["spec"]["nodeName"]
    assert local.rehearsed.get("node", node)["metadata"]["labels"]["inference/gpu-pool"] == "l4"


def test_a_node_without_the_folder_starts_no_pod_and_makes_none_on_its_root_disk(local: NodeLocal) -> None:
    local.start("early", "print('started')")
    message = local.failed_mount("early")
    assert str(local.folder) in message
    assert "does not exist" in message
    assert local.rehearsed.get("pod", "early", f"--namespace={NAMESPACE}")["status"]["phase"] == "Pending"
    assert not local.folder.exists()

    # As soon as the disk is mounted, the same pod starts.
    local.folder.mkdir()
    assert local.output("early") == "started"
    FIGURES["faults injected"] += 1
