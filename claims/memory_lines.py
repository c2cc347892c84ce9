"""The arithmetic of a replica's memory, in lines."""

from __future__ import annotations

from collections.abc import Iterator

from claims.memory import Weights
from claims.parts import GIB, MIB
from claims.plan import Plan, share_of
from claims.reserve import batch_of
from components.facts.gpus import usable_gib
from components.settings import GpuPool, Model


def memory_line(model: Model, pool: GpuPool) -> str:
    """What there is, of which the engine takes a share."""
    gpu = pool.gpu
    usable = usable_gib(gpu.product, gpu.memory_gib)
    named = f"{gpu.product} ({gpu.memory_gib} GiB nominal)" if usable < gpu.memory_gib else gpu.product
    share = gib(share_of(model, pool))
    return f"memory of {named}: {usable:.1f} GiB x {model.gpu_memory_utilization:g} = {share}"


def weights_line(model: Model, found: Weights) -> str:
    """What the weights take of one GPU."""
    gpus = model.gpus * model.nodes_per_replica
    each = gib(-(-found.served // gpus))
    return f"weights: {found.how}{f' / {gpus} GPUs' if gpus > 1 else ''} = {each}"


def memory_lines(found: Plan, pool: GpuPool) -> tuple[str, ...]:
    """All of it, to the sum and the largest that would fit."""
    model, kept = found.model, found.reserve
    one = gib(found.cache.of(model.context_length))
    parts = [
        f"{gib(kept.activations)} activations of {batch_of(model):,} tokens",
        *([f"{gib(kept.graphs)} CUDA graphs"] if kept.graphs else []),
        f"{gib(kept.runtime)} CUDA{' and NCCL' if found.gpus > 1 else ''}",
        *([f"{gib(kept.adapters)} LoRA adapters"] if kept.adapters else []),
    ]
    total = found.loaded + found.wanted + kept.whole
    return (
        memory_line(model, pool),
        weights_line(model, found.weights),
        *_reading(found),
        f"KV cache of a token: {found.cache.how}",
        f"KV cache: {requests(model.concurrency, model.context_length)} x {one} = {gib(found.wanted)}",
        f"reserve: {' + '.join(parts)} = {gib(kept.whole)}",
        f"{gib(found.loaded)} + {gib(found.wanted)} + {gib(kept.whole)} = {_against(total, found.share)}",
        _largest(found),
    )


def _reading(found: Plan) -> Iterator[str]:
    """Weights that the engine itself quantizes are whole in the GPU before."""
    if found.reading > found.loaded:
        total = _against(found.reading + found.reserve.runtime, found.share)
        yield f"before they are quantized: {gib(found.reading)} + {gib(found.reserve.runtime)} CUDA = {total}"


def _against(total: int, share: int) -> str:
    return f"{gib(total)} {'<=' if total <= share else '>'} {gib(share)}"


def _largest(found: Plan) -> str:
    model, count, tokens = found.model, found.most_requests, found.most_tokens
    if not count and not tokens:
        return "largest: none, the weights leave no room"
    first = requests(count, model.context_length) if count else "no request of that length"
    return f"largest: {first}" + (f", or {requests(model.concurrency, tokens)}" if tokens else "")


def requests(count: int, tokens: int) -> str:
    """So many requests of such a length, in words."""
    return f"{count:,} request{'' if count == 1 else 's'} of {tokens:,} tokens"


def gib(count: float) -> str:
    """GiB with a digit, or MiB of what would be less than a tenth of one."""
    return f"{count / GIB:,.1f} GiB" if count * 10 >= GIB else f"{count / MIB:,.1f} MiB"
