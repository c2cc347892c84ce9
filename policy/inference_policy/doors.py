"""Nothing is open to the internet that does not ask for a key: an engine answers, and bills, whoever asks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from inference_policy.pods import Pod, pods
from inference_policy.resource import UNKNOWN, Resource, Stack, at, listed, mapping, may_be
from inference_policy.rule import Config, StackRule, names

INTERNAL: Final[Mapping[str, str]] = {
    "service.beta.kubernetes.io/aws-load-balancer-scheme": "internal",
    "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
    "service.beta.kubernetes.io/azure-load-balancer-internal": "true",
    "networking.gke.io/load-balancer-type": "internal",
    "cloud.google.com/load-balancer-type": "internal",
}
"""Annotations, and their values in lower case, of Services that a cloud gives an address of the private network."""
_ALB: Final = "alb.ingress.kubernetes.io/scheme"
_ANYWHERE: Final = frozenset({"0.0.0.0/0", "::/0"})
_KEY: Final = re.compile(r"api[-_]?keys?$", re.IGNORECASE)
_OF_AWS: Final = re.compile(r"aws:(?:lb|alb|elb)/loadBalancer:LoadBalancer$")


def keyed(stack: Stack, config: Config) -> Iterator[tuple[Resource, str]]:
    """Services and Ingresses with a public address lead to pods that ask for keys; AWS's own balancers are internal."""
    for resource in stack.resources.values():
        if resource.name in config["open"]:
            continue
        if _OF_AWS.match(resource.type) and at(resource.inputs, "internal") not in (True, UNKNOWN):
            yield resource, f"{resource.title}: is open to the internet, and asks for no key; set internal=True"
        if resource.kind == "Service" and _public_service(resource):
            yield from _unkeyed(stack, resource, [resource], "make it internal, or set loadBalancerSourceRanges")
        if resource.kind == "Ingress" and _annotations(resource).get(_ALB) == "internet-facing":
            services = [each for each in stack.of("Service") if _leads_to(resource, each)]
            yield from _unkeyed(stack, resource, services, f"set {_ALB} to internal")


def _unkeyed(stack: Stack, door: Resource, services: list[Resource], other: str) -> Iterator[tuple[Resource, str]]:
    behind = [pod for service in services for pod in _behind(stack, service)]
    if not behind:
        yield door, f"{door.title}: is open to the internet, to pods that the stack does not know; {other}"
    for title in dict.fromkeys(pod.title for pod in behind if not _asks_for_a_key(pod)):
        yield door, f"{door.title}: is open to the internet, and {title} asks for no key; {other}, or set apiKeys"


def _annotations(resource: Resource) -> Mapping[str, Any]:
    return mapping(resource.inputs, "metadata", "annotations")


def _public_service(service: Resource) -> bool:
    if at(service.inputs, "spec", "type") != "LoadBalancer":
        return False
    notes = _annotations(service)
    if any(str(notes.get(key)).lower() in {value, "unknown"} for key, value in INTERNAL.items()):
        return False
    ranges = at(service.inputs, "spec", "loadBalancerSourceRanges")
    return ranges is not UNKNOWN and (not ranges or bool(_ANYWHERE & set(map(str, ranges))))


def _leads_to(ingress: Resource, service: Resource) -> bool:
    backends = [at(ingress.inputs, "spec", "defaultBackend", "service", "name")]
    for rule in listed(ingress.inputs, "spec", "rules"):
        backends += [at(path, "backend", "service", "name") for path in listed(rule, "http", "paths")]
    name = at(service.inputs, "metadata", "name")
    return any(each is not None and may_be(each, name) for each in backends) and _near(ingress, service)


def _behind(stack: Stack, service: Resource) -> Iterator[Pod]:
    """The pods that a Service selects."""
    wanted = mapping(service.inputs, "spec", "selector")
    for resource in stack.resources.values():
        if wanted and resource.kind and _near(resource, service):
            yield from (
                pod
                for pod in pods(resource)
                if all(key in pod.labels and may_be(pod.labels[key], value) for key, value in wanted.items())
            )


def _near(one: Resource, other: Resource) -> bool:
    """Whether two are of one namespace."""
    here, there = (at(each.inputs, "metadata", "namespace") or "default" for each in (one, other))
    return may_be(here, there)


def _asks_for_a_key(pod: Pod) -> bool:
    """Whether keys come into it from a Secret: as a variable, or as a volume that is mounted."""
    variables = [each for container in pod.containers for each in listed(container.spec, "env")]
    volumes = [each for each in listed(pod.spec, "volumes") if at(each, "secret") is not None]
    secrets = [at(each, "name") for each in variables if at(each, "valueFrom", "secretKeyRef") is not None]
    secrets += [name for each in volumes for name in (at(each, "name"), at(each, "secret", "secretName"))]
    return any(_KEY.search(str(name)) for name in secrets)


KEYED: Final = StackRule(
    name="public-doors-keyed",
    description="What has an address on the internet leads to engines that ask for a key.",
    check=keyed,
    settings={"open": names("Names of resources that may be open without a key.")},
)
