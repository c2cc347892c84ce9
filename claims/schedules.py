"""Schedules: every replica that there may be, and those of a rollout's surge, find a node with room for them.

GPUs are counted node by node, since two nodes with half of theirs left are not one; CPUs and memory beside what a node
keeps for itself; then the account's quota, and that a volume of one zone is where the pool is. What has room only where
the scheduler packs is unproven: the models' pods ask it to spread them, which leaves the room in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from math import floor

from claims.claim import Claim
from claims.node_room import for_pods, larger, pods_of, requested, room_of, running
from claims.parts import GIB, Part, claim_of, counted, gib, setting
from claims.quotas import quota
from components.packing import Amount, nodes_for, nodes_to_spread
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
            _spread(settings, name, pool, here),
            quota(settings, name, pool, _by_gpus(settings, pool, here)) if isinstance(pool, EksPool) else (),
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
    needed, total = _by_gpus(settings, pool, here), sum(pod.gpus for pod in _all_pods(here))
    line = (
        f"GPUs: {' + '.join(terms)} = {total}, node by node {counted(needed, 'node')} of {counted(room.gpus, 'GPU')} "
        f"{'<=' if needed <= pool.nodes else '>'} {counted(pool.nodes, 'node')} of the pool"
    )
    yield Part(line=line, change=None if needed <= pool.nodes else larger(name, pool, needed))


def _spread(settings: Settings, name: str, pool: GpuPool, here: Mapping[str, Model]) -> Iterator[Part]:
    """Nothing where all find room however they are spread, and where not even packed ones do."""
    node = for_pods(settings, pool)
    packed = nodes_for(_all_pods(here), node)
    needed = nodes_to_spread(running(here.values()), _surge(here), node=node, least=pool.nodes)
    if packed is not None and needed is not None and packed <= pool.nodes < needed:
        yield Part(
            line=f"spread over {counted(pool.nodes, 'node')}, as they ask to be, replicas may leave room in pieces, "
            f"none of which holds one more: all have room for sure on {needed:,}",
            proof=larger(name, pool, needed),
        )


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
    by_gpus = _by_gpus(settings, pool, here)
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
    # Rounded down, so that what is advised fits.
    cpus, memory = floor(10 * room.amount.cpus / beside) / 10, int(room.amount.memory / beside) // GIB
    requests = f"models.{key}.resources.requests"
    lower = [
        *([setting(f"{requests}.memory", f"{memory}Gi")] if _pod(model).memory > memory * GIB else []),
        *([setting(f"{requests}.cpu", f"{cpus:.1f}")] if _pod(model).cpus > cpus else []),
    ]
    change = f"{' and '.join(lower)} ({counted(beside, 'replica')} a node)" if lower else ""
    more = "" if needed is None else larger(name, pool, needed)
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
        storage = settings.storage_of(model)
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


def _by_gpus(settings: Settings, pool: GpuPool, here: Mapping[str, Model]) -> int:
    """Nodes for the GPUs of pods of which each fits one, as the settings have seen to."""
    room = Amount(gpus=pool.gpu.count * settings.device_plugin.time_slicing)
    return nodes_for([Amount(gpus=pod.gpus) for pod in _all_pods(here)], room) or 0


def _largest_surge(here: Mapping[str, Model]) -> str:
    """The model whose rollout takes most GPUs beside those that run: rollouts of others wait for their turn."""
    return max(here, key=lambda key: surge_of(here[key]) * here[key].gpus * here[key].nodes_per_replica)


def _all_pods(here: Mapping[str, Model]) -> list[Amount]:
    return [*running(here.values()), *_surge(here)]


def _surge(here: Mapping[str, Model]) -> list[Amount]:
    most = _largest_surge(here)
    return pods_of(here[most], surge_of(here[most]))


def _pod(model: Model) -> Amount:
    return requested(model.resources, model.gpus)


def _each(model: Model) -> str:
    nodes = model.nodes_per_replica
    return f"{model.gpus}" if nodes == 1 else f"{nodes} x {model.gpus}"
