"""The door of a model whose requests are counted, and held while it has no replica: KEDA's HTTP add-on.

https://keda.sh/http-add-on/: its interceptor takes requests by the host that they name, waits for a replica, and passes
on what comes as it comes. It reaches the engines' Service, and clients reach it by a Service of the model's own, whose
name is the host: an OpenAI client needs no header for it.
"""

from __future__ import annotations

from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from components.engines import engine_of
from components.scaling_target import target_of
from components.scaling_triggers import HOLDER
from components.settings import Model
from components.timing import inference_seconds, timing

API: Final = "http.keda.sh/v1alpha1"
PORT: Final = 8080
LEAST_ANSWER: Final = 600
"""Seconds to the first header at least: of an answer that is no stream it comes with the last token."""


def door(
    name: str,
    model: Model,
    *,
    holder: str,
    models_namespace: str,
    namespace: pulumi.Input[str],
    labels: dict[str, str],
    parent: pulumi.Resource,
    after: list[pulumi.Resource],
) -> tuple[pulumi.Resource, pulumi.Output[str]]:
    """Open it: what the add-on counts by, and the base URL inside the cluster. `holder` is the add-on's namespace."""
    counted = k8s.apiextensions.CustomResource(
        name,
        api_version=API,
        kind="HTTPScaledObject",
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=name,
            namespace=namespace,
            labels=labels,
            # Its scaler is one of the triggers of ours, and no second one for the same replicas.
            annotations={"httpscaledobject.keda.sh/skip-scaledobject-creation": "true"},
        ),
        spec=held_spec(name, model, models_namespace),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=after),
    )
    service = k8s.core.v1.Service(
        service_name(name),
        metadata=k8s.meta.v1.ObjectMetaArgs(name=service_name(name), namespace=namespace, labels=labels),
        spec=k8s.core.v1.ServiceSpecArgs(
            type="ExternalName",
            external_name=f"{HOLDER}-interceptor-proxy.{holder}.svc.cluster.local",
            ports=[k8s.core.v1.ServicePortArgs(name="http", port=PORT, target_port=PORT, protocol="TCP")],
        ),
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return counted, pulumi.Output.format("http://{0}.{1}.svc:{2}/v1", service.metadata.name, namespace, PORT)


def service_name(name: str) -> str:
    """Of the Service that clients ask, beside that of the engines."""
    return f"{name}-on-demand"


def held_spec(name: str, model: Model, namespace: str) -> dict[str, Any]:
    """Whose requests they are, where they go, and how long each may wait: for a node, the image and the load."""
    host = f"{service_name(name)}.{namespace}"
    return {
        "hosts": [service_name(name), host, f"{host}.svc", f"{host}.svc.cluster.local"],
        "scaleTargetRef": {"name": name, "service": name, "port": engine_of(model).port},
        "replicas": {"min": model.replicas.min, "max": model.replicas.max},
        "scalingMetric": {"concurrency": {"targetValue": target_of(model)}},
        "timeouts": {
            "conditionWait": f"{timing(model).progress_deadline}s",
            "responseHeader": f"{max(LEAST_ANSWER, inference_seconds(model))}s",
        },
    }
