"""Nodes: containerd, kubelet and kube-proxy in a network namespace and a mount namespace of their own.

The kubelet's plugin socket has a fixed path under /var/lib/kubelet, and containerd keeps shim sockets under /run. Each
node therefore sees folders of its own at /var/lib, /var/log and /run; the rest of the file system is the host's.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import grpc
import yaml

from components.settings import taint_parts
from rehearsal.cluster.certificates import node_file
from rehearsal.cluster.cgroups import Cgroups
from rehearsal.cluster.layout import CLUSTER_DOMAIN, Folders, Layout, NodeSpec
from rehearsal.cluster.network import AFRESH, mark_accepted, namespace_path
from rehearsal.cluster.process import Component, answers
from rehearsal.cluster.templates import render
from rehearsal.command import run
from rehearsal.images import PAUSE
from rehearsal.nvml import write_gpus
from rehearsal.places import Places
from rehearsal.toolchain import library_path
from rehearsal.vllm import MOUNTED_AT

PRIVATE = {"var-lib": "/var/lib", "var-log": "/var/log", "run": "/run"}
"""A node's own folders and where it sees them."""

CONTAINERD_SOCKET = "run/containerd/containerd.sock"
RUNTIME_SPEC = "etc/runtime-spec.json"


def prepare(layout: Layout, node: NodeSpec, cgroups: Cgroups, places: Places) -> None:
    """Make the node's folders, mount namespace, cgroup and configuration files; all of it again is harmless."""
    folder = layout.folders.node(node.name)
    for name in (*PRIVATE, "etc/cni"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    layout.folders.volumes.mkdir(parents=True, exist_ok=True)
    mark_accepted(layout.namespace(node), places.debs)
    cgroups.make(daemons(node))
    cgroup_root = cgroups.make(node.name)
    (folder / "etc/resolv.conf").write_text(
        "# No name outside of the cluster is resolved: nothing is fetched from there.\n"
    )
    if node.engine:
        _write_changed(folder / RUNTIME_SPEC, _runtime_spec(node.engine, places))
    _write_changed(folder / "etc/containerd.toml", _containerd(folder, node, places))
    _write_changed(folder / "etc/cni/10-ptp.conflist", _cni(layout, node))
    _write_changed(folder / "etc/kubelet.yaml", _kubelet(layout, node, cgroup_root))
    _write_changed(folder / "etc/kube-proxy.yaml", _kube_proxy(layout, node))
    if node.gpus:
        plugins = folder / "var-lib/kubelet/device-plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        write_gpus(plugins, node.name, node.gpus.product, node.gpus.memory_gib, node.gpus.count)
    _mount_namespace(layout.folders, node, cgroups)


def hold_namespaces(folders: Folders) -> None:
    """Make the folder that keeps the nodes' mount namespaces: it must be a private mount."""
    folders.namespaces.mkdir(parents=True, exist_ok=True)
    if not _is_mounted(folders.namespaces):
        run("mount", "--bind", folders.namespaces, folders.namespaces, then=AFRESH)
        run("mount", "--make-private", folders.namespaces, then=AFRESH)


def components(layout: Layout, node: NodeSpec, places: Places) -> tuple[Component, ...]:
    """The node's programs in the order in which they start."""
    folder = layout.folders.node(node.name)
    etc = folder / "etc"
    address = layout.network.node(node.index)
    namespaces = (("net", namespace_path(layout.namespace(node))), ("mount", layout.folders.namespaces / node.name))
    environment = {
        "LD_LIBRARY_PATH": library_path(places.debs),
        # nft for kube-proxy, runc and the shim for containerd; then what the host has.
        "PATH": f"{places.debs}/usr/sbin:{places.debs}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    return (
        Component(
            name=f"{node.name}-containerd",
            group=daemons(node),
            namespaces=namespaces,
            command=(f"{places.debs}/usr/bin/containerd", "--config", str(etc / "containerd.toml")),
            environment=environment,
            watched=(etc / "containerd.toml",),
            ready=_containerd_serves(folder),
        ),
        Component(
            name=f"{node.name}-kubelet",
            group=daemons(node),
            namespaces=namespaces,
            command=(
                f"{places.bin}/kubelet",
                f"--config={etc}/kubelet.yaml",
                f"--kubeconfig={layout.folders.pki}/{node_file(node)}.kubeconfig",
                f"--hostname-override={node.name}",
                f"--node-ip={address}",
                f"--node-labels={','.join(f'{key}={value}' for key, value in node.labels)}",
            ),
            environment=environment,
            watched=(etc / "kubelet.yaml",),
            ready=answers(f"http://{address}:10248/healthz"),
            ready_within_s=90,
        ),
        Component(
            name=f"{node.name}-kube-proxy",
            group=daemons(node),
            namespaces=namespaces,
            command=(f"{places.bin}/kube-proxy", f"--config={etc}/kube-proxy.yaml"),
            environment=environment,
            watched=(etc / "kube-proxy.yaml",),
            ready=answers(f"http://{address}:10249/healthz"),
        ),
    )


def daemons(node: NodeSpec) -> str:
    """The cgroup of the node's own programs and its containers' shims; the pods are in one named like the node."""
    return f"{node.name}.daemons"


def _containerd(folder: Path, node: NodeSpec, places: Places) -> str:
    return render(
        Path(__file__).parent,
        "containerd.toml.j2",
        base_runtime_spec=folder / RUNTIME_SPEC if node.engine else None,
        cni_bin=places.debs / "usr/lib/cni",
        cni_conf=folder / "etc/cni",
        runc=places.debs / "usr/sbin/runc",
        pause=PAUSE,
    )


def _runtime_spec(engine: Path, places: Places) -> str:
    """What containerd begins every container's configuration with: its own default, and a mount of the engine.

    So a real GPU node's runtime puts NVIDIA's driver into containers that know nothing of it.
    """
    spec = json.loads(run(places.debs / "usr/bin/ctr", "oci", "spec"))
    mount = {"destination": MOUNTED_AT, "type": "bind", "source": str(engine), "options": ["rbind", "ro", "nosuid"]}
    return json.dumps({**spec, "mounts": [*spec["mounts"], mount]})


def _cni(layout: Layout, node: NodeSpec) -> str:
    subnet = layout.network.pods_of(node.index)
    return json.dumps(
        {
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [
                {
                    # Point to point and not a bridge: between pods of one node a bridge would bypass kube-proxy's
                    # address translation unless br_netfilter is loaded.
                    "type": "ptp",
                    # Every pod subnet is routed, so no address needs translation.
                    "ipMasq": False,
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{"subnet": str(subnet)}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                }
            ],
        }
    )


def _kubelet(layout: Layout, node: NodeSpec, cgroup_root: str) -> str:
    pki, address = layout.folders.pki, str(layout.network.node(node.index))
    return _yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": address,
            "healthzBindAddress": address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{pki}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{pki}/{node_file(node)}.crt",
            "tlsPrivateKeyFile": f"{pki}/{node_file(node)}.key",
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": cgroup_root,
            "cgroupsPerQOS": True,
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "clusterDNS": [str(layout.network.dns)],
            "clusterDomain": CLUSTER_DOMAIN,
            "resolvConf": str(layout.folders.node(node.name) / "etc/resolv.conf"),
            "registerWithTaints": [taint_parts(taint) for taint in node.taints],
            # Images come from archives, not from a registry: one that is collected would be gone for good.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
            "shutdownGracePeriod": "0s",
            "nodeStatusUpdateFrequency": "5s",
            "syncFrequency": "10s",
            "logging": {"verbosity": 1},
        }
    )


