"""What `make bench` says of what it measured: each figure as a ratio to what it is allowed."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rehearsal import bench_rollout, bench_scaling
from rehearsal.bench_rollout import Rollout
from rehearsal.bench_scaling import Scaled
from rehearsal.bench_seeding import Seeding

PREVIEW_RATIO = 2.5
RESIDENT_GIB = 3.0
SEEDING_RATIO = 1.25
"""Seeding has to reach 0.8 of curl's throughput: so many times its time, at most."""
ROLLOUT_RATIO = 1.15
CREATED_S = 30.0
"""From a load step to the first new pod."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure. `allowed` is None for a part of the figure above it, 0 where nothing at all is allowed."""

    name: str
    measured: float
    unit: str
    allowed: float | None = None
    ratio: float | None = None
    note: str = ""
    samples: tuple[float, ...] = ()
    """What `measured` is the median of, in the order of measurement; empty where it was measured once."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one command took, in seconds; `cpu_s`, of its ended processes, depends less on other work on the host."""

    wall_s: float
    cpu_s: float


def against(figure: Figure, allowed: float) -> Figure:
    """The figure with what it is allowed, and its ratio to that; there is no ratio to nothing."""
    return dataclasses.replace(figure, allowed=allowed, ratio=figure.measured / allowed if allowed else None)


def preview_figure(name: str, own: Sequence[Sample], empty: Sequence[Sample]) -> Figure:
    """The median preview of stack `name` over the median preview of an empty program."""
    ratio = _median_wall(own) / _median_wall(empty)
    cpu = statistics.median(each.cpu_s for each in own) / statistics.median(each.cpu_s for each in empty)
    what, note = f"preview of {name} over an empty program's", f"in CPU time {cpu:.2f} x"
    return against(Figure(name=what, measured=ratio, unit="x", note=note), PREVIEW_RATIO)


def preview_part(name: str, samples: Sequence[Sample]) -> Figure:
    """The median of one program's previews, and how far they lie apart."""
    walls = tuple(each.wall_s for each in samples)
    note = f"median of {len(walls)}, {min(walls):.1f} to {max(walls):.1f} s"
    return Figure(name=f"  {name}", measured=statistics.median(walls), unit="s", note=note, samples=walls)


def memory_figures(resident: Mapping[str, int], replicas: int) -> list[Figure]:
    """The sum of what the groups have resident (bytes), then each group's part."""
    allowance = RESIDENT_GIB * 2**30
    total = Figure(
        name=f"memory, cluster and {replicas} replica{'' if replicas == 1 else 's'}",
        measured=sum(resident.values()) / 2**30,
        unit="GiB",
        note="proportional set size",
    )
    parts = (
        Figure(name=f"  {group}", measured=size / 2**30, unit="GiB", ratio=size / allowance)
        for group, size in resident.items()
    )
    return [against(total, RESIDENT_GIB), *parts]


def seeding_figures(seeding: Seeding) -> list[Figure]:
    """The median time of seeding over curl's and sync's of the same files, and what of it came after the last byte."""
    seeder_s, curl_s = statistics.median(seeding.seeder_s), statistics.median(seeding.curl_s)
    rest_s, alone_s = statistics.median(seeding.after_last_byte_s), statistics.median(seeding.curl_alone_s)
    ratio = seeder_s / curl_s
    speed = f"{1 / ratio:.2f} of its throughput, {seeding.size / seeder_s / 1e6:.0f} MB/s"
    return [
        against(Figure(name="seeding over curl and sync, 1 GiB", measured=ratio, unit="x", note=speed), SEEDING_RATIO),
        Figure(name="  seeder", measured=seeder_s, unit="s", samples=seeding.seeder_s),
        Figure(
            name="  of which after its last byte",
            measured=rest_s,
            unit="s",
            note=f"{100 * rest_s / seeder_s:.0f} %: what verification does not overlap with the download",
            samples=seeding.after_last_byte_s,
        ),
        Figure(name="  curl and sync", measured=curl_s, unit="s", samples=seeding.curl_s),
        Figure(
            name="  of which curl",
            measured=alone_s,
            unit="s",
            note=f"whose files are not on the disk then: {alone_s / seeder_s:.2f} of its throughput",
            samples=seeding.curl_alone_s,
        ),
    ]


def rollout_figures(rollouts: Iterable[Rollout]) -> list[Figure]:
    """Each rollout over its floor, and what it adds to it in each of its rounds."""
    replicas = bench_rollout.REPLICAS
    return [
        against(
            Figure(
                name=f"rollout of {replicas} replicas over its floor, surge {each.surge}",
                measured=each.measured_s / each.floor_s,
                unit="x",
                note=f"{each.measured_s:.0f} s over {each.floor_s:.0f} s; each of {each.rounds} rounds adds "
                f"{each.added_s:.1f} s: pod start, probes, controllers",
            ),
            ROLLOUT_RATIO,
        )
        for each in rollouts
    ]


def scaling_figures(scaled: Sequence[Scaled]) -> list[Figure]:
    """The first trigger's speed, then for each what its users waited and what its replicas cost."""
    ours = scaled[0]
    note = f"{ours.served_s:.0f} s over {ours.floor_s:.1f} s: noticing, {bench_scaling.LOAD_S:.0f} s of load"
    figures = [
        against(Figure(name="new pod after a load step 1 -> 4x", measured=ours.created_s, unit="s"), CREATED_S),
        Figure(name="step to served over its floor", measured=ours.served_s / ours.floor_s, unit="x", note=note),
    ]
    for each in scaled:
        lost = f"{each.streams} streams, {each.lost} lost"
        first, cost = each.first_token_p99_s, each.replica_seconds
        ratios = (None, None) if each is ours else (first / ours.first_token_p99_s, cost / ours.replica_seconds)
        figures += [
            Figure(name=f"  TTFT p99, {each.trigger}", measured=first, unit="s", ratio=ratios[0], note=lost),
            Figure(name=f"  replica-seconds, {each.trigger}", measured=cost, unit="s", ratio=ratios[1]),
        ]
    return figures


def row(figure: Figure) -> tuple[str, str, str, str, str]:
    """The figure as the table shows it: name, measured, allowed, ratio, note."""
    digits = 0 if figure.unit == "resources" else 2
    return (
        figure.name,
        f"{figure.measured:.{digits}f} {figure.unit}",
        "" if figure.allowed is None else f"{figure.allowed:g} {figure.unit}",
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        figure.note,
    )


def _median_wall(samples: Iterable[Sample]) -> float:
    return statistics.median(each.wall_s for each in samples)
