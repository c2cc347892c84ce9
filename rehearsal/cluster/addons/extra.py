"""What a cluster gets only where something needs it: a gateway, controllers, a scaler, and what watches all of them."""

from __future__ import annotations

import time
from pathlib import Path

from rehearsal.addon import Addon
from rehearsal.cluster.addons import autoscaling, monitoring
from rehearsal.cluster.addons.applying import (
    APPLY,
    HERE,
    WAIT,
    customize,
    establish,
    rolled_out,
    show_certificate,
    split,
)
from rehearsal.cluster.templates import render
from rehearsal.fault import Fault
from rehearsal.images import LWS, TRAEFIK
from rehearsal.kubectl import Kubectl

PATIENCE_S = 60.0

SMALLEST = """
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: rehearsal, namespace: default}
spec: {leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: engine, image: none:1}]}}}}
"""


def ensure(addon: Addon, kubectl: Kubectl, manifests: Path) -> None:
    """Have the addon run in the cluster; `manifests` are those that the toolchain put beside its program."""
    {
        Addon.GATEWAY: _gateway,
        Addon.LEADER_WORKER_SET: _leader_worker_set,
        Addon.PROMETHEUS: monitoring.prometheus,
        Addon.KEDA: autoscaling.keda,
        Addon.HTTP_ADD_ON: autoscaling.http_add_on,
    }[addon](kubectl, manifests)


def _gateway(kubectl: Kubectl, manifests: Path) -> None:
    definitions = [path.read_text() for path in sorted(manifests.glob("*.yaml"))]
    # The others are for kustomize, and a policy for those who upgrade.
    kinds = [text for text in definitions if "\nkind: CustomResourceDefinition\n" in text]
    establish(kubectl, "\n---\n".join(kinds))
    kubectl.read(*APPLY, text=render(HERE, "traefik.yaml.j2", image=TRAEFIK))
    rolled_out(kubectl, "gateway", "deployment/traefik")
    kubectl.read("wait", "--for=condition=Accepted", "gatewayclass/traefik", WAIT)


def _leader_worker_set(kubectl: Kubectl, manifests: Path) -> None:
    repository, tag = split(LWS)
    customize(kubectl, manifests, "lws.yaml.j2", repository=repository, tag=tag)
    show_certificate(kubectl, "lws-system", "lws-webhook-server-cert")
    rolled_out(kubectl, "lws-system", "deployment/lws-controller-manager")
    _until_admitted(kubectl)


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
