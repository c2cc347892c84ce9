"""KEDA, as its makers deploy it, and its HTTP add-on."""

from __future__ import annotations

from pathlib import Path

from rehearsal.cluster.addons.applying import WAIT, customize, rolled_out, show_certificate, split
from rehearsal.images import HTTP_INTERCEPTOR, HTTP_OPERATOR, HTTP_SCALER, KEDA_ADAPTER, KEDA_OPERATOR
from rehearsal.kubectl import Kubectl

METRICS = "apiservice/v1beta1.external.metrics.k8s.io"


def keda(kubectl: Kubectl, manifests: Path) -> None:
    """The operator, and the server of external metrics, until the API server gets answers from it."""
    operator, tag = split(KEDA_OPERATOR)
    customize(kubectl, manifests, "keda.yaml.j2", operator=operator, adapter=split(KEDA_ADAPTER)[0], tag=tag)
    # The operator makes the certificate that both speak with.
    show_certificate(kubectl, "keda", "kedaorg-certs")
    rolled_out(kubectl, "keda", "deployment/keda-operator", "deployment/keda-metrics-apiserver")
    kubectl.read("wait", "--for=condition=Available", METRICS, WAIT)


def http_add_on(kubectl: Kubectl, manifests: Path) -> None:
    """The interceptor, which holds requests, with its operator and the scaler that KEDA asks."""
    images = {"operator": HTTP_OPERATOR, "interceptor": HTTP_INTERCEPTOR, "scaler": HTTP_SCALER}
    repositories = {name: split(image)[0] for name, image in images.items()}
    customize(kubectl, manifests, "http-add-on.yaml.j2", tag=split(HTTP_OPERATOR)[1], **repositories)
    rolled_out(kubectl, "keda", *(f"deployment/keda-add-ons-http-{name}" for name in images))
