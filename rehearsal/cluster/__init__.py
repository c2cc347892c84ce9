"""A real Kubernetes on this host: `up`, `down` and `status`, each of which may be called at any time, in any state."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from rehearsal.cluster import addons, certificates, control_plane, network, node, preflight
from rehearsal.cluster.cgroups import Cgroups
from rehearsal.cluster.layout import Folders, Layout, Network, NodeSpec, number
from rehearsal.cluster.process import Component, Supervisor
from rehearsal.command import run
from rehearsal.fault import Fault
from rehearsal.images import import_into
from rehearsal.kubectl import Kubectl
from rehearsal.places import CHECKOUT, Places
from rehearsal.progress import step

SYSTEM_NODE = NodeSpec(name="system")
HUB_PORT = 8080


@dataclass(frozen=True, kw_only=True)
class Status:
    """What `status` finds: components by name (running or not), and whether the API server is ready."""

    components: dict[str, bool]
    api_ready: bool
    resident_bytes: int


def up(pools: tuple[NodeSpec, ...], images: dict[str, Path], places: Places, kubectl: Kubectl) -> Layout:
    """Have the cluster run with a system node and `pools`, whatever state it is in; give its layout.

    `images` are archives by name; every node gets all of them. Raises Fault for what the user can mend.
    """
    preflight.check(places.state)
    preflight.check_network(places.debs)
    with _locked(places):
        if not (places.cluster / "layout.json").exists():
            # Without it nothing is known of what may still run under this name: a state folder that somebody deleted.
            _remove(places)
        layout = _plan(pools, places)
        cgroups = Cgroups.of_host(places.name)
        supervisor = Supervisor(folders=layout.folders, cgroups=cgroups)
        with step("network, certificates, control groups", about_s=2):
            network.ensure(layout)
            certificates.ensure(layout)
            cgroups.make(control_plane.GROUP)
            node.hold_namespaces(layout.folders)
        with step("control plane (etcd, API server, controller manager, scheduler)", about_s=8):
            for component in control_plane.components(layout, places):
                supervisor.ensure(component)
            _forget_removed_nodes(layout, supervisor, kubectl)
        with step(f"{len(layout.nodes)} nodes (containerd, kubelet, kube-proxy, images)", about_s=25):
            with ThreadPoolExecutor(len(layout.nodes)) as pool:
                # list() raises the first node's fault.
                list(pool.map(lambda each: _node_up(layout, each, images, supervisor, places), layout.nodes))
            supervisor.ensure(_hub(layout))
        with step("cluster DNS, volume provisioner, nodes ready", about_s=15):
            addons.ensure(layout, kubectl, HUB_PORT)
    return layout


def down(places: Places) -> None:
    """Remove everything that `up` made, and nothing else. Raises Fault if something stays."""
    if not places.cluster.exists() and not network.left(places.name) and not Cgroups.of_host(places.name).left():
        return
    preflight.require_root()
    with _locked(places), step("stop and remove the embedded cluster", about_s=5):
        _remove(places)
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
    if not (folders.root / "layout.json").exists():
        return None
    cgroups = Cgroups.of_host(places.name)
    supervisor = Supervisor(folders=folders, cgroups=cgroups)
    return Status(
        components={name: supervisor.alive(name) for name in supervisor.recorded_names()},
        api_ready=_api_ready(folders),
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


def layout_of(places: Places) -> Layout:
    """The layout of the cluster that was brought up here. Raises Fault if there is none."""
    path = places.cluster / "layout.json"
    if not path.exists():
        raise Fault("embedded cluster: not there; start it with: make up")
    known = json.loads(path.read_text())
    return Layout(
        name=places.name,
        network=Network(block=ipaddress.IPv4Network(known["network"])),
        folders=Folders(root=places.cluster),
        nodes=tuple(NodeSpec(name=name, index=index) for name, index in known["nodes"].items()),
    )


def _plan(pools: tuple[NodeSpec, ...], places: Places) -> Layout:
    """The layout for these pools; nodes that were there before keep their addresses."""
    path = places.cluster / "layout.json"
    known = json.loads(path.read_text()) if path.exists() else {"network": None, "nodes": {}}
    try:
        plan = Network.from_environment()
        nodes = number((SYSTEM_NODE, *pools), known["nodes"])
        layout = Layout(name=places.name, network=plan, folders=Folders(root=places.cluster), nodes=nodes)
    except ValueError as error:
        raise Fault(f"embedded cluster: {error}; mend it and run make up again") from error
    if known["network"] not in (None, str(plan.block)):
        raise Fault(f"REHEARSAL_NETWORK: the cluster runs on {known['network']}, not {plan.block}; run make down first")
    places.cluster.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    aside.write_text(json.dumps({"network": str(plan.block), "nodes": {each.name: each.index for each in nodes}}))
    aside.replace(path)
    return layout


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
        ready=lambda: _answers(f"http://{layout.network.control}:{HUB_PORT}/healthz"),
    )


def _forget_removed_nodes(layout: Layout, supervisor: Supervisor, kubectl: Kubectl) -> None:
    """Stop nodes of pools that are not in the settings any more, and delete their Node objects."""
    wanted = {each.name for each in layout.nodes}
    folder = layout.folders.root / "nodes"
    for name in sorted(path.name for path in folder.iterdir() if path.name not in wanted) if folder.exists() else []:
        gone = NodeSpec(name=name)
        for component in ("kube-proxy", "kubelet", "containerd"):
            supervisor.stop(f"{name}-{component}")
        for group in (name, node.daemons(gone)):
            supervisor.cgroups.kill(group)
        kubectl.read("delete", "node", name, "--ignore-not-found", "--wait=false")
        shutil.rmtree(layout.folders.node(name))


def _unmount(folders: Folders) -> None:
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for path in reversed([path for path in mounted if path.startswith(f"{folders.root}/")]):
        run("umount", "--lazy", path)


def _api_ready(folders: Folders) -> bool:
    plan = json.loads((folders.root / "layout.json").read_text())
    with control_plane.api_client(folders, Network(block=ipaddress.IPv4Network(plan["network"])).api) as client:
        try:
            return client.get("/readyz").is_success
        except httpx.HTTPError:
            return False


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def _locked(places: Places) -> Iterator[None]:
    """One `up` or `down` at a time."""
    places.state.mkdir(parents=True, exist_ok=True)
    with (places.state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Fault(
                "embedded cluster: another make up or make down is at work; wait for it, then run again"
            ) from None
        yield
