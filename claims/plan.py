"""How a replica fills the memory of one of its GPUs, and how much more would go in. Bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from claims.kv_cache import Cache, cache
from claims.memory import Weights, missing, weights
from claims.parts import GIB
from claims.reserve import Reserve, batch_of, reserve
from components.facts.gpus import usable_gib
from components.settings import GpuPool, Model
from components.sizing import shape_of

_STEP: Final = 256
_LONGEST: Final = 10_485_760


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one GPU of a replica has, and what is asked of it."""

    model: Model
    share: int
    """What the engine may take of the GPU's memory."""
    weights: Weights
    reserve: Reserve
    cache: Cache

    @property
    def gpus(self) -> int:
        """GPUs of a replica, on all of its nodes."""
        return self.model.gpus * self.model.nodes_per_replica

    @property
    def loaded(self) -> int:
        """Weights of one GPU."""
        return -(-self.weights.served // self.gpus)

    @property
    def reading(self) -> int:
        """Weights of one GPU before the engine has quantized them."""
        return -(-self.weights.read // self.gpus)

    @property
    def room(self) -> int:
        """For the KV cache; negative where not even the weights fit."""
        if self.reading + self.reserve.runtime > self.share:
            return -1
        return self.share - self.loaded - self.reserve.whole

    @property
    def wanted(self) -> int:
        """KV cache of the declared requests."""
        return self.model.concurrency * self.cache.of(self.model.context_length)

    @property
    def needed(self) -> int:
        """Of the share, for all of it, and before that for reading the weights."""
        return max(self.loaded + self.wanted + self.reserve.whole, self.reading + self.reserve.runtime)

    @property
    def most_requests(self) -> int:
        """Requests of the declared length that fit."""
        return max(0, self.room) // self.cache.of(self.model.context_length)

    @property
    def most_tokens(self) -> int:
        """Tokens of each of the declared requests that fit, in round numbers, and as many as the model knows."""
        most = min(_LONGEST, shape_of(self.model).get("positions", _LONGEST))
        tokens = self.cache.longest(max(0, self.room) // self.model.concurrency, most)
        return tokens // _STEP * _STEP if tokens >= _STEP else tokens


def plan(model: Model, pool: GpuPool) -> Plan | None:
    """How a replica fills a GPU of the pool; None where too little is known of the model."""
    found = weights(model)
    if found is None or missing(model):
        return None
    return Plan(
        model=model,
        share=share_of(model, pool),
        weights=found,
        reserve=reserve(model, shape_of(model)),
        cache=cache(model, batch_of(model)),
    )


def holds(model: Model, pool: GpuPool) -> bool:
    """Whether the pool's nodes are known to hold a replica with all of its requests."""
    found = plan(model, pool) if model.gpus <= pool.gpu.count else None
    return found is not None and found.wanted <= found.room


def share_of(model: Model, pool: GpuPool) -> int:
    """What the engine may take of one GPU."""
    return int(usable_gib(pool.gpu.product, pool.gpu.memory_gib) * model.gpu_memory_utilization * GIB)
