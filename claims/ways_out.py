"""The smallest changes to a stack with which a model would fit, by key path and value."""

from __future__ import annotations

from collections.abc import Mapping

from claims.kv_cache import PAGE
from claims.memory_lines import gib
from claims.plan import Plan, holds, plan
from claims.time_slicing import fewer_pods, smaller_share
from components.facts.gpus import is_slice
from components.settings import GpuPool, Model, Settings, size_bytes
from components.settings.model import default_shared_memory
from components.settings.replica_checks import divides
from components.sizing import shape_of


def ways_out(path: str, found: Plan, pools: Mapping[str, GpuPool], slices: int) -> str:
    """In the order of what they touch: requests, then GPUs, and only then the pool."""
    model = found.model
    ways = [
        *([f"concurrency {found.most_requests}"] if found.most_requests else []),
        *([f"contextLength {found.most_tokens}"] if found.most_tokens >= PAGE else []),
        *([] if slices > 1 else _more_gpus(model, pools[model.pool])),
    ]
    if not ways:
        ways = [f"pool {key}" for key, pool in pools.items() if holds(model, pool)]
    if not ways:
        ways = [f"pool with GPUs of at least {gib(found.needed / model.gpu_memory_utilization)}"]
    return _alternatives([f"{path}.{ways[0]}", *ways[1:]])


def ways_out_of_slicing(path: str, model: Model, settings: Settings) -> str:
    """Where pods that take turns on a GPU take more than all of its memory: a smaller share, or fewer pods."""
    pool, slices, key = (
        settings.gpu_pools[model.pool],
        settings.device_plugin.time_slicing,
        f"{path}.gpuMemoryUtilization",
    )
    ways = []
    if (share := smaller_share(model, pool, slices)) is not None:
        ways.append(f"{key} {share:g}")
    if (fewer := fewer_pods(model, pool, slices)) is not None:
        count, share = fewer
        ways.append(f"inference:devicePlugin.timeSlicing {count}" + (f" with {key} {share:g}" if share else ""))
    if ways:
        return _alternatives(ways)
    found, alone = plan(model, pool), "inference:devicePlugin.timeSlicing 1"
    return alone if found is None else f"{alone}, and {ways_out(path, found, settings.gpu_pools, 1)}"


def _alternatives(ways: list[str]) -> str:
    first, *others = ways
    return first + (f" (or {', or '.join(others)})" if others else "")


def _more_gpus(model: Model, pool: GpuPool) -> list[str]:
    """The least number of a node's GPUs that would do, and that the model's heads can be shared out to."""
    if is_slice(pool.gpu.product):
        return []
    shape = shape_of(model)
    heads, groups = shape.get("heads", 0), shape.get("kvHeads")
    counts = (count for count in range(model.gpus + 1, pool.gpu.count + 1) if divides(count, heads, groups))
    found = next((count for count in counts if holds(model.model_copy(update={"gpus": count}), pool)), None)
    if found is None:
        return []
    shared = model.shared_memory or default_shared_memory(found)
    holds_it = size_bytes(shared) < size_bytes(model.resources.limits.memory)
    return [f"gpus {found}{'' if holds_it else f', with resources.limits.memory above {shared}'}"]
