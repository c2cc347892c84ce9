"""The connections that a stack needs, each by its two ends: what asks and what is asked, one of them a models' pod."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from claims.parts import setting
from components.egress import API_SERVER_PORTS, POD_IDENTITY, Destination, destination
from components.engines import engine_of
from components.network_policies import CLEANERS, ENGINES, SEEDERS
from components.network_rules import INSTANCE
from components.scaling_target import counted_in_front
from components.settings import EksCluster, Model, Settings, parse_source

DNS_PORT: Final = 53
PUBLIC: Final = "8.8.8.8"
"""Any address of the internet stands for all."""
API_SERVER: Final = "10.0.0.1"
"""It has a private address, most often; a public one is let through where any is."""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A connection; `pod` are the labels of the end that a policy may select."""

    name: str
    pod: Mapping[str, str]
    inward: bool
    port: int
    change: str
    """The setting that lets it through."""
    namespace: str | None = None
    """Of the other end, where it is a pod; of a Service its port is not that of its pods: 0."""
    address: str | None = None
    """Of the other end, where it is none."""
    peer: Mapping[str, str] = field(default_factory=dict)
    """Labels of the other end, where it is a models' pod as well."""
    udp: bool = False
    unknown: str | None = None
    """What would prove it, where the other end's address is not known here."""


def edges_of(settings: Settings) -> Iterator[Edge]:
    """All that the stack needs, model by model."""
    for name, model in settings.models.items():
        yield from _to_engine(settings, name, model)
        engine = {**ENGINES, INSTANCE: name}
        yield _dns(f"{name}: engine -> DNS", engine)
        yield from _to_source(settings, name, model)
        if model.nodes_per_replica > 1:
            yield from _among(name, engine)
    cleaned = [name for name, model in settings.models.items() if _seeded_by_a_job(settings, model)]
    if cleaned:
        yield _dns("cleaner -> DNS", CLEANERS)
        yield _api_server("cleaner", CLEANERS)


def _to_engine(settings: Settings, name: str, model: Model) -> Iterator[Edge]:
    engine, policy, pod = engine_of(model), settings.network_policy, {**ENGINES, INSTANCE: name}
    if settings.gateway is not None and policy.gateway_namespace is not None:
        yield Edge(
            name=f"{name}: gateway in {policy.gateway_namespace} -> engine",
            pod=pod,
            inward=True,
            port=engine.port,
            namespace=policy.gateway_namespace,
            change=setting("networkPolicy.gatewayNamespace", "NAMESPACE"),
        )
    elif settings.gateway is not None:
        ranges = ", ".join(policy.clients)
        yield Edge(
            name=f"{name}: load balancer, from {ranges} -> engine",
            pod=pod,
            inward=True,
            port=engine.port,
            address=str(ipaddress.ip_network(policy.clients[0]).network_address),
            change=setting("networkPolicy.clients", "[RANGE]"),
            unknown=f"its subnets within {ranges}: aws ec2 describe-subnets --query 'Subnets[].CidrBlock'",
        )
    if settings.monitoring is not None and engine.metrics is not None:
        yield Edge(
            name=f"{name}: Prometheus in {settings.monitoring.prometheus.namespace} -> metrics",
            pod=pod,
            inward=True,
            port=engine.metrics.port,
            namespace=settings.monitoring.prometheus.namespace,
            change=setting("networkPolicy.prometheusNamespace", settings.monitoring.prometheus.namespace),
        )
    holder = settings.holder
    if holder is not None and counted_in_front(model):
        yield Edge(
            name=f"{name}: KEDA's interceptor in {holder.namespace} -> engine",
            pod=pod,
            inward=True,
            port=engine.port,
            namespace=holder.namespace,
            change=setting("autoscaling.httpAddOn.namespace", holder.namespace),
        )


def _to_source(settings: Settings, name: str, model: Model) -> Iterator[Edge]:
    source, weights = parse_source(model.source), model.weights
    where = destination(source, weights.endpoint)
    if where is None:
        return
    per_node = not _seeded_by_a_job(settings, model)
    pod = {**(ENGINES if per_node else SEEDERS), INSTANCE: name}
    yield _dns(f"{name}: seeder -> DNS", pod)
    yield from (_to_host(name, model, where, port, pod) for port in where.ports)
    if per_node:
        yield _api_server(f"{name}: seeder", pod)
    if isinstance(settings.cluster, EksCluster) and source.scheme == "s3" and weights.credentials is None:
        agent, port = POD_IDENTITY
        yield Edge(
            name=f"{name}: seeder -> credentials of its role",
            pod=pod,
            inward=False,
            port=port,
            address=agent.partition("/")[0],
            change=setting(f"models.{name}.weights.credentials", "SECRET"),
        )


def _to_host(name: str, model: Model, where: Destination, port: int, pod: Mapping[str, str]) -> Edge:
    ranges, endpoint = model.weights.egress, where.host
    literal = _is_address(endpoint)
    parts = endpoint.split(".")
    service = parts[1] if not where.public and parts[2:3] == ["svc"] else None
    # Of ranges nobody here can say whether a name is in them.
    unknown = f"{endpoint} within {', '.join(ranges)}: getent hosts {endpoint}" if ranges and not literal else None
    return Edge(
        name=f"{name}: seeder -> {endpoint}",
        pod=pod,
        inward=False,
        port=0 if service else port,
        namespace=service,
        address=endpoint if literal else None if service else PUBLIC,
        change=setting(f"models.{name}.weights.egress", "[RANGE]"),
        unknown=unknown,
    )


def _seeded_by_a_job(settings: Settings, model: Model) -> bool:
    in_image = parse_source(model.source).scheme == "image"
    return not in_image and not settings.seeds_nodes(model)


def _among(name: str, pod: Mapping[str, str]) -> Iterator[Edge]:
    """Both ends are pods of the same replica, and a policy has to let the connection out of one and into the other."""
    change = setting(f"models.{name}.nodesPerReplica", 1)
    for inward, where in ((False, "out of"), (True, "into")):
        edge = f"{name}: {where} the pods of a replica"
        yield Edge(name=edge, pod=pod, inward=inward, port=0, peer=pod, change=change)


def _api_server(who: str, pod: Mapping[str, str]) -> Edge:
    change = "the rule for the API server (components/egress.py)"
    return Edge(
        name=f"{who} -> API server", pod=pod, inward=False, port=API_SERVER_PORTS[0], address=API_SERVER, change=change
    )


def _dns(name: str, pod: Mapping[str, str]) -> Edge:
    change = "the rule for DNS (components/egress.py), which every pod with a rule has"
    return Edge(name=name, pod=pod, inward=False, port=DNS_PORT, udp=True, namespace="kube-system", change=change)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
