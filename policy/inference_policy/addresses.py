"""What has an address that the internet may reach: AWS's balancers, Services, Ingresses, and routes of Gateways.

Of an Ingress or a route the controller's own address decides, which is rarely in the stack: it counts as public until
something says that it is not. NodePorts, hostPorts, a chart's objects and kinds of a controller's own are not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from inference_policy.resource import UNKNOWN, Resource, Stack, at, listed, mapping, may_be

_INTERNAL: Final[Mapping[str, str]] = {
    "service.beta.kubernetes.io/aws-load-balancer-scheme": "internal",
    "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
    "service.beta.kubernetes.io/azure-load-balancer-internal": "true",
    "networking.gke.io/load-balancer-type": "internal",
    "cloud.google.com/load-balancer-type": "internal",
    "networking.istio.io/service-type": "clusterip",
}
"""Annotations, and their values in lower case, of what a cloud gives an address of the private network."""
_PRIVATE: Final = re.compile(r"internal|private|rilb")
"""In the name of a class; the last is Google's."""
_ALB: Final = "alb.ingress.kubernetes.io/"
_RANGES: Final = ("nginx.ingress.kubernetes.io/whitelist-source-range", f"{_ALB}inbound-cidrs")
_ANYWHERE: Final = frozenset({"0.0.0.0/0", "::/0"})
_OF_AWS: Final = re.compile(r"aws:(?:lb|alb|elb)/loadBalancer:LoadBalancer$")
_GATEWAYS: Final = "kubernetes:gateway.networking.k8s.io/"
_ROUTES: Final = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute")
_BACKENDS: Final = ("Service", "InferencePool")


@dataclass(frozen=True, kw_only=True)
class Door:
    """A way in."""

    resource: Resource
    fix: str
    backends: Sequence[Resource] = field(default=())
    """Services, and pools of the inference extension, of the stack."""
    certain: bool = True
    """Whether the address is this one's own, and not that of a controller that the stack does not know."""


def doors(stack: Stack, private: Sequence[str]) -> Iterator[Door]:
    """All of a stack; `private` are classes, and names of Gateways, with no address on the internet."""
    for each in stack.resources.values():
        if _OF_AWS.match(each.type) and at(each.inputs, "internal") not in (True, UNKNOWN):
            yield Door(resource=each, fix="set internal=True")
        if each.kind == "Service" and _public(each):
            yield Door(
                resource=each, backends=[each], fix="make it internal, or set loadBalancerSourceRanges, or set apiKeys"
            )
        if each.kind == "Ingress":
            yield from _ingress(stack, each, private)
        if each.kind in _ROUTES and each.type.startswith(_GATEWAYS):
            yield from _route(stack, each, private)


def _public(service: Resource) -> bool:
    if at(service.inputs, "spec", "type") != "LoadBalancer" or _marked(notes_of(service)):
        return False
    ranges = at(service.inputs, "spec", "loadBalancerSourceRanges")
    return ranges is not UNKNOWN and (not ranges or bool(_ANYWHERE & set(map(str, ranges))))


def _ingress(stack: Stack, ingress: Resource, private: Sequence[str]) -> Iterator[Door]:
    notes = notes_of(ingress)
    name = at(ingress.inputs, "spec", "ingressClassName") or at(notes, "kubernetes.io/ingress.class")
    names = [at(ingress.inputs, "spec", "defaultBackend", "service", "name")]
    for rule in listed(ingress.inputs, "spec", "rules"):
        names += [at(path, "backend", "service", "name") for path in listed(rule, "http", "paths")]
    backends = [each for each in stack.of("Service") if _named(each, names) and near(each, ingress)]
    of_alb = name == "alb" or any(key.startswith(_ALB) for key in mapping(notes))
    if of_alb:  # which AWS's controller makes internal where nothing is said
        if at(notes, f"{_ALB}scheme") == "internet-facing" and not _narrowed(notes):
            yield Door(resource=ingress, backends=backends, fix=f"set {_ALB}scheme to internal, or set apiKeys")
    elif not (_marked(notes) or _narrowed(notes) or _is_private(name, private)):
        yield Door(resource=ingress, backends=backends, fix=_said_private(name, "class"), certain=False)


def _route(stack: Stack, route: Resource, private: Sequence[str]) -> Iterator[Door]:
    references = [
        each
        for rule in listed(route.inputs, "spec", "rules")
        for each in listed(rule, "backendRefs")
        if at(each, "kind") in (None, *_BACKENDS)
    ]
    backends = [
        each
        for each in stack.of(*_BACKENDS)
        if any(
            each.kind == (at(reference, "kind") or "Service")
            and _named(each, [at(reference, "name")])
            and near(each, route, at(reference, "namespace"))
            for reference in references
        )
    ]
    for parent in listed(route.inputs, "spec", "parentRefs"):
        name = at(parent, "name")
        made = [
            each
            for each in stack.of("Gateway")
            if each.type.startswith(_GATEWAYS) and _named(each, [name]) and near(each, route, at(parent, "namespace"))
        ]
        marked = any(
            _marked(notes_of(each))
            or _marked(mapping(each.inputs, "spec", "infrastructure", "annotations"))
            or _is_private(at(each.inputs, "spec", "gatewayClassName"), private)
            for each in made
        )
        if at(parent, "kind") in (None, "Gateway") and not marked and not _is_private(name, private):
            yield Door(resource=route, backends=backends, fix=_said_private(name, "Gateway"), certain=False)


def notes_of(resource: Resource) -> Any:
    """Those of its metadata, or UNKNOWN."""
    return at(resource.inputs, "metadata", "annotations")


def _marked(notes: Any) -> bool:
    """Whether annotations say that it is internal, or may say so."""
    return notes is UNKNOWN or any(
        str(at(notes, key)).lower() in {value, "unknown"} for key, value in _INTERNAL.items()
    )


def _narrowed(notes: Any) -> bool:
    """Whether its controller lets in some addresses only."""
    ranges = [str(at(notes, key)) for key in _RANGES if at(notes, key)]
    return any(not _ANYWHERE & {each.strip() for each in given.split(",")} for given in ranges)


def _is_private(name: Any, private: Sequence[str]) -> bool:
    return name is UNKNOWN or (isinstance(name, str) and (name in private or bool(_PRIVATE.search(name))))


def _said_private(name: Any, what: str) -> str:
    setting = (
        f'{{"public-doors-keyed": {{"private": ["{name}"]}}}}' if name else '{"public-doors-keyed": {"open": [...]}}'
    )
    return f"set apiKeys, or where its {what} is not reached from there say so in policy/STACK.json: {setting}"


def _named(resource: Resource, names: Sequence[Any]) -> bool:
    own = at(resource.inputs, "metadata", "name")
    return any(name is not None and may_be(name, own) for name in names)


def near(one: Resource, other: Resource, namespace: Any = None) -> bool:
    """Whether two are of one namespace, or the first is of that which the other names."""
    here, there = (at(each.inputs, "metadata", "namespace") or "default" for each in (one, other))
    return may_be(here, namespace or there)
