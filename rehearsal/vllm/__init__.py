"""The real vLLM on this machine's CPU: what the simulator is calibrated against, and an engine of the local stack.

`requirements.txt` pins it with all that it imports, by hashes; `toolchain.ensure_vllm` installs it into the cache.
"""

from __future__ import annotations

import ctypes.util
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Final

from rehearsal.fault import Fault
from rehearsal.places import Places

REQUIREMENTS: Final = Path(__file__).parent / "requirements.txt"
LISTED_FLAGS: Final = Path(__file__).parent / "listed_flags.py"
"""A script that lists the flags of the vLLM whose interpreter runs it."""
SECONDS: Final = 120
"""To install it on two cores."""
BYTES: Final = 16 << 30
"""What installing takes: 6 GiB, the same again in uv's cache where that is on another disk, and the downloads."""
MODULE: Final = "vllm.entrypoints.cli.main"
MOUNTED_AT: Final = "/opt/vllm"
"""Where a node has it in its containers."""

# bfloat16 crashes its workers on some machines, and without compilation it starts within two minutes.
DTYPE: Final = "float32"
ARGUMENTS: Final = ("--enforce-eager",)
FLAGS: Final = ("--dtype", DTYPE, *ARGUMENTS)
ENVIRONMENT: Final = MappingProxyType(
    {
        "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
    }
)


def version() -> str:
    """The version that is pinned."""
    return next(line.split()[0].partition("==")[2] for line in _pinned() if line.startswith("vllm-cpu=="))


def _pinned() -> list[str]:
    return REQUIREMENTS.read_text().splitlines()


def python_version() -> str:
    """The minor version of Python that it is installed for: that of the interpreter which runs this."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def installed(places: Places) -> bool:
    """Whether it lies in the cache."""
    return (places.vllm / "installed.json").exists()


def command(places: Places) -> tuple[tuple[str, ...], dict[str, str]]:
    """`vllm` on this host, and the environment that it needs on top of ours. Fault if a library of it is missing."""
    if ctypes.util.find_library("numa") is None:
        raise Fault("libnuma: not there, and vLLM loads it; install it (Debian: apt-get install libnuma1)")
    # Not the virtual environment's: the two have packages of the same names and other versions.
    interpreter = f"{sys.base_prefix}/bin/python{python_version()}"
    environment = {**ENVIRONMENT, "PYTHONPATH": str(places.vllm), "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    return (interpreter, "-m", MODULE), environment
