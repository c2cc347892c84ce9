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
from claims.memory import missing, weights
from claims.memory_lines import gib, memory_line, memory_lines, requests, weights_line
from claims.plan import Plan, plan, share_of
from claims.reserve import unread
from claims.ways_out import ways_out, ways_out_of_slicing
from components.settings import GpuPool, Model, Settings
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
        change = ways_out_of_slicing(path, model, settings)
        return replace(blank, verdict=Verdict.REFUSED, arithmetic=(*blank.arithmetic, line), change=change)
    positions = shape_of(model).get("positions", model.context_length)
    if positions < model.context_length and value_of(model, *_ROPE) is None:
        line = f"context: {model.context_length:,} tokens > {positions:,} positions that the model was made for"
        return replace(blank, verdict=Verdict.REFUSED, arithmetic=(line,), change=f"{path}.contextLength {positions}")
    found = plan(model, pool)
    return _unknown(blank, name, model, pool) if found is None else _computed(blank, path, found, settings)


def _computed(blank: Claim, path: str, found: Plan, settings: Settings) -> Claim:
    """The claim on a model of whose shape enough is known."""
    model, pool = found.model, settings.gpu_pools[found.model.pool]
    flag = next((flag for flag in _OTHERWISE if value_of(model, flag) is not None), None)
    unclear = unread(model)
    if unclear is not None:
        return replace(blank, proof=f"a whole number in place of {unclear} in {path}.engineArgs")
    if flag is not None:
        proof = f'the line "Maximum concurrency for" in the log of a replica, since engineArgs has {flag}'
        return replace(blank, arithmetic=memory_lines(found, pool), proof=proof)
    if found.wanted <= found.room:
        return replace(blank, verdict=Verdict.PROVED, arithmetic=memory_lines(found, pool))
    change = ways_out(path, found, settings.gpu_pools, settings.device_plugin.time_slicing)
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
