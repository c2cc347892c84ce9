"""An Ingress a model, with what its controller has to be told for answers that take minutes and come token by token.

ingress-nginx cuts what is silent for 60 s, gathers an answer before it passes it on, and refuses requests of 1 MiB:
https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/. traefik does none of that of
itself, and its times are those of its entry points. An ALB cuts what is silent for 60 s, and what is left of an engine
300 s after its removal: https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components.engines import engine_of
from components.settings import Ingress, Model
from components.settings.access import NGINX_BODY_MIB
from components.timing import timing

NGINX: Final = "nginx.ingress.kubernetes.io"
TRAEFIK: Final = "traefik.ingress.kubernetes.io"
ALB: Final = "alb.ingress.kubernetes.io"
ALB_GROUP: Final = "inference"


def ingress(
    name: str,
    door: Ingress,
    backend: tuple[pulumi.Input[str], int],
    annotations: Mapping[str, str],
    *,
    namespace: pulumi.Input[str],
    labels: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Make it, and for traefik what takes the model's name off the path."""
    if door.controller == "traefik" and name not in door.hosts:
        k8s.apiextensions.CustomResource(
            name,
            api_version="traefik.io/v1alpha1",
            kind="Middleware",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels),
            spec={"stripPrefix": {"prefixes": [f"/{name}"]}},
            opts=opts,
        )
    metadata = k8s.meta.v1.ObjectMetaArgs(
        name=name,
        namespace=namespace,
        labels=labels,
        # Pulumi would wait for an address and for endpoints, that is for seeding and load.
        annotations={"pulumi.com/skipAwait": "true", **annotations, **door.annotations},
    )
    k8s.networking.v1.Ingress(name, metadata=metadata, spec=ingress_spec(name, door, backend), opts=opts)


def ingress_spec(name: str, door: Ingress, backend: tuple[pulumi.Input[str], int]) -> k8s.networking.v1.IngressSpecArgs:
    """/MODEL/v1 of the host, or /v1 of the model's own."""
    host, (service, port) = door.hosts.get(name, door.host), backend
    prefix = "/v1" if name in door.hosts else f"/{name}/v1"
    by_pattern = door.controller == "nginx" and name not in door.hosts
    path = k8s.networking.v1.HTTPIngressPathArgs(
        path=f"{prefix}/(.*)" if by_pattern else prefix,
        path_type="ImplementationSpecific" if by_pattern else "Prefix",
        backend=k8s.networking.v1.IngressBackendArgs(
            service=k8s.networking.v1.IngressServiceBackendArgs(
                name=service, port=k8s.networking.v1.ServiceBackendPortArgs(number=port)
            )
        ),
    )
    secret = door.tls.secret if door.tls else None
    return k8s.networking.v1.IngressSpecArgs(
        ingress_class_name=door.class_name,
        tls=[k8s.networking.v1.IngressTLSArgs(hosts=[host], secret_name=secret)] if secret else None,
        rules=[
            k8s.networking.v1.IngressRuleArgs(host=host, http=k8s.networking.v1.HTTPIngressRuleValueArgs(paths=[path]))
        ],
    )


def controller_annotations(name: str, model: Model, door: Ingress, namespace: str) -> dict[str, str]:
    """The controller's annotations for the Ingress of a model."""
    own = name in door.hosts
    if door.controller == "nginx":
        return {
            f"{NGINX}/proxy-read-timeout": str(door.idle),
            f"{NGINX}/proxy-send-timeout": str(door.idle),
            f"{NGINX}/proxy-buffering": "off",
            f"{NGINX}/proxy-body-size": f"{door.max_body_mib or NGINX_BODY_MIB}m",
            **({} if own else {f"{NGINX}/use-regex": "true", f"{NGINX}/rewrite-target": "/v1/$1"}),
        }
    if door.controller == "traefik":
        return {
            **({f"{TRAEFIK}/router.tls": "true"} if door.secure else {}),
            **({} if own else {f"{TRAEFIK}/router.middlewares": f"{namespace}-{name}@kubernetescrd"}),
        }
    return _of_alb(name, model, door) if door.controller == "alb" else {}


def _of_alb(name: str, model: Model, door: Ingress) -> dict[str, str]:
    rewrite = {"regex": f"^/{name}/v1/(.*)$", "replace": "/v1/$1"}
    transform = [{"type": "url-rewrite", "urlRewriteConfig": {"rewrites": [rewrite]}}]
    certificate = door.tls.certificate if door.tls else None
    return {
        # One load balancer for all models.
        f"{ALB}/group.name": ALB_GROUP,
        f"{ALB}/target-type": "ip",
        f"{ALB}/healthcheck-path": engine_of(model).health_path,
        f"{ALB}/load-balancer-attributes": f"idle_timeout.timeout_seconds={door.idle}",
        f"{ALB}/target-group-attributes": f"deregistration_delay.timeout_seconds={min(timing(model).grace, 3600)}",
        f"{ALB}/listen-ports": json.dumps([{"HTTPS": 443} if certificate else {"HTTP": 80}]),
        **({f"{ALB}/certificate-arn": certificate} if certificate else {}),
        **({} if name in door.hosts else {f"{ALB}/transforms.{name}": json.dumps(transform)}),
    }
