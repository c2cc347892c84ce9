"""The constants of the simulation, from `SIMULATOR_*` variables (listed in the package's docstring)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Times in seconds, rates per second, sizes in bytes or tokens."""

    load_bytes_per_second: float
    startup_seconds: float
    gpu_memory_bytes: float
    kv_cache_tokens: int | None
    visible_gpus: int | None
    """GPUs that the device plugin has given to this container; None where it is to run without any."""
    step_seconds: float
    step_seconds_per_sequence: float
    prefill_tokens_per_second: float
    teardown_seconds: float
    hung: bool


def read(variables: Mapping[str, str]) -> Environment:
    """Read the variables.

    Raises:
        ValueError: one is not a number of 0 or more; the message names it.
    """

    def number(name: str, default: float) -> float:
        text = variables.get(f"SIMULATOR_{name}") or str(default)
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not value >= 0:
            raise ValueError(f"SIMULATOR_{name}={text!r} is not a number of 0 or more")
        return value

    bandwidth = number("LOAD_MBPS", 0)
    kv_cache_tokens = number("KV_CACHE_TOKENS", 0)
    return Environment(
        load_bytes_per_second=bandwidth * 1e6 or math.inf,
        startup_seconds=number("STARTUP_SECONDS", 1),
        gpu_memory_bytes=number("GPU_MEMORY_GIB", 24) * 2**30,
        kv_cache_tokens=int(kv_cache_tokens) or None,
        visible_gpus=None if variables.get("SIMULATOR_WITHOUT_GPU") == "1" else _visible_gpus(variables),
        step_seconds=number("STEP_MS", 20) / 1e3,
        step_seconds_per_sequence=number("STEP_MS_PER_SEQ", 1) / 1e3,
        prefill_tokens_per_second=number("PREFILL_TPS", 5000) or math.inf,
        teardown_seconds=number("TEARDOWN_SECONDS", 1),
        hung=variables.get("SIMULATOR_HUNG") == "1",
    )


def _visible_gpus(variables: Mapping[str, str]) -> int:
    """Count the GPUs that the device plugin's variable lists.

    `all` is none here: CUDA images set it themselves, so that it says nothing about what the pod was given.
    """
    listed = variables.get("NVIDIA_VISIBLE_DEVICES", "")
    return 0 if listed in ("", "void", "none", "all") else len(set(listed.split(",")))
