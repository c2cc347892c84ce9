"""A real Kubernetes on this host: `up`, `down` and `status`, each of which may be called at any time, in any state."""

from __future__ import annotations

import ipaddress
import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rehearsal.addon import PROGRAMS, Addon, in_order
from rehearsal.cluster import addons, certificates, control_plane, network, node, preflight
from rehearsal.cluster.addons import extra
from rehearsal.cluster.cgroups import Cgroups
from rehearsal.cluster.layout import Folders, Layout, Network, NodeSpec, number
from rehearsal.cluster.process import Component, Supervisor, answers
from rehearsal.command import run
from rehearsal.fault import Fault
from rehearsal.images import import_into
from rehearsal.kubectl import Kubectl
from rehearsal.lock import locked
from rehearsal.places import CHECKOUT, Places
from rehearsal.progress import step
from rehearsal.toolchain import golang

SYSTEM_NODE = NodeSpec(name="system")
HUB_PORT = 8080


@dataclass(frozen=True, kw_only=True)
class Status:
    """What `status` finds: components by name (running or not), and whether the API server is ready."""

    components: dict[str, bool]
    api_ready: bool
    resident_bytes: int


def up(
    pools: tuple[NodeSpec, ...],
    images: dict[str, Path],
    places: Places,
    kubectl: Kubectl,
    wanted: frozenset[Addon] = frozenset(),
) -> Layout:
    """Have the cluster run with a system node, `pools` and `wanted`, whatever state it is in; give its layout.

    `images` are archives by name; every node gets all of them. Raises Fault for what the user can mend.
    """
    preflight.check(places.state)
    preflight.check_places(places, max((pool.name for pool in pools), key=len, default=SYSTEM_NODE.name))
    preflight.check_network(places.debs)
    network.require_free(places.name, network_block())
    with _owned(places):
        if not _layout_file(places).exists():
            # Without it nothing is known of what may still run under this name: a state folder that somebody deleted.
            _remove(places)
        cgroups = Cgroups.of_host(places.name)
        layout, gone = _plan(pools, places)
        supervisor = Supervisor(folders=layout.folders, cgroups=cgroups)
        for name, index in gone.items():
            node.forget(layout.folders, name, cgroups)
            network.forget(layout, name, index)
        _write_layout(layout, places)
        with step("network, certificates, control groups", about_s=2):
            network.ensure(layout)
            certificates.ensure(layout)
            cgroups.make(control_plane.GROUP)
            node.hold_namespaces(layout.folders)
        with step("control plane (etcd, API server, controller manager, scheduler)", about_s=8):
            for component in control_plane.components(layout, places):
                supervisor.ensure(component)
            _delete_other_nodes(layout, kubectl)
        with step(f"{len(layout.nodes)} nodes (containerd, kubelet, kube-proxy, images)", about_s=25):
            with ThreadPoolExecutor(len(layout.nodes)) as pool:
                # list() raises the first node's fault.
                list(pool.map(lambda each: _node_up(layout, each, images, supervisor, places), layout.nodes))
            supervisor.ensure(_hub(layout))
        with step("cluster DNS, volume provisioner, nodes ready", about_s=15):
            addons.ensure(layout, kubectl, HUB_PORT)
        for addon in in_order(wanted):
            with step(f"{addon} in the cluster", about_s=10):
                extra.ensure(addon, kubectl, golang.manifests(PROGRAMS[addon][0], places.bin))
    return layout


def down(places: Places) -> None:
    """Remove everything that `up` made, and nothing else. Raises Fault if something stays."""
    if not places.cluster.exists() and not network.left(places.name) and not Cgroups.of_host(places.name).left():
        return
    preflight.require_root()
    with _owned(places), step("stop and remove the embedded cluster", about_s=5):
        _remove(places)
    _owner_file(places).unlink(missing_ok=True)
    remaining = [*network.left(places.name), *(str(path) for path in Cgroups.of_host(places.name).left())]
    if remaining:
        raise Fault(f"still there after make down: {', '.join(remaining)}; run make down again")


def _remove(places: Places) -> None:
    """End and remove what bears the cluster's name, and its folder, in an order that may be interrupted anywhere."""
    cgroups = Cgroups.of_host(places.name)
    cgroups.kill()
    _unmount(Folders(root=places.cluster))
    network.remove(places.name)
    cgroups.remove()
    if places.cluster.exists():
        shutil.rmtree(places.cluster)


def status(places: Places) -> Status | None:
    """What runs, or None where there is no cluster."""
    folders = Folders(root=places.cluster)
    if not _layout_file(places).exists():
        return None
    preflight.require_root()
    cgroups = Cgroups.of_host(places.name)
    supervisor = Supervisor(folders=folders, cgroups=cgroups)
    return Status(
        components={name: supervisor.alive(name) for name in supervisor.recorded_names()},
        api_ready=control_plane.api_ready(folders, _known(places)[0]),
        resident_bytes=resident_bytes(cgroups.processes()),
    )


