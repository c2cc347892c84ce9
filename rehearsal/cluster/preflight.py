"""What a host must have for the embedded cluster, asked before anything is touched."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

from rehearsal.command import run, succeeds
from rehearsal.fault import Fault
from rehearsal.places import Places
from rehearsal.toolchain import library_path

ALTERNATIVE = "or use any cluster of yours: CLUSTER=existing make up"
CLUSTER_BYTES = 4 << 30
"""Images of three nodes, the model and its volume, logs; and the room that the kubelets must see left (evictions)."""
HIDDEN = (Path("/var/lib"), Path("/var/log"), Path("/run"))
SOCKET_PATH = 107
PROBE = (
    "add table inet probe; add chain inet probe probe { type filter hook postrouting priority 0; }; "
    "add rule inet probe probe ct label set 100"
)
"""What kube-proxy and the enforcement of network policies ask of nftables, but for NFQUEUE, which nft cannot say."""
PROGRAMS = ("ip", "mount", "nsenter", "umount", "unshare")


def check(state: Path) -> None:
    """Raise Fault with one line for the first thing that is missing."""
    if platform.system() != "Linux":
        raise Fault(
            f"embedded cluster: needs Linux, this is {platform.system()}; run it in a Linux machine, {ALTERNATIVE}"
        )
    require_root()
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise Fault(f"{program}: not on PATH; install util-linux and iproute2, {ALTERNATIVE}")
    if not _has_filesystem("overlay"):
        raise Fault(f"kernel: no overlay file system; load it with: modprobe overlay, {ALTERNATIVE}")
    require_space(state, CLUSTER_BYTES, "the cluster")


def check_places(places: Places, longest_node: str) -> None:
    """Raise Fault where a folder's path cannot serve nodes, which see other folders at /var/lib, /var/log and /run.

    `longest_node` is the longest name of a node, in whose folder the socket of containerd has to fit.
    """
    for variable, path in (("XDG_CACHE_HOME", places.cache), ("XDG_STATE_HOME", places.state)):
        hidden = next((folder for folder in HIDDEN if path.is_relative_to(folder)), None)
        if hidden:
            raise Fault(f"{variable}: {path} is below {hidden}, which nodes see another folder at; set another")
        if not re.fullmatch(r"[\w./+@-]+", str(path)):
            raise Fault(f"{variable}: {path} has a space or a mark in it that mounts cannot have; set another")
    socket = places.cluster / "nodes" / longest_node / "run/containerd/containerd.sock"
    if len(str(socket)) > SOCKET_PATH:
        raise Fault(
            f"XDG_STATE_HOME: {socket} has {len(str(socket))} characters, a socket's path at most {SOCKET_PATH}; "
            "set a shorter one, or name the GPU pool more shortly"
        )


def check_network(debs: Path) -> None:
    """Raise Fault unless the kernel can do what the network and kube-proxy need, tried in a namespace of its own.

    `debs` are the unpacked Debian packages, which bring nft.
    """
    attempt = (
        "ip link add probe0 type veth peer name probe1 && ip link add probe2 type bridge && "
        f"'{debs}/usr/sbin/nft' '{PROBE}'"
    )
    try:
        run("unshare", "--net", "/bin/sh", "-ec", attempt, environment={"LD_LIBRARY_PATH": library_path(debs)})
    except Fault as fault:
        raise Fault(
            f"kernel: {fault}; load what is missing with: modprobe -a veth bridge nf_tables nft_ct nft_compat "
            f"xt_NFQUEUE, {ALTERNATIVE}"
        ) from None


def require_root() -> None:
    """Raise Fault unless this is root."""
    if os.geteuid() != 0:
        raise Fault(
            "embedded cluster: needs root (kubelets make cgroups and mounts); "
            f'run: sudo --preserve-env env "PATH=$PATH" make up; {ALTERNATIVE}'
        )


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise Fault unless the file system of `folder` (which need not exist yet) has `needed` bytes free."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise Fault(
            f"disk: {what} needs {needed / 2**30:.0f} GiB under {existing}, {free / 2**30:.1f} GiB are free; "
            "free some, or set XDG_CACHE_HOME and XDG_STATE_HOME to a larger disk"
        )


def _has_filesystem(name: str) -> bool:
    if name in Path("/proc/filesystems").read_text().split():
        return True
    return shutil.which("modprobe") is not None and succeeds("modprobe", name)
