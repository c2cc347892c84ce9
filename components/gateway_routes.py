"""Routes of the Gateway API: https://gateway-api.sigs.k8s.io/reference/spec/.

A gateway passes on a stream as it comes: the API has no word for buffering, nor for a bound of idleness or of a
request's size. Timeouts are of its extended features; a gateway without them ignores them, and has its own.
"""

from __future__ import annotations

from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from components.pod import MANAGED_BY
from components.settings import Gateway

API: Final = "gateway.networking.k8s.io/v1"
GRANTS_API: Final = "gateway.networking.k8s.io/v1beta1"
HTTPS: Final = 443
HTTP: Final = 80


def gateway(name: str, door: Gateway, *, models_namespace: str, opts: pulumi.ResourceOptions) -> None:
    """Make the Gateway where none is there, and let it read a certificate of another namespace."""
    if door.class_name is None:
        return
    metadata = k8s.meta.v1.ObjectMetaArgs(name=name, namespace=door.namespace or models_namespace, labels=MANAGED_BY)
    spec = gateway_spec(door, models_namespace)
    made = k8s.apiextensions.CustomResource(
        name, api_version=API, kind="Gateway", metadata=metadata, spec=spec, opts=opts
    )
    if door.tls is None or door.tls.namespace in {None, door.namespace or models_namespace}:
        return
    k8s.apiextensions.CustomResource(
        name,
        api_version=GRANTS_API,
        kind="ReferenceGrant",
        metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=door.tls.namespace, labels=MANAGED_BY),
        spec=grant_spec(door, models_namespace),
        opts=pulumi.ResourceOptions(parent=made),
    )


def route(
    name: str,
    spec: dict[str, Any],
    *,
    namespace: pulumi.Input[str],
    labels: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Make the route of a model."""
    metadata = k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels)
    k8s.apiextensions.CustomResource(name, api_version=API, kind="HTTPRoute", metadata=metadata, spec=spec, opts=opts)


def gateway_spec(door: Gateway, models_namespace: str) -> dict[str, Any]:
    """One listener for all hosts, which takes the routes of the models' namespace alone."""
    here = door.namespace in {None, models_namespace}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": models_namespace}}
    allowed = {"from": "Same"} if here else {"from": "Selector", "selector": selector}
    listener: dict[str, Any] = {"name": "http", "port": door.port or HTTP, "protocol": "HTTP"}
    if door.tls is not None:
        reference = {"group": "", "kind": "Secret", "name": door.tls.secret}
        if door.tls.namespace is not None:
            reference["namespace"] = door.tls.namespace
        tls = {"mode": "Terminate", "certificateRefs": [reference]}
        listener = {"name": "https", "port": door.port or HTTPS, "protocol": "HTTPS", "tls": tls}
    return {
        "gatewayClassName": door.class_name,
        "listeners": [listener | {"allowedRoutes": {"namespaces": allowed}}],
    }


def grant_spec(door: Gateway, models_namespace: str) -> dict[str, Any]:
    """Whose Gateways may read which Secret."""
    gateways = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "namespace": door.namespace or models_namespace,
    }
    secret = door.tls.secret if door.tls else ""
    return {"from": [gateways], "to": [{"group": "", "kind": "Secret", "name": secret}]}


def route_spec(
    name: str, model: str, door: Gateway, backend: tuple[pulumi.Input[str], int], models_namespace: str
) -> dict[str, Any]:
    """/MODEL/v1 of the host becomes the engine's /v1; a host of the model's own has just that."""
    parent = {"name": door.name or name}
    if door.namespace not in {None, models_namespace}:
        parent["namespace"] = str(door.namespace)
    if door.listener is not None:
        parent["sectionName"] = door.listener
    own = door.hosts.get(model)
    rewrite = {
        "type": "URLRewrite",
        "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/v1"}},
    }
    service, port = backend
    seconds = f"{door.request_seconds}s"
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/v1" if own else f"/{model}/v1"}}],
        "backendRefs": [{"kind": "Service", "name": service, "port": port}],
        # An answer of a model is one request to one engine: nothing is tried again.
        "timeouts": {"request": seconds, "backendRequest": seconds},
    }
    return {
        "parentRefs": [parent],
        "hostnames": [own or door.host],
        "rules": [rule if own else rule | {"filters": [rewrite]}],
    }
