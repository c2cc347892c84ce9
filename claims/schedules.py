"""Schedules: every replica that there may be, and those of a rollout's surge, find a node with room for them.

GPUs are counted node by node, since two nodes with half of theirs left are not one; CPUs and memory beside what a node
keeps for itself; then the account's quota, and that a volume of one zone is where the pool is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from claims.claim import Claim
from claims.node_room import requested, room_of
from claims.parts import GIB, Part, claim_of, counted, gib, setting
from claims.quotas import quota
from components.packing import Amount, nodes_for
from components.settings import EksPool, Fsx, Gp3, GpuPool, Model, Settings
from components.surge import replaced, surge_of


def claims(settings: Settings) -> Iterator[Claim]:
    """One claim for each pool that models run on."""
    for name, pool in settings.gpu_pools.items():
        here = {key: model for key, model in settings.models.items() if model.pool == name}
        if not here:
            continue
        parts = chain(
            _gpus(settings, name, pool, here),
            _cpus_and_memory(settings, name, pool, here),
            quota(settings, name, pool) if isinstance(pool, EksPool) else (),
            _zones(settings, pool, here),
        )
        replicas = sum(map(replaced, here.values()))
        sentence = f"{counted(replicas, 'replica')} and the surge of a rollout find {counted(pool.nodes, 'node')}"
        yield claim_of("schedules", f"gpuPools.{name}", sentence, parts)


def _gpus(settings: Settings, name: str, pool: GpuPool, here: Mapping[str, Model]) -> Iterator[Part]:
    room = Amount(gpus=pool.gpu.count * settings.device_plugin.time_slicing)
    most = _largest_surge(here)
    terms = [
        f"{key} {replaced(model)} x {_each(model)}{f' + {surge_of(model)} x {_each(model)} of surge' * (key == most)}"
        for key, model in here.items()
    ]
    pods = _all_pods(here)
    needed, total = _needed([Amount(gpus=pod.gpus) for pod in pods], room), sum(pod.gpus for pod in pods)
    line = (
        f"GPUs: {' + '.join(terms)} = {total}, node by node {counted(needed, 'node')} of {counted(room.gpus, 'GPU')} "
        f"{'<=' if needed <= pool.nodes else '>'} {counted(pool.nodes, 'node')} of the pool"
    )
    yield Part(line=line, change=None if needed <= pool.nodes else _larger(name, pool, needed))


def _cpus_and_memory(settings: Settings, name: str, pool: GpuPool, here: Mapping[str, Model]) -> Iterator[Part]:
    room = room_of(settings, pool)
    if room is None:
        yield Part(
            line="CPUs and memory: nobody has told what a node has for pods",
            proof=f"{setting(f'gpuPools.{name}.allocatable', '{cpu: N, memory: N}')}, with what kubectl describe node "
            "says under Allocatable",
        )
        return
    pods = _all_pods(here)
    by_gpus = _needed([Amount(gpus=pod.gpus) for pod in pods], Amount(gpus=room.amount.gpus))
    needed = nodes_for(pods, room.amount)
    asked = ", ".join(
        f"{key} {model.resources.requests.cpu} CPUs and {gib(_pod(model).memory)}" for key, model in here.items()
    )
    yield Part(line=room.line)
    if needed is not None and needed <= max(by_gpus, pool.nodes):
        yield Part(line=f"requests of a pod: {asked}: all fit on {counted(needed, 'node')}")
        return
    key, model = max(here.items(), key=lambda each: _pod(each[1]).memory / room.amount.memory)
    beside = max(1, room.amount.gpus // model.gpus)
    cpus, memory = room.amount.cpus / beside, int(room.amount.memory / beside) // GIB
    requests = f"models.{key}.resources.requests"
    lower = [
        *([setting(f"{requests}.memory", f"{memory}Gi")] if _pod(model).memory > memory * GIB else []),
        *([setting(f"{requests}.cpu", f"{cpus:.1f}")] if _pod(model).cpus > cpus else []),
    ]
    change = f"{' and '.join(lower)} ({counted(beside, 'replica')} a node)" if lower else ""
    more = "" if needed is None else _larger(name, pool, needed)
    yield Part(
        line=f"requests of a pod: {asked}: "
        + (
            "more than an empty node has"
            if needed is None
            else f"they take {needed} nodes where their GPUs take {by_gpus}: {needed} > {pool.nodes}"
        ),
        change=" or ".join(filter(None, (change, more))),
    )


def _zones(settings: Settings, pool: GpuPool, here: Mapping[str, Model]) -> Iterator[Part]:
    if not isinstance(pool, EksPool):
        return
    zones = ", ".join(pool.zones)
    for key, model in here.items():
        storage = settings.storage.get(model.weights.storage or "")
        if isinstance(storage, Gp3):
            yield Part(line=f"zone of the volume of {key}: that of its node, {zones}")
        elif isinstance(storage, Fsx) and set(pool.zones) == {storage.zone}:
            yield Part(line=f"zone of the volume of {key}: {storage.zone}, as that of the pool")
        elif isinstance(storage, Fsx):
            yield Part(
                line=f"zone of the volume of {key}: {storage.zone}, and the pool is in {zones}: they mount it more "
                "slowly, and pay for what they read",
                proof=setting(f"gpuPools.{model.pool}.zones", f"[{storage.zone}]"),
            )


def _larger(name: str, pool: GpuPool, needed: int) -> str:
    return setting(f"gpuPools.{name}.{'max' if isinstance(pool, EksPool) else 'nodes'}", needed)


def _needed(pods: Sequence[Amount], room: Amount) -> int:
    """Nodes for pods of which each fits one, as the settings have seen to."""
    return nodes_for(pods, room) or 0


def _largest_surge(here: Mapping[str, Model]) -> str:
    """The model whose rollout takes most GPUs beside those that run: rollouts of others wait for their turn."""
    return max(here, key=lambda key: surge_of(here[key]) * here[key].gpus * here[key].nodes_per_replica)


def _all_pods(here: Mapping[str, Model]) -> list[Amount]:
    most = _largest_surge(here)
    return [
        _pod(model)
        for key, model in here.items()
        for _ in range((replaced(model) + surge_of(model) * (key == most)) * model.nodes_per_replica)
    ]


def _pod(model: Model) -> Amount:
    return requested(model.resources, model.gpus)


def _each(model: Model) -> str:
    nodes = model.nodes_per_replica
    return f"{model.gpus}" if nodes == 1 else f"{nodes} x {model.gpus}"
