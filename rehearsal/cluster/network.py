"""The cluster's network: one bridge in a namespace of ours, one veth pair to each node and one to this host.

On the host itself there is only one interface (`inference0`) with its routes: no listening port, no firewall rule.
"""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

from rehearsal.cluster.layout import Layout, NodeSpec
from rehearsal.command import run
from rehearsal.fault import Fault
from rehearsal.toolchain import library_path

BRIDGE = "br0"
CANDIDATES = tuple(
    ipaddress.IPv4Network(text) for text in ("10.201.0.0/16", "172.20.0.0/16", "172.28.0.0/16", "192.168.0.0/16")
)
"""What a host may be free to use where the default is taken."""

AFRESH = "make down and make up again starts afresh"
MARKED = """
add table inet accepted
add chain inet accepted postrouting { type filter hook postrouting priority 110; }
flush chain inet accepted postrouting
add rule inet accepted postrouting ct label set 28
"""
"""Marks each connection that gets as far as this: behind the enforcement of network policies and kube-proxy's NAT.

The enforcement asks for a mark with its verdict, and takes what has none for new. Kernels without
NETFILTER_NETLINK_GLUE_CT lose it, and with it every answer. nft's 28 is the enforcement's 100, read from the other end.
"""


def host_link(name: str) -> str:
    """The host's end of the cluster's network; interface names have 15 characters at most."""
    return f"{name}0"


def namespace_path(name: str) -> Path:
    """Where `ip netns` keeps the namespace `name`."""
    return Path("/run/netns") / name


def ensure(layout: Layout) -> None:
    """Bring the network up as `layout` says; what is there already stays."""
    plan = layout.network
    control = layout.control_namespace
    existing = namespaces(layout.name)
    for name in (control, *map(layout.namespace, layout.nodes)):
        if name not in existing:
            _ip("netns", "add", name)
        _set_up(name, "lo")
    if BRIDGE not in _links(control):
        _ip("link", "add", BRIDGE, "type", "bridge", within=control)
    _address(control, BRIDGE, f"{plan.control}/24")
    _join_host(layout)
    for node in layout.nodes:
        _join_node(layout, node)
    # Pods of other nodes, from everywhere; Services, from where no kube-proxy runs: over the first node's.
    for space in (None, control, *map(layout.namespace, layout.nodes)):
        _route(layout, space)


def _join_node(layout: Layout, node: NodeSpec) -> None:
    plan, control, space = layout.network, layout.control_namespace, layout.namespace(node)
    if "eth0" not in _links(space):
        port = f"node{node.index}"
        _ip("link", "add", port, "netns", control, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", port, "master", BRIDGE, "up", within=control)
    _address(space, "eth0", f"{plan.node(node.index)}/24")
    _ip("route", "replace", "default", "via", str(plan.control), within=space)
    _sysctl(space, "net.ipv4.ip_forward", "1")


def mark_accepted(space: str, debs: Path) -> None:
    """Have the namespace mark the connections that it lets pass; `debs` are Debian's packages, which bring nft."""
    nft = (debs / "usr/sbin/nft", "--file", "-")
    environment = {"LD_LIBRARY_PATH": library_path(debs)}
    run("nsenter", f"--net={namespace_path(space)}", *nft, text=MARKED, environment=environment, then=AFRESH)


def remove(name: str) -> None:
    """Remove every namespace of cluster `name`; the links in them, and the host's end with its routes, go with them."""
    if host_link(name) in _links(None):
        _ip("link", "delete", host_link(name))
    for namespace in namespaces(name):
        _ip("netns", "delete", namespace)


def forget(layout: Layout, name: str, index: int) -> None:
    """Remove the namespace of a node that is no more, and its port on the bridge."""
    present = namespaces(layout.name)
    if layout.control_namespace in present and f"node{index}" in _links(layout.control_namespace):
        _ip("link", "delete", f"node{index}", within=layout.control_namespace)
    if (space := f"{layout.name}.{name}") in present:
        _ip("netns", "delete", space)


def namespaces(name: str) -> list[str]:
    """The network namespaces of cluster `name` that exist."""
    folder = Path("/run/netns")
    return sorted(path.name for path in folder.glob(f"{name}.*")) if folder.exists() else []


def left(name: str) -> list[str]:
    """What of the network of cluster `name` still exists on the host."""
    return [*namespaces(name), *({host_link(name)} & _links(None))]


def _route(layout: Layout, space: str | None) -> None:
    plan = layout.network
    for node in layout.nodes:
        if space != layout.namespace(node):
            _ip("route", "replace", str(plan.pods_of(node.index)), "via", str(plan.node(node.index)), within=space)
    if space in (None, layout.control_namespace):
        _ip("route", "replace", str(plan.services), "via", str(plan.node(0)), within=space)


def _join_host(layout: Layout) -> None:
    plan = layout.network
    control, link = layout.control_namespace, host_link(layout.name)
    if link not in _links(None):
        _ip("link", "add", link, "type", "veth", "peer", "name", "host", "netns", control)
    _ip("link", "set", "host", "master", BRIDGE, "up", within=control)
    _address(None, link, f"{plan.host}/24")


def _address(space: str | None, link: str, address: str) -> None:
    _ip("address", "replace", address, "dev", link, within=space)
    _set_up(space, link)


def _set_up(space: str | None, link: str) -> None:
    _ip("link", "set", link, "up", within=space)


def _sysctl(space: str, key: str, value: str) -> None:
    path = "/proc/sys/" + key.replace(".", "/")
    run("nsenter", f"--net={namespace_path(space)}", "/bin/sh", "-c", f"echo {value} > {path}", then=AFRESH)


def require_free(name: str, block: ipaddress.IPv4Network) -> None:
    """Raise Fault if `block` is in use on this host, unless by cluster `name` itself."""
    if host_link(name) in _links(None):
        return
    taken = [
        ipaddress.IPv4Network(route["dst"])
        for route in json.loads(_ip("-4", "-json", "route", "show", "table", "all", "type", "unicast") or "[]")
        if route["dst"] != "default"
    ]
    if not any(route.overlaps(block) for route in taken):
        return
    free = (candidate for candidate in CANDIDATES if not any(route.overlaps(candidate) for route in taken))
    raise Fault(
        f"REHEARSAL_NETWORK: {block} overlaps with a route of this host; allowed: a private /16 that is free here; "
        f"set one with: REHEARSAL_NETWORK={next(free, '<network>')} make up"
    )


def _links(space: str | None) -> set[str]:
    listed: list[dict[str, Any]] = json.loads(_ip("-json", "link", "show", within=space) or "[]")
    return {link["ifname"] for link in listed}


def _ip(*arguments: str, within: str | None = None) -> str:
    return run("ip", *(("-netns", within) if within else ()), *arguments, then=AFRESH)
