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

from components.network_rules import Peer, Rule
from components.settings.source import ModelSource

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
HOSTS: Final = {
    "hf": "huggingface.co",
    "s3": "s3.amazonaws.com",
    "ollama": "registry.ollama.ai",
    "ngc": "api.ngc.nvidia.com",
}
REGISTRY_NAMESPACE_MODEL: Final = 2
"""Slashes in the name of a model of Ollama's that names its registry."""
DNS: Final = Rule(peers=(Peer(namespace="kube-system"), Peer(cidr=NODE_LOCAL_DNS)), ports=(53,), udp=True)
"""The cluster's DNS, and its cache on each node where there is one."""
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
    if source.scheme == "ollama" and source.location.count("/") == REGISTRY_NAMESPACE_MODEL:
        registry = urlsplit(f"https://{source.location.rpartition(':')[0]}")
        port = registry.port or PORTS["https"]
        return Destination(host=registry.hostname or "", ports=tuple({port, PORTS["https"]}), public=False)
    host = HOSTS[source.scheme]
    return Destination(host=host, ports=(PORTS["https"],), public=True)


def rules(
    where: Destination | None, *, cidrs: Sequence[str] = (), pod_identity: bool = False, api_server: bool = False
) -> tuple[Rule, ...]:
    """What pods may reach: their source, the agent that hands out credentials, the API server; then DNS as well.

    `cidrs` are the user's own, instead of what follows from the source.
    """
    found: list[Rule] = []
    if cidrs:
        found.append(Rule(peers=tuple(Peer(cidr=cidr) for cidr in cidrs)))
    elif where is not None:
        found += _rules(where)
    if pod_identity:
        agent, port = POD_IDENTITY
        found.append(Rule(peers=(Peer(cidr=agent),), ports=(port,)))
    if api_server:
        # Nothing tells its address beforehand.
        found.append(Rule(peers=(Peer(cidr=EVERYWHERE, left_out=(LINK_LOCAL,)),), ports=API_SERVER_PORTS))
    return (DNS, *found) if found else ()


def _ports(source: ModelSource, port: int) -> tuple[int, ...]:
    """The port of the host itself; registries sign in and hand out blobs elsewhere, at the usual one."""
    usual = PORTS["https"]
    return (port, usual) if source.scheme == "oci" and port != usual else (port,)


def _rules(where: Destination) -> list[Rule]:
    address = _address(where.host)
    if address is not None:
        return [Rule(peers=(Peer(cidr=f"{address}/{address.max_prefixlen}"),), ports=where.ports)]
    left_out = (*PRIVATE, LINK_LOCAL) if where.public else (LINK_LOCAL,)
    outside = Rule(peers=(Peer(cidr=EVERYWHERE, left_out=left_out),), ports=where.ports)
    service = None if where.public else _SERVICE.match(where.host)
    if service is None:
        return [outside]
    # The port of a Service is not that of its pods, which is what a policy sees.
    inside = Rule(peers=(Peer(namespace=service["namespace"]),))
    # `minio.storage` is a Service's name as well, and looks like `example.com`.
    return [inside] if service["certain"] else [inside, outside]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
