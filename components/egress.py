"""Where pods that handle weights may connect to: their source and nothing beside it. Pure, so that each case is tested.

A NetworkPolicy is about addresses, not names. A host on the internet is therefore any public address at its port; hubs
and registries hand out their files from other hosts anyway. What has the address of its peer, or a Service's namespace,
is let through to just that; of HOST.NAME nobody can tell which of the two it is, so that it counts as both. Who
enforces it is the cluster's network plugin, and not each does.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import pulumi_kubernetes as k8s

from components.settings.source import ModelSource

Rule = k8s.networking.v1.NetworkPolicyEgressRuleArgs
Peer = k8s.networking.v1.NetworkPolicyPeerArgs
Port = k8s.networking.v1.NetworkPolicyPortArgs

EVERYWHERE: Final = "0.0.0.0/0"
PRIVATE: Final = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")
"""RFC 1918, and the shared addresses of RFC 6598, which some clusters give their pods."""
LINK_LOCAL: Final = "169.254.0.0/16"
"""Where clouds have the metadata of the node, and with it the credentials of the node's role."""
NODE_LOCAL_DNS: Final = "169.254.20.10/32"
"""https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/."""
POD_IDENTITY: Final = ("169.254.170.23/32", 80)
"""The agent that hands out the credentials: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html."""
API_SERVER_PORTS: Final = (443, 6443)
PORTS: Final = {"http": 80, "https": 443}
PUBLIC_REGISTRIES: Final = frozenset(
    {
        "docker.io",
        "gcr.io",
        "ghcr.io",
        "mcr.microsoft.com",
        "nvcr.io",
        "public.ecr.aws",
        "quay.io",
        "registry.gitlab.com",
    }
)
"""Registries that are nowhere private; any other may be."""
_SERVICE: Final = re.compile(r"^[^.]+\.(?P<namespace>[^.]+)(?P<certain>\.svc(?:\.cluster\.local)?)?\.?$")


@dataclass(frozen=True, kw_only=True)
class Destination:
    """The host that a source is at."""

    host: str
    ports: tuple[int, ...]
    public: bool
    """Whether it is on the internet for certain, so that no private address needs to be let through."""


def destination(source: ModelSource, endpoint: str | None) -> Destination | None:
    """Where the files of a source come from; None where from no network."""
    if source.scheme in {"file", "image"}:
        return None
    if endpoint is not None:
        parts = urlsplit(endpoint)
        ports = _ports(source, parts.port or PORTS[parts.scheme])
        return Destination(host=parts.hostname or "", ports=ports, public=False)
    if source.scheme == "oci":
        registry = urlsplit(f"https://{source.location}")
        host = registry.hostname or ""
        ports = _ports(source, registry.port or PORTS["https"])
        return Destination(host=host, ports=ports, public=host in PUBLIC_REGISTRIES)
    host = "huggingface.co" if source.scheme == "hf" else "s3.amazonaws.com"
    return Destination(host=host, ports=(PORTS["https"],), public=True)


def rules(
    where: Destination | None, *, cidrs: Sequence[str] = (), pod_identity: bool = False, api_server: bool = False
) -> list[Rule]:
    """What pods may reach: their source, the agent that hands out credentials, the API server; then DNS as well.

    `cidrs` are the user's own, instead of what follows from the source.
    """
    found = []
    if cidrs:
        found.append(Rule(to=[_block(cidr) for cidr in cidrs]))
    elif where is not None:
        found += _rules(where)
    if pod_identity:
        agent, port = POD_IDENTITY
        found.append(Rule(to=[_block(agent)], ports=[_tcp(port)]))
    if api_server:
        # Nothing tells its address beforehand.
        found.append(Rule(to=[_block(EVERYWHERE, LINK_LOCAL)], ports=[_tcp(port) for port in API_SERVER_PORTS]))
    return [_dns(), *found] if found else []


def policy_spec(
    labels: dict[str, str], rules: Sequence[Rule], *, metrics_port: int | None = None, serves: bool = False
) -> k8s.networking.v1.NetworkPolicySpecArgs:
    """The policy of the pods with `labels`: the rules outward; inward only the metrics, or all for one that serves."""
    inward = (
        [] if metrics_port is None else [k8s.networking.v1.NetworkPolicyIngressRuleArgs(ports=[_tcp(metrics_port)])]
    )
    return k8s.networking.v1.NetworkPolicySpecArgs(
        pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels),
        policy_types=["Egress"] if serves else ["Egress", "Ingress"],
        egress=list(rules),
        ingress=None if serves else inward,
    )


def _dns() -> Rule:
    """The cluster's DNS, and its cache on each node where there is one."""
    return Rule(
        to=[_namespace("kube-system"), _block(NODE_LOCAL_DNS)],
        ports=[Port(protocol=protocol, port=53) for protocol in ("UDP", "TCP")],
    )


def _ports(source: ModelSource, port: int) -> tuple[int, ...]:
    """The port of the host itself; registries sign in and hand out blobs elsewhere, at the usual one."""
    usual = PORTS["https"]
    return (port, usual) if source.scheme == "oci" and port != usual else (port,)


def _rules(where: Destination) -> list[Rule]:
    ports = [_tcp(port) for port in where.ports]
    address = _address(where.host)
    if address is not None:
        return [Rule(to=[_block(f"{address}/{address.max_prefixlen}")], ports=ports)]
    left_out = (*PRIVATE, LINK_LOCAL) if where.public else (LINK_LOCAL,)
    outside = Rule(to=[_block(EVERYWHERE, *left_out)], ports=ports)
    service = None if where.public else _SERVICE.match(where.host)
    if service is None:
        return [outside]
    # The port of a Service is not that of its pods, which is what a policy sees.
    inside = Rule(to=[_namespace(service["namespace"])])
    # `minio.storage` is a Service's name as well, and looks like `example.com`.
    return [inside] if service["certain"] else [inside, outside]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _namespace(name: str) -> Peer:
    labels = {"kubernetes.io/metadata.name": name}
    return Peer(namespace_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels))


def _block(cidr: str, *left_out: str) -> Peer:
    return Peer(ip_block=k8s.networking.v1.IPBlockArgs(cidr=cidr, except_=list(left_out) or None))


def _tcp(port: int) -> Port:
    return Port(protocol="TCP", port=port)