def _kube_proxy(layout: Layout, node: NodeSpec) -> str:
    address = str(layout.network.node(node.index))
    return _yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clusterCIDR": str(layout.network.pods),
            "detectLocalMode": "ClusterCIDR",
            "hostnameOverride": node.name,
            "healthzBindAddress": f"{address}:10256",
            "metricsBindAddress": f"{address}:10249",
            "clientConnection": {"kubeconfig": f"{layout.folders.pki}/kube-proxy.kubeconfig"},
            # The table's size is a setting of the whole host, which is not ours to change.
            "conntrack": {"maxPerCore": 0, "min": 0},
        }
    )


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False)


def _write_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _mount_namespace(folders: Folders, node: NodeSpec, cgroups: Cgroups) -> None:
    """Make the node's mount namespace and keep it as a file, so that any later program can join it.

    Where there was none, the node is as after a reboot: nothing of it runs, and its /run is empty.
    """
    handle = folders.namespaces / node.name
    if _is_mounted(handle):
        return
    for group in (daemons(node), node.name):
        cgroups.kill(group)
    shutil.rmtree(folders.node(node.name) / "run")
    (folders.node(node.name) / "run").mkdir()
    handle.touch()
    binds = "; ".join(f"mount --bind {folders.node(node.name) / name} {target}" for name, target in PRIVATE.items())
    # private: nothing that is mounted here is seen by the host; rshared: the containers' mounts reach each other.
    setup = f"{binds}; mount --make-rshared /"
    run("unshare", f"--mount={handle}", "--propagation=private", "/bin/sh", "-ec", setup, then=AFRESH)


def forget(folders: Folders, name: str, cgroups: Cgroups) -> None:
    """End what runs on the node `name` and remove all that is its own, except for its network."""
    node = NodeSpec(name=name)
    for group in (daemons(node), name):
        cgroups.kill(group)
        cgroups.remove(group)
    handle = folders.namespaces / name
    if _is_mounted(handle):
        run("umount", "--lazy", handle)
    for path in (handle, *folders.pki.glob(f"{node_file(node)}.*"), *folders.records.glob(f"{name}-*")):
        path.unlink(missing_ok=True)
    if folders.node(name).exists():
        shutil.rmtree(folders.node(name))


def _is_mounted(path: Path) -> bool:
    return any(line.split()[4] == str(path) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _containerd_serves(folder: Path) -> Callable[[], bool]:
    """Whether it answers kubelets: after a crash it first looks through its containers, and a kubelet would give up."""
    address = f"unix://{folder / CONTAINERD_SOCKET}"

    def ready() -> bool:
        # A request without fields, and an answer that nobody reads: no message types are needed.
        with grpc.insecure_channel(address) as channel:
            version: Callable[..., object] = channel.unary_unary("/runtime.v1.RuntimeService/Version")
            try:
                version(b"", timeout=2)
            except grpc.RpcError:
                return False
        return True

    return ready
