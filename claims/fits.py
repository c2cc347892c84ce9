"""The declared requests fit in GPU memory, all of them at their full length at once.

Engines page the KV cache and put requests off when it is full, so that less would start as well; but `concurrency`
requests of `contextLength` tokens are what a stack promises, and a replica that has to put some off answers them late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from claims.arguments import value_of
from claims.claim import Claim, Verdict
from claims.memory import PAGE, missing, weights
from claims.memory_lines import gib, memory_line, memory_lines, requests, weights_line
from claims.plan import Plan, holds, plan, share_of
from components.facts.gpus import is_slice
from components.settings import GpuPool, Model, Settings, size_bytes
from components.settings.model import default_shared_memory
from components.sizing import shape_of

ID: Final = "fits"
_ROPE: Final = ("--hf-overrides", "--rope-scaling")
"""Flags that stretch what the model has positions for."""
# Flags with which memory is used in another way than is computed here.
_OTHERWISE: Final = (
    *("--speculative-config", "--speculative-algorithm", "--cpu-offload-gb", "--kv-cache-memory-bytes"),
    *("--kv-cache-memory", "--num-gpu-blocks-override", "--decode-context-parallel-size", "-dcp", "--hf-overrides"),
    *("--max-total-tokens", "--json-model-override-args"),
)


def claims(settings: Settings) -> Iterator[Claim]:
    """One for each model."""
    for name, model in settings.models.items():
        yield _claim(name, model, settings)


def _claim(name: str, model: Model, settings: Settings) -> Claim:
    pool, path = settings.gpu_pools[model.pool], f"inference:models.{name}"
    gpus = model.gpus * model.nodes_per_replica
    blank = Claim(
        id=ID,
        subject=f"models.{name}",
        sentence=f"{requests(model.concurrency, model.context_length)} fit{'s' if model.concurrency == 1 else ''} in "
        f"the memory of its GPU{f's, {gpus} a replica' if gpus > 1 else ''}",
        arithmetic=(memory_line(model, pool),),
        verdict=Verdict.UNPROVEN,
    )
    slices = settings.device_plugin.time_slicing
    if slices * model.gpu_memory_utilization > 1:
        line = f"time slicing: {slices} pods on a GPU x {model.gpu_memory_utilization:g} of its memory > 1"
        most = int(100 / slices) / 100
        change = f"{path}.gpuMemoryUtilization {most:g} (or inference:devicePlugin.timeSlicing 1)"
        return replace(blank, verdict=Verdict.REFUSED, arithmetic=(*blank.arithmetic, line), change=change)
    positions = shape_of(model).get("positions", model.context_length)
    if positions < model.context_length and value_of(model, *_ROPE) is None:
        line = f"context: {model.context_length:,} tokens > {positions:,} positions that the model was made for"
        return replace(blank, verdict=Verdict.REFUSED, arithmetic=(line,), change=f"{path}.contextLength {positions}")
    flag = next((flag for flag in _OTHERWISE if value_of(model, flag) is not None), None)
    found = plan(model, pool)
    if found is None:
        return _unknown(blank, name, model, pool)
    if flag is not None:
        proof = f'the line "Maximum concurrency for" in the log of a replica, since engineArgs has {flag}'
        return replace(blank, arithmetic=memory_lines(found, pool), proof=proof)
    if found.wanted <= found.room:
        return replace(blank, verdict=Verdict.PROVED, arithmetic=memory_lines(found, pool))
    change = _change(path, found, settings)
    return replace(blank, verdict=Verdict.REFUSED, arithmetic=memory_lines(found, pool), change=change)


def _unknown(blank: Claim, name: str, model: Model, pool: GpuPool) -> Claim:
    """The claim on a model of whose shape too little is known: its weights may be too large all the same."""
    found, path = weights(model), f"inference:models.{name}"
    each = 0 if found is None else -(-found.served // (model.gpus * model.nodes_per_replica))
    lines = () if found is None else (weights_line(model, found),)
    if each > share_of(model, pool):
        line = f"{gib(each)} > {gib(share_of(model, pool))}, before any request"
        change = f"{path}.pool with GPUs of at least {gib(each / model.gpu_memory_utilization)} (or more gpus)"
        return replace(blank, verdict=Verdict.REFUSED, arithmetic=(*blank.arithmetic, *lines, line), change=change)
    keys = f"{path}.facts with {', '.join(missing(model))}"
    asked = model.source.startswith(("hf://", "file://"))
    proof = f"make model-facts STACK=<this stack> MODEL={name}; or {keys}" if asked else keys
    return replace(blank, arithmetic=(*blank.arithmetic, *lines), proof=proof)


def _change(path: str, found: Plan, settings: Settings) -> str:
    """The smallest changes, in the order of what they touch: requests, then GPUs, and only then the pool."""
    model = found.model
    ways = [
        *([f"concurrency {found.most_requests}"] if found.most_requests else []),
        *([f"contextLength {found.most_tokens}"] if found.most_tokens >= PAGE else []),
        *_more_gpus(model, settings.gpu_pools[model.pool]),
    ]
    if not ways:
        ways = [f"pool {key}" for key, pool in settings.gpu_pools.items() if holds(model, pool)]
    if not ways:
        ways = [f"pool with GPUs of at least {gib(found.needed / model.gpu_memory_utilization)}"]
    first, *others = ways
    return f"{path}.{first}" + (f" (or {', or '.join(others)})" if others else "")


def _more_gpus(model: Model, pool: GpuPool) -> list[str]:
    """The least number of a node's GPUs that would do, and that the model's heads can be shared out to."""
    if is_slice(pool.gpu.product):
        return []
    heads = shape_of(model).get("heads", 0)
    counts = (count for count in range(model.gpus + 1, pool.gpu.count + 1) if heads % count == 0)
    found = next((count for count in counts if holds(model.model_copy(update={"gpus": count}), pool)), None)
    if found is None:
        return []
    shared = model.shared_memory or default_shared_memory(found)
    holds_it = size_bytes(shared) < size_bytes(model.resources.limits.memory)
    return [f"gpus {found}{'' if holds_it else f', with resources.limits.memory above {shared}'}"]
