"""The embedded cluster on paper: its nodes, its addresses, its folders. Pure values, no side effects."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, replace
from pathlib import Path

DEFAULT_NETWORK = "10.77.0.0/16"
PREFIX_LENGTH = 16
CLUSTER_DOMAIN = "cluster.local"
MOST_NODES = 64
"""Pod subnets 10.77.64.0/24 to 10.77.127.0/24."""


@dataclass(frozen=True, kw_only=True)
class Gpus:
    """GPUs of one node, as NVIDIA's tools name them."""

    product: str
    memory_gib: int
    count: int


@dataclass(frozen=True, kw_only=True)
class NodeSpec:
    """A node to run: its kubelet registers with these labels and taints (`key=value:Effect`).

    `index` decides its addresses, so it stays the node's for as long as the cluster lives. Node 0 is the system node.
    """

    name: str
    index: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[str, ...] = ()
    gpus: Gpus | None = None
    engine: Path | None = None
    """A folder of this host that every container of the node sees, to be read, at `rehearsal.vllm.MOUNTED_AT`."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """One /16 of private addresses, all of them on a bridge in a network namespace of ours.

    x.y.0.0/24 nodes (.1 control plane, .254 the host's end, .10 and up the nodes), x.y.1.0/24 Services,
    x.y.(64+n).0/24 the pods of node n.
    """

    block: ipaddress.IPv4Network

    @classmethod
    def from_environment(cls) -> Network:
        """The block that `REHEARSAL_NETWORK` names, or the default. ValueError unless it is a private IPv4 /16."""
        text = os.environ.get("REHEARSAL_NETWORK", DEFAULT_NETWORK)
        block = ipaddress.IPv4Network(text)
        if block.prefixlen != PREFIX_LENGTH or not block.is_private:
            raise ValueError(f"{text} is not a private IPv4 network with prefix length 16")
        return cls(block=block)

    def _subnet(self, index: int) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network((int(self.block.network_address) + (index << 8), 24))

    @property
    def nodes(self) -> ipaddress.IPv4Network:
        """The bridge's own subnet."""
        return self._subnet(0)

    @property
    def services(self) -> ipaddress.IPv4Network:
        """Cluster IPs."""
        return self._subnet(1)

    @property
    def pods(self) -> ipaddress.IPv4Network:
        """All pod subnets together: what kube-proxy takes for local traffic."""
        return ipaddress.IPv4Network((int(self.block.network_address) + (64 << 8), 18))

    @property
    def control(self) -> ipaddress.IPv4Address:
        """The API server's address."""
        return self.nodes[1]

    @property
    def host(self) -> ipaddress.IPv4Address:
        """The address that this host has on the bridge."""
        return self.nodes[254]

    @property
    def dns(self) -> ipaddress.IPv4Address:
        """The cluster IP of the cluster's DNS."""
        return self.services[10]

    def node(self, index: int) -> ipaddress.IPv4Address:
        """The address of node `index`."""
        return self.nodes[10 + index]

    def pods_of(self, index: int) -> ipaddress.IPv4Network:
        """The pod subnet of node `index`."""
        return self._subnet(64 + index)

    @property
    def api(self) -> str:
        """URL of the API server."""
        return f"https://{self.control}:6443"


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Folders of the cluster under one root."""

    root: Path

    @property
    def pki(self) -> Path:
        """Keys, certificates and kubeconfigs."""
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        """One file a component."""
        return self.root / "logs"

    @property
    def records(self) -> Path:
        """One file a running component: its process and what it was started with."""
        return self.root / "records"

    @property
    def namespaces(self) -> Path:
        """Mount namespaces of the nodes, kept as files."""
        return self.root / "ns"

    @property
    def volumes(self) -> Path:
        """Data of the persistent volumes; the same folder on every node."""
        return self.root / "volumes"

    @property
    def hub(self) -> Path:
        """The model repository that the local hub serves."""
        return self.root / "hub"

    def node(self, name: str) -> Path:
        """What is one node's own: its /var/lib, /var/log, /run and configuration."""
        return self.root / "nodes" / name


def number(nodes: tuple[NodeSpec, ...], known: dict[str, int]) -> tuple[NodeSpec, ...]:
    """Give every node an index: the one that it is known by, else the lowest that is free."""
    if len(nodes) > MOST_NODES:
        raise ValueError(f"{len(nodes)} nodes; the network has room for {MOST_NODES}")
    taken = {known[node.name] for node in nodes if node.name in known}
    free = (index for index in range(MOST_NODES) if index not in taken)
    return tuple(replace(node, index=known[node.name] if node.name in known else next(free)) for node in nodes)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The whole cluster on paper."""

    name: str
    network: Network
    folders: Folders
    nodes: tuple[NodeSpec, ...]

    @property
    def control_namespace(self) -> str:
        """The network namespace with the bridge, the control plane and the hub."""
        return f"{self.name}.control"

    def namespace(self, node: NodeSpec) -> str:
        """The network namespace of a node."""
        return f"{self.name}.{node.name}"

    def __post_init__(self) -> None:
        if len({node.name for node in self.nodes}) != len(self.nodes):
            raise ValueError("two nodes have the same name")
        if len({node.index for node in self.nodes}) != len(self.nodes):
            raise ValueError("two nodes have the same index")
