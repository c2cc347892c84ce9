"""Pods that take turns on a GPU, each of which sees all of its memory: how much of it one may take."""

from __future__ import annotations

from typing import Final

from claims.memory import missing, weights
from claims.plan import holds, share_of
from components.engines import engine_of
from components.settings import GpuPool, Model

_LEAST: Final = 0.1
"""Of `gpuMemoryUtilization`, which has two digits here."""


def smaller_share(model: Model, pool: GpuPool, slices: int) -> float | None:
    """What each of so many pods may take of the GPU; None where that is too little for the model, as far as known."""
    share = int(100 / slices) / 100
    told = engine_of(model).memory_share and share >= _LEAST
    return share if told and _would_do(model.model_copy(update={"gpu_memory_utilization": share}), pool) else None


def fewer_pods(model: Model, pool: GpuPool, slices: int) -> tuple[int, float | None] | None:
    """The most pods on a GPU that would do, and the share of each where it has to change; None where not one would.

    With the share that is set, where a smaller one would be enough for as many pods as are set.
    """
    unchanged = int(1 / model.gpu_memory_utilization)
    if smaller_share(model, pool, slices) is None:
        for count in range(slices - 1, unchanged, -1):
            share = smaller_share(model, pool, count)
            if share is not None:
                return count, share
    return (unchanged, None) if _would_do(model, pool) else None


def _would_do(model: Model, pool: GpuPool) -> bool:
    """Whether the requests fit; of a model of which too little is known, whether its weights do, as far as known."""
    if not missing(model):
        return holds(model, pool)
    found = weights(model)
    return found is None or found.served <= share_of(model, pool)
