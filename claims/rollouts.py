"""Rollouts of several models of a pool: side by side where its nodes have room for all their surges, else in turn.

Nobody says in which order the scheduler gives a spare GPU away: the last model may wait for all rounds of the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from claims.node_room import for_pods, larger, pods_of, running
from claims.parts import Part, counted, minutes
from components import timing
from components.packing import Amount, nodes_to_spread, spread_fits
from components.settings import GpuPool, Model, Settings, parse_source
from components.surge import surge_of


@dataclass(frozen=True, kw_only=True)
class RolloutTime:
    """How long a change of a model takes, in seconds."""

    usual: int
    """Where nodes and images are there and the weights on their volume."""
    most: int
    """Until Pulumi gives up: with new nodes, images pulled, weights seeded, and all as slow as it is allowed to be."""


def rollout_time(settings: Settings, model: Model) -> RolloutTime:
    """The time of a rollout of all of the model's replicas, by itself."""
    seeds = settings.seeds_nodes(model)
    seeding = 0 if seeds or parse_source(model.source).scheme == "image" else timing.seeding_timeout(model)
    each = timing.load_estimate(model) + model.rollout.min_ready_seconds
    return RolloutTime(
        usual=timing.rounds(model) * each,
        most=seeding + timing.timing(model, seeds=seeds).deployment_timeout,
    )


def in_turn(settings: Settings, names: Collection[str]) -> tuple[str, ...]:
    """Pools on which those models cannot all have their surge at once."""
    return tuple(
        name
        for name, pool in settings.gpu_pools.items()
        if len(here := [each for each in names if settings.models[each].pool == name]) > 1
        and not spread_fits(*_pods(settings, name, here), node=for_pods(settings, pool), nodes=pool.nodes)
    )


def most_seconds(settings: Settings, names: Collection[str]) -> int:
    """Seconds of the rollouts of those models at most: of a pool where they are in turn, the sum of theirs."""
    waiting, pools = in_turn(settings, names), {settings.models[each].pool for each in names}
    times = {
        pool: [
            rollout_time(settings, settings.models[each]).most for each in names if settings.models[each].pool == pool
        ]
        for pool in pools
    }
    return max((sum(each) if pool in waiting else max(each) for pool, each in times.items()), default=0)


def turn(settings: Settings, name: str) -> Iterator[Part]:
    """Whether the model may have to wait for others of its pool, and its progress deadline allows for it.

    Pulumi's timeout then does too: it is longer than as many deadlines as there are rounds.
    """
    model = settings.models[name]
    pool = settings.gpu_pools[model.pool]
    here = {key: each for key, each in settings.models.items() if each.pool == model.pool}
    if len(here) == 1:
        return
    beginning = f"others of pool {model.pool}: {counted(pool.nodes, 'node')}"
    if not in_turn(settings, here):
        yield Part(line=f"{beginning} with room for the surges of all {len(here)} models at once: none waits")
        return
    times = timing.timing(model, seeds=settings.seeds_nodes(model))
    waits = {key: _rounds_of(settings, each) for key, each in here.items() if key != name}
    wait = sum(count * seconds for count, seconds in waits.values())
    own = sum(timing.between_replicas(model, seeds=settings.seeds_nodes(model)).values())
    terms = " + ".join(f"{count} x {seconds:,} s ({key})" for key, (count, seconds) in waits.items())
    enough = wait + own <= times.progress_deadline
    yield Part(
        line=f"{beginning} without room for all surges at once: waits {terms} = {minutes(wait)} at most if they roll "
        f"out too, + {own:,} s of its own {'<=' if enough else '>'} {times.progress_deadline:,} s progress deadline",
        proof=None if enough else _ways_out(settings, model.pool, pool, here),
    )


def _rounds_of(settings: Settings, model: Model) -> tuple[int, int]:
    return timing.rounds(model), timing.timing(model, seeds=settings.seeds_nodes(model)).progress_deadline


def _ways_out(settings: Settings, name: str, pool: GpuPool, here: Mapping[str, Model]) -> str:
    node = for_pods(settings, pool)
    needed = nodes_to_spread(*_pods(settings, name, here), node=node, least=pool.nodes)
    alone = "a change of one model at a time"
    return alone if needed is None else f"{larger(name, pool, needed)}, with room for the surges of all; or {alone}"


def _pods(settings: Settings, pool: str, names: Collection[str]) -> tuple[list[Amount], list[Amount]]:
    """Those of all models that run on the pool, and those of the surges of some of them."""
    here = {name: model for name, model in settings.models.items() if model.pool == pool}
    return running(here.values()), [pod for name in names for pod in pods_of(here[name], surge_of(here[name]))]
