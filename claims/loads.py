"""Loads in time: each of the times of a rollout is longer than what it waits for, and how long the rollout takes.

    bytes / bandwidth + engine start < startup budget < progress deadline < Pulumi's timeout

All come from one estimate (components/timing.py), which the settings may override in part.
"""

from __future__ import annotations

from collections.abc import Iterator

from claims.claim import Claim
from claims.parts import Part, claim_of, counted, minutes, of_model, setting
from claims.rollouts import rollout_time, turn
from components import timing
from components.engines import engine_of
from components.settings import Model, Settings, parse_source, size_bytes
from components.sizing import BESIDE_KEPT, revision_bytes, shape_of, volume_size, with_head_room
from components.surge import replaced, surge_of

MB = 1_000_000
_BITS = 8


def claims(settings: Settings) -> Iterator[Claim]:
    """One claim a model."""
    for name, model in settings.models.items():
        parts = (*_load(name, model), *_order(settings, name, model), _rollout(settings, model), *turn(settings, name))
        sentence = f"a replica loads in {timing.load_estimate(model):,} s, and whatever waits for it waits longer"
        yield claim_of("loads", of_model(name), sentence, parts)


def _load(name: str, model: Model) -> Iterator[Part]:
    if _in_image(model):
        yield Part(
            line="weights: in the engine's image, of a size that only who built it knows",
            proof=f"{setting(f'models.{name}.probes.startupSeconds', 'N')}, with N twice what a start takes",
        )
        return
    known, rate = revision_bytes(model), model.weights.bandwidth_mbps
    read, start = timing.transfer_seconds(model), timing.engine_start_seconds(model)
    size = f"{known / MB:,.0f} MB of files" if known is not None else f"{volume_size(model)} of volume at most"
    yield from _volume(name, model)
    yield Part(line=f"read: {size} / {rate:,} MB/s = {read:,} s")
    yield Part(line=f"load: {read:,} s + {start:,} s until {engine_of(model).title} answers = {read + start:,} s")
    if model.weights.storage is None and "bandwidth_mbps" not in model.weights.model_fields_set:
        yield Part(
            line=f"bandwidth: {rate} MB/s is assumed, since nobody has told what the storage class gives",
            proof=f"{setting(f'models.{name}.weights.bandwidthMBps', 'N')}, with N as measured on a node",
        )


def _volume(name: str, model: Model) -> Iterator[Part]:
    """Where nobody has listed the files, the volume bounds the load: it has to be larger than the weights."""
    least = _least_bytes(model) if revision_bytes(model) is None else None
    if least is not None and least > size_bytes(volume_size(model)):
        revisions = model.weights.keep_revisions + BESIDE_KEPT
        yield Part(
            line=f"volume: {volume_size(model)} for weights of {least / MB:,.0f} MB at least",
            change=setting(f"models.{name}.weights.size", with_head_room(revisions * least)),
        )


def _least_bytes(model: Model) -> int | None:
    """Bytes that the files of the weights have at least, by the model's shape; None where that is not known."""
    shape = shape_of(model)
    if "parameters" not in shape or model.quantization == "gguf":
        return None
    given = 4 if model.quantization in {"awq", "gptq"} else _BITS * shape.get("dtypeBytes", 1)
    return shape["parameters"] * shape.get("quantizationBits", given) // _BITS


def _order(settings: Settings, name: str, model: Model) -> Iterator[Part]:
    seeds, path = settings.seeds_nodes(model), f"models.{name}"
    times, load = timing.timing(model, seeds=seeds), timing.load_estimate(model)
    between = " + ".join(f"{value:,} ({key})" for key, value in timing.between_replicas(model, seeds=seeds).items())
    rounds, deadline = timing.rounds(model), times.progress_deadline
    deadlines = f"{counted(rounds, 'round')} x {deadline:,} s = {rounds * deadline:,} s"
    yield _below(
        f"startup budget: load {load:,} s",
        load,
        times.startup_budget,
        setting(f"{path}.probes.startupSeconds", timing.STARTUP_SAFETY * load),
    )
    yield _below(
        f"progress deadline: {between}, with startup {times.startup_budget:,} s",
        times.startup_budget,
        deadline,
        f"{path}.rollout.progressDeadlineSeconds taken out",
    )
    yield _below(
        f"Pulumi's timeout: {deadlines}",
        rounds * deadline,
        times.deployment_timeout,
        f"{path}.rollout.timeoutSeconds taken out",
    )


def _below(line: str, lower: int, upper: int, change: str) -> Part:
    holds = lower < upper
    return Part(line=f"{line} {'<' if holds else '>='} {upper:,} s", change=None if holds else change)


def _rollout(settings: Settings, model: Model) -> Part:
    time, rounds = rollout_time(settings, model), timing.rounds(model)
    each = f"({timing.load_estimate(model):,} s + {model.rollout.min_ready_seconds} s ready)"
    return Part(
        line=f"rollout of {counted(replaced(model), 'replica')}, surge {surge_of(model)}: {counted(rounds, 'round')} x "
        f"{each} = {minutes(time.usual)} where nodes and images are there; {minutes(time.most)} at most, seeding "
        f"included, which a CI job has to allow"
    )


def _in_image(model: Model) -> bool:
    return parse_source(model.source).scheme == "image"
