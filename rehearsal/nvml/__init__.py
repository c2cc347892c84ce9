"""GPUs for a machine without any: an NVML library of ours (nvml.c), and what it reads.

The library stands in for NVIDIA's `libnvidia-ml.so.1`, so that the real device plugin announces the GPUs of a
rehearsed node. It reads the two files that this module writes; nvml.c describes their format.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from rehearsal.command import run

SOURCE = Path(__file__).with_name("nvml.c")
LIBRARY = "libnvidia-ml.so.1"
GPUS_FILE = "rehearsal-gpus"
XID_FILE = "rehearsal-xid"
MAX_GPUS = 16
"""GPUs that the library holds for one node, which is the most that a server has."""

# A driver of the branch that device plugin 0.18 was released with, and the CUDA version that it supports.
DRIVER_VERSION = "580.95.05"
CUDA_VERSION = "13.0"

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "gpu.rehearsal.inference")


def build_library(folder: Path) -> Path:
    """Compiles the library into the folder and returns its path. Raises Fault without gcc or the C headers."""
    library = folder / LIBRARY
    flags = ("-std=gnu11", "-O2", "-fPIC", "-shared", "-pthread", f"-Wl,-soname,{LIBRARY}")
    run("gcc", *flags, "-o", library, SOURCE, then="install gcc and libc6-dev and run again")
    return library


def gpu_uuid(node: str, index: int) -> str:
    """The UUID under which the node's GPU is known to Kubernetes: the same after every restart."""
    return f"GPU-{uuid.uuid5(_NAMESPACE, f'{node}/{index}')}"


def write_gpus(folder: Path, node: str, product: str, memory_gib: int, count: int) -> Path:
    """Writes which GPUs the node has. `folder` is the node's device plugin folder, `count` 0 to 16 GPUs.

    The file is replaced as a whole: a device plugin that starts meanwhile reads the old one or the new one.
    """
    if not 0 <= count <= MAX_GPUS:
        raise ValueError(f"a node has 0 to {MAX_GPUS} GPUs, not {count}")
    lines = [
        f"product={product}",
        f"memory_mib={memory_gib * 1024}",
        f"driver={DRIVER_VERSION}",
        f"cuda={CUDA_VERSION}",
        *(f"uuid={gpu_uuid(node, index)}" for index in range(count)),
    ]
    path = folder / GPUS_FILE
    unfinished = path.with_suffix(".new")
    unfinished.write_text("".join(f"{line}\n" for line in lines))
    return unfinished.replace(path)


def inject_xid(folder: Path, index: int, xid: int) -> None:
    """Lets the GPU report a critical XID, as its driver does: the device plugin then announces it as unhealthy.

    Only a device plugin that runs now hears of it, and it ignores the XIDs that an application causes (13, 31, 43,
    45, 68, 109). It calls the GPU healthy again only after its own restart. XIDs: NVIDIA's "XID Errors" guide.
    """
    with (folder / XID_FILE).open("ab", buffering=0) as file:
        file.write(f"{index} {xid}\n".encode())
