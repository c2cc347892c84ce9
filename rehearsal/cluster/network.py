"""The cluster's network: one bridge in a namespace of ours, one veth pair to each node and one to this host.

On the host itself there is only one interface (`HOST_LINK`) with its routes: no listening port, no firewall rule.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from pathlib import Path
from typing import Any

from rehearsal.cluster.layout import Layout
from rehearsal.fault import Fault

PREFIX = "inference-"
CONTROL = f"{PREFIX}control"
HOST_LINK = "inference0"
BRIDGE = "br0"


def namespace(node: str) -> str:
    """The name of a node's network namespace."""
    return f"{PREFIX}{node}"


def namespace_path(name: str) -> Path:
    """Where `ip netns` keeps the namespace `name`."""
    return Path("/run/netns") / name


def ensure(layout: Layout) -> None:
    """Bring the network up as `layout` says; what is there already stays."""
    plan = layout.network
    existing = namespaces()
    if CONTROL not in existing and HOST_LINK not in _links(None):
        _refuse_overlap(plan.block)
    for name in (CONTROL, *(namespace(node.name) for node in layout.nodes)):
        if name not in existing:
            _ip("netns", "add", name)
        _set_up(name, "lo")
    if BRIDGE not in _links(CONTROL):
        _ip("link", "add", BRIDGE, "type", "bridge", within=CONTROL)
    _address(CONTROL, BRIDGE, f"{plan.control}/24")
    _join_host(layout)
    for node in layout.nodes:
        space = namespace(node.name)
        if "eth0" not in _links(space):
            port = f"node{node.index}"
            _ip("link", "add", port, "netns", CONTROL, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", port, "master", BRIDGE, "up", within=CONTROL)
        _address(space, "eth0", f"{plan.node(node.index)}/24")
        _ip("route", "replace", "default", "via", str(plan.control), within=space)
        _sysctl(space, "net.ipv4.ip_forward", "1")
    # Pods of other nodes, from everywhere; Services, from where no kube-proxy runs: over the first node's.
    for space in (None, CONTROL, *(namespace(node.name) for node in layout.nodes)):
        for node in layout.nodes:
            if space != namespace(node.name):
                _ip("route", "replace", str(plan.pods_of(node.index)), "via", str(plan.node(node.index)), within=space)
        if space in (None, CONTROL):
            _ip("route", "replace", str(plan.services), "via", str(plan.node(0)), within=space)


def remove() -> None:
    """Remove every namespace of ours; the links in them, and the host's end with its routes, go with them."""
    if HOST_LINK in _links(None):
        _ip("link", "delete", HOST_LINK)
    for name in namespaces():
        _ip("netns", "delete", name)


def namespaces() -> list[str]:
    """The network namespaces of ours that exist."""
    folder = Path("/run/netns")
    return sorted(path.name for path in folder.glob(f"{PREFIX}*")) if folder.exists() else []


def left() -> list[str]:
    """What of the network still exists on the host."""
    return namespaces() + ([HOST_LINK] if HOST_LINK in _links(None) else [])


def _join_host(layout: Layout) -> None:
    plan = layout.network
    if HOST_LINK not in _links(None):
        _ip("link", "add", HOST_LINK, "type", "veth", "peer", "name", "host", "netns", CONTROL)
    _ip("link", "set", "host", "master", BRIDGE, "up", within=CONTROL)
    _address(None, HOST_LINK, f"{plan.host}/24")


def _address(space: str | None, link: str, address: str) -> None:
    _ip("address", "replace", address, "dev", link, within=space)
    _set_up(space, link)


def _set_up(space: str | None, link: str) -> None:
    _ip("link", "set", link, "up", within=space)


def _sysctl(space: str, key: str, value: str) -> None:
    path = "/proc/sys/" + key.replace(".", "/")
    _run("nsenter", f"--net={namespace_path(space)}", "/bin/sh", "-c", f"echo {value} > {path}")


def _refuse_overlap(block: ipaddress.IPv4Network) -> None:
    for route in json.loads(_ip("-json", "route", "show")):
        if route["dst"] != "default" and ipaddress.IPv4Network(route["dst"]).overlaps(block):
            raise Fault(
                f"REHEARSAL_NETWORK: {block} overlaps with this host's route to {route['dst']} ({route.get('dev')}); "
                "allowed: a private /16 that is free here; set one with: REHEARSAL_NETWORK=10.201.0.0/16 make up"
            )


def _links(space: str | None) -> set[str]:
    listed: list[dict[str, Any]] = json.loads(_ip("-json", "link", "show", within=space) or "[]")
    return {link["ifname"] for link in listed}


def _ip(*arguments: str, within: str | None = None) -> str:
    return _run("ip", *(("-netns", within) if within else ()), *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode:
        raise Fault(f"{' '.join(command)} failed: {done.stderr.strip()}; running make down and make up again starts afresh")
    return done.stdout