def resident_bytes(pids: set[int]) -> int:
    """Resident memory of the processes, in bytes; pages that several share are counted once (proportional set size)."""
    total = 0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        total += next(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


def network_block() -> ipaddress.IPv4Network:
    """The addresses that the cluster has or would have. Fault if the environment names none that can be."""
    try:
        return Network.from_environment().block
    except ValueError as error:
        raise Fault(f"REHEARSAL_NETWORK: {error}; set one with: REHEARSAL_NETWORK=10.201.0.0/16 make up") from error


def host_addresses() -> ipaddress.IPv4Network:
    """Addresses of the cluster's nodes, and of this host beside them: as whom a pod sees what this host asks it."""
    return Network(block=network_block()).nodes


def layout_of(places: Places) -> Layout:
    """The layout of the cluster that was brought up here. Raises Fault if there is none."""
    if not _layout_file(places).exists():
        raise Fault("embedded cluster: not there; start it with: make up")
    plan, indices = _known(places)
    return Layout(
        name=places.name,
        network=plan,
        folders=Folders(root=places.cluster),
        nodes=tuple(NodeSpec(name=name, index=index) for name, index in indices.items()),
    )


def _plan(pools: tuple[NodeSpec, ...], places: Places) -> tuple[Layout, dict[str, int]]:
    """The layout for these pools, and the nodes that are no more by their index; the others keep their addresses."""
    try:
        plan = Network.from_environment()
        known, indices = _known(places) if _layout_file(places).exists() else (plan, {})
        nodes = number((SYSTEM_NODE, *pools), indices)
        layout = Layout(name=places.name, network=plan, folders=Folders(root=places.cluster), nodes=nodes)
    except ValueError as error:
        raise Fault(f"embedded cluster: {error}; mend it and run make up again") from error
    if known != plan:
        raise Fault(f"REHEARSAL_NETWORK: the cluster runs on {known.block}, not {plan.block}; run make down first")
    wanted = {each.name for each in nodes}
    return layout, {name: index for name, index in indices.items() if name not in wanted}


def _layout_file(places: Places) -> Path:
    return places.cluster / "layout.json"


def _known(places: Places) -> tuple[Network, dict[str, int]]:
    """The network and the nodes' indices of the cluster as it was last brought up."""
    written = json.loads(_layout_file(places).read_text())
    return Network(block=ipaddress.IPv4Network(written["network"])), written["nodes"]


def _write_layout(layout: Layout, places: Places) -> None:
    path = _layout_file(places)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    nodes = {each.name: each.index for each in layout.nodes}
    aside.write_text(json.dumps({"network": str(layout.network.block), "nodes": nodes}))
    aside.replace(path)


def _node_up(layout: Layout, spec: NodeSpec, images: dict[str, Path], supervisor: Supervisor, places: Places) -> None:
    node.prepare(layout, spec, supervisor.cgroups, places)
    containerd, *others = node.components(layout, spec, places)
    supervisor.ensure(containerd)
    # Before the kubelet starts: it would find pods whose images are missing.
    import_into(places.debs / "usr/bin/ctr", layout.folders.node(spec.name) / node.CONTAINERD_SOCKET, images)
    for component in others:
        supervisor.ensure(component)


def _hub(layout: Layout) -> Component:
    return Component(
        name="hub",
        group=control_plane.GROUP,
        namespaces=control_plane.namespaces(layout),
        command=(
            *(sys.executable, "-m", "rehearsal.hub", "--root", str(layout.folders.hub)),
            *("--host", str(layout.network.control), "--port", str(HUB_PORT)),
        ),
        environment={"PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"},
        watched=tuple(sorted((CHECKOUT / "rehearsal" / "hub").glob("*.py"))),
        ready=answers(f"http://{layout.network.control}:{HUB_PORT}/healthz"),
    )


def _delete_other_nodes(layout: Layout, kubectl: Kubectl) -> None:
    """Delete the Node objects of nodes that are no more; whoever did not get to it, the next run does."""
    listed = kubectl.read("get", "nodes", "--output=name").split()
    others = sorted(set(listed) - {f"node/{each.name}" for each in layout.nodes})
    if others:
        kubectl.read("delete", *others, "--wait=false")
    for name in (other.removeprefix("node/") for other in others):
        # Nobody is left who could end them in order, and until then their controllers would wait for them.
        where = f"--field-selector=spec.nodeName={name}"
        kubectl.read("delete", "pods", "--all-namespaces", where, "--force", "--grace-period=0")


def _unmount(folders: Folders) -> None:
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for path in reversed([path for path in mounted if path.startswith(f"{folders.root}/")]):
        run("umount", "--lazy", path)


def _owner_file(places: Places) -> Path:
    """Says whose cluster bears the name. Names of namespaces and control groups are the host's, so this is too."""
    return Path("/run") / f"{places.name}.rehearsal"


@contextmanager
def _owned(places: Places) -> Iterator[None]:
    """One `up` or `down` at a time, and only on one's own cluster."""
    file = _owner_file(places)
    with locked(file, what="brings this cluster up or down"):
        owner = file.read_text() if file.exists() else ""
        if owner not in ("", str(places.cluster)) and Path(owner, _layout_file(places).name).exists():
            raise Fault(
                f"REHEARSAL_NAME: {places.name} is a cluster with its state in {owner}; use it with the user or the "
                "XDG_STATE_HOME that started it, or set another REHEARSAL_NAME and REHEARSAL_NETWORK"
            )
        file.write_text(str(places.cluster))
        yield
