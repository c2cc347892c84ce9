"""What a cluster gets only where something needs it: a gateway, and the controller of replicas over several nodes."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from rehearsal.addon import Addon
from rehearsal.cluster.templates import render
from rehearsal.fault import Fault
from rehearsal.images import LWS, TRAEFIK
from rehearsal.kubectl import Kubectl

HERE = Path(__file__).parent
APPLY = ("apply", "--server-side", "--force-conflicts", "--filename=-")
WAIT = "--timeout=120s"
PATIENCE_S = 60.0

SMALLEST = """
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: rehearsal, namespace: default}
spec: {leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: engine, image: none:1}]}}}}
"""


def ensure(addon: Addon, kubectl: Kubectl, manifests: Path) -> None:
    """Have the addon run in the cluster; `manifests` are those that the toolchain put beside its program."""
    {Addon.GATEWAY: _gateway, Addon.LEADER_WORKER_SET: _leader_worker_set}[addon](kubectl, manifests)


def _gateway(kubectl: Kubectl, manifests: Path) -> None:
    definitions = [path.read_text() for path in sorted(manifests.glob("*.yaml"))]
    # The others are for kustomize, and a policy for those who upgrade.
    kinds = [text for text in definitions if "\nkind: CustomResourceDefinition\n" in text]
    _establish(kubectl, "\n---\n".join(kinds))
    kubectl.read(*APPLY, text=render(HERE, "traefik.yaml.j2", image=TRAEFIK))
    kubectl.read("rollout", "status", "deployment/traefik", "--namespace=gateway", WAIT)
    kubectl.read("wait", "--for=condition=Accepted", "gatewayclass/traefik", WAIT)


def _leader_worker_set(kubectl: Kubectl, manifests: Path) -> None:
    repository, _, tag = LWS.rpartition(":")
    with tempfile.TemporaryDirectory() as folder:
        # kubectl's kustomize takes only what lies below.
        shutil.copytree(manifests, folder, dirs_exist_ok=True)
        text = render(HERE, "lws.yaml.j2", repository=repository, tag=tag)
        (Path(folder) / "kustomization.yaml").write_text(text)
        kubectl.read(*APPLY, text=kubectl.read("kustomize", folder))
    here = "--namespace=lws-system"
    kubectl.read("wait", r"--for=jsonpath={.data.tls\.crt}", "secret/lws-webhook-server-cert", here, WAIT)
    # The kubelet shows the controller its new certificate when the pod changes, else a minute later.
    kubectl.read("annotate", "pods", "--all", "--overwrite", "rehearsal/certificate=made", here)
    kubectl.read("rollout", "status", "deployment/lws-controller-manager", here, WAIT)
    _until_admitted(kubectl)


def _establish(kubectl: Kubectl, definitions: str) -> None:
    """Apply definitions of kinds, and wait until the API server knows them."""
    names = kubectl.read(*APPLY, "--output=name", text=definitions).split()
    kubectl.read("wait", "--for=condition=Established", *names, WAIT)


def _until_admitted(kubectl: Kubectl) -> None:
    """Wait until the controller's webhooks answer: it serves them some time after it calls itself ready."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            kubectl.read("create", "--dry-run=server", "--filename=-", text=SMALLEST)
        except Fault:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return
