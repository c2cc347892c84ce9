"""Prometheus, made by its operator from an object, and kube-state-metrics, as kube-prometheus-stack has them."""

from __future__ import annotations

from pathlib import Path

from rehearsal.cluster.addons.applying import APPLY, HERE, WAIT, customize, establish, rolled_out, split
from rehearsal.cluster.templates import render
from rehearsal.images import CONFIG_RELOADER, KUBE_STATE_METRICS, PROMETHEUS, PROMETHEUS_OPERATOR
from rehearsal.kubectl import Kubectl

KINDS = ("prometheuses", "podmonitors", "servicemonitors", "probes", "prometheusrules")
"""What the operator asks for if it is to run a Prometheus; those of its other programs are half a megabyte each."""

RELEASE = "v3.14.0"
"""What Prometheus' module v0.314.0 is released as; the operator writes its configuration for it."""
NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata:
  name: monitoring
  labels: {pod-security.kubernetes.io/enforce: restricted}
"""


def prometheus(kubectl: Kubectl, manifests: Path) -> None:
    """The operator, a Prometheus and kube-state-metrics in namespace `monitoring`, until they can be asked."""
    definitions = manifests / "prometheus-operator-crd"
    kinds = [(definitions / f"monitoring.coreos.com_{name}.yaml").read_text() for name in KINDS]
    establish(kubectl, "\n---\n".join(kinds))
    kubectl.read(*APPLY, text=NAMESPACE)
    repository, tag = split(PROMETHEUS_OPERATOR)
    values = {"repository": repository, "tag": tag, "reloader": CONFIG_RELOADER}
    customize(kubectl, manifests / "rbac", "prometheus-operator.yaml.j2", **values)
    rolled_out(kubectl, "monitoring", "deployment/prometheus-operator")
    kubectl.read(*APPLY, text=render(HERE, "prometheus.yaml.j2", image=PROMETHEUS, version=RELEASE))
    kubectl.read(*APPLY, text=render(HERE, "kube-state-metrics.yaml.j2", image=KUBE_STATE_METRICS))
    rolled_out(kubectl, "monitoring", "deployment/kube-state-metrics")
    kubectl.read("wait", "--for=condition=Available", "prometheus/rehearsal", "--namespace=monitoring", WAIT)
