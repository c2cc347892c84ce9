"""Speed and size of the running stack, each figure as a ratio to what it is allowed: a measurement, not a test."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from rehearsal import bench_rollout, bench_seeding, cluster, stack, toolchain
from rehearsal.bench_rollout import Rollout
from rehearsal.bench_seeding import Seeding
from rehearsal.cluster import control_plane, node
from rehearsal.cluster.cgroups import Cgroups
from rehearsal.cluster.layout import Layout
from rehearsal.fault import Fault
from rehearsal.kubectl import Kubectl
from rehearsal.places import CHECKOUT, Places
from rehearsal.progress import console, step
from rehearsal.pulumi_cli import Pulumi, embedded, throwaway

COLD_UP_S = 180.0
SECOND_UP_S = 30.0
PREVIEW_RATIO = 2.5
RESIDENT_GIB = 3.0
SEEDING_RATIO = 1.25
"""Seeding has to reach 0.8 of curl's throughput: so many times its time, at most."""
SEEDING_REPEATS = 3
ROLLOUT_RATIO = 1.15
REPEATS = 5
PROD = "prod"
"""The stack on AWS that is previewed without an account, whatever runs."""
EMPTY = "empty"
"""The project and the stack whose program does nothing."""

UNCHANGED = frozenset({"same", "read"})
"""Pulumi's operations that leave a resource as it is."""


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


def changed_resources(update: Mapping[str, Any]) -> int:
    """How many resources one entry of `pulumi stack history --json` created, updated, replaced or deleted."""
    return sum(count for operation, count in update["resourceChanges"].items() if operation not in UNCHANGED)


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


def noise(load: float, cpus: int) -> str:
    """What the host did beside the bench: `load` is its one-minute load average before the first measurement."""
    text = f"load average {load:.1f} on {cpus} CPUs before the first measurement"
    return f"{text}: other work is under way, expect longer times" if load > cpus / 2 else text


def alternate(run: Sequence[Callable[[], Sample]], repeats: int) -> list[list[Sample]]:
    """Each measurement `repeats` times, taking turns, so that a slow minute of the host falls on all of them."""
    rounds = [[measure() for measure in run] for _ in range(repeats)]
    return [list(samples) for samples in zip(*rounds, strict=True)]


def empty_project(folder: Path, runtime: Mapping[str, Any]) -> None:
    """Write a project with our project's runtime and a program that does nothing."""
    options = {**runtime["options"], "virtualenv": str(CHECKOUT / runtime["options"]["virtualenv"])}
    project = {"name": EMPTY, "runtime": {**runtime, "options": options}}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    (folder / "__main__.py").touch()


def report(
    name: str, places: Places, *, repeats: int = REPEATS, cold: bool = False, document: Path | None = None
) -> None:
    """Measure stack `name` on the embedded cluster, print one table, and write `document` (JSON) if it is given.

    `cold` removes the cluster and brings it up again first. Raises Fault if something cannot be measured.
    """
    if repeats < 1:
        raise Fault(f"bench: --repeats {repeats}; allowed: 1 and more; run: make bench")
    if document and not document.absolute().parent.is_dir():
        raise Fault(f"bench: --json {document}: there is no such folder; make it, then: make bench")
    load, cpus = os.getloadavg()[0], os.cpu_count() or 1
    figures = [*([_cold_up(name)] if cold else []), *_running(name, places, repeats), *_seeding(places)]
    _show(figures, noise(load, cpus))
    if document:
        content = {
            "measuredAt": datetime.now(UTC).isoformat(timespec="seconds"),
            "stack": name,
            "host": {"cpus": cpus, "loadAverage": load},
            "figures": [dataclasses.asdict(each) for each in figures],
        }
        document.write_text(json.dumps(content, indent=2) + "\n")


def _cold_up(name: str) -> Figure:
    with step("make down, then make up with the toolchain built", about_s=COLD_UP_S):
        _make("down", name)
        return against(Figure(name="cold cluster to answer", measured=_make("up", name), unit="s"), COLD_UP_S)


def _running(name: str, places: Places, repeats: int) -> list[Figure]:
    """The figures of a stack that is up."""
    _require_running(places)
    replicas = sum(model.replicas.min for model in stack.read(name).models.values())
    tools = toolchain.ensure_cli(places)
    engine = embedded(places, tools, str(cluster.network_block()))
    figures = [*_second_up(name, engine), *memory_figures(_resident_by_group(places), replicas)]
    kubectl = Kubectl(program=tools.kubectl, kubeconfig=str(places.kubeconfig), direct=str(cluster.network_block()))
    figures += _rollouts(name, engine, kubectl)
    title = f"{repeats + 1} previews of {name}, of {PROD} and of an empty program, in turns"
    with step(title, about_s=(repeats + 1) * 3), tempfile.TemporaryDirectory() as folder:
        backend = Path(folder) / "state"
        alone = throwaway(backend, places, tools, kubeconfig=os.devnull)
        on_aws = throwaway(backend, places, tools, kubeconfig=os.devnull, stand_ins=("aws",))
        local, prod, empty = _previews(name, engine, alone, on_aws, Path(folder), repeats)
    figures += [preview_figure(name, local, empty), preview_figure(PROD, prod, empty)]
    parts = {name: local, PROD: prod, "empty program": empty}
    return [*figures, *(preview_part(each, samples) for each, samples in parts.items())]


def _rollouts(name: str, engine: Pulumi, kubectl: Kubectl) -> list[Figure]:
    service = next(iter(stack.services(engine, name).values()))
    with step(f"rollouts of {bench_rollout.REPLICAS} replicas", about_s=bench_rollout.expected_s()):
        return rollout_figures(bench_rollout.measure(kubectl, *service))


def _seeding(places: Places) -> list[Figure]:
    with step(
        f"{SEEDING_REPEATS} downloads of 1 GiB by the seeder and by curl, in turns", about_s=SEEDING_REPEATS * 15
    ):
        return seeding_figures(bench_seeding.measure(places.state, repeats=SEEDING_REPEATS))


def _median_wall(samples: Iterable[Sample]) -> float:
    return statistics.median(each.wall_s for each in samples)


def _show(figures: Iterable[Figure], note: str) -> None:
    table = Table("figure", "measured", "allowed", "ratio", "", caption=note, caption_justify="left")
    for column in table.columns[1:4]:
        column.justify = "right"
    for figure in figures:
        over = figure.allowed is not None and figure.measured > figure.allowed
        table.add_row(*row(figure), style="red" if over else None)
    console.print(table)


def _require_running(places: Places) -> None:
    found = cluster.status(places)
    if found is None or not (found.api_ready and all(found.components.values())):
        raise Fault("bench: the embedded cluster does not run, or not all of it; start it with: make up")


def _make(target: str, name: str) -> float:
    """Run a make target as a user does; give its seconds. Fault with its last words if it fails."""
    # What this process's own make passes on would make it a part of that one.
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    started = time.monotonic()
    done = subprocess.run(
        ["make", target, f"STACK={name}", "CLUSTER=embedded"],
        cwd=CHECKOUT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Fault(f"bench: make {target} failed: {' | '.join(done.stdout.strip().splitlines()[-3:])}")
    return time.monotonic() - started


def _second_up(name: str, engine: Pulumi) -> list[Figure]:
    seconds, changed = _up_again(name, engine)
    if changed:
        # The program or the settings had changed since the last one: it was a first.
        console.print(f"{changed} resource(s) were brought up to date first; again")
        seconds, changed = _up_again(name, engine)
    return [
        against(Figure(name="second make up", measured=seconds, unit="s"), SECOND_UP_S),
        against(Figure(name="  resources it changed", measured=changed, unit="resources"), 0),
    ]


def _up_again(name: str, engine: Pulumi) -> tuple[float, int]:
    """Seconds of one more `make up`, and the number of resources that it changed."""
    before = datetime.now(UTC).replace(microsecond=0)
    with step("make up on the running stack", about_s=SECOND_UP_S):
        seconds = _make("up", name)
    newest = json.loads(engine.read("stack", "history", "--stack", name, "--json", "--page-size", "1"))
    if not newest or datetime.fromisoformat(newest[0]["startTime"]) < before:
        raise Fault(f"bench: make up left no update in the history of stack {name}; look at: pulumi stack history")
    return seconds, changed_resources(newest[0])


def _resident_by_group(places: Places) -> dict[str, int]:
    """Resident bytes of everything in the cluster's cgroups, by what it belongs to."""
    cgroups = Cgroups.of_host(places.name)
    left = cgroups.processes()
    resident = {}
    for label, names in groups(cluster.layout_of(places)).items():
        members = {pid for name in names for pid in cgroups.processes(name)}
        resident[label] = cluster.resident_bytes(members)
        left -= members
    return {**resident, **({"other": cluster.resident_bytes(left)} if left else {})}


def groups(layout: Layout) -> dict[str, tuple[str, ...]]:
    """The cgroups behind each label."""
    daemons = {f"daemons of {each.name}": (node.daemons(each),) for each in layout.nodes}
    return {
        "control plane, hub": (control_plane.GROUP,),
        **daemons,
        "pods": tuple(each.name for each in layout.nodes),
    }


def _previews(
    name: str, engine: Pulumi, alone: Pulumi, on_aws: Pulumi, folder: Path, repeats: int
) -> list[list[Sample]]:
    """Samples of previews of the stack, of prod and of an empty program: same CLI, language host and environment.

    Prod is previewed by `on_aws`, without an account, and the empty program by `alone`; what is needed is put into
    `folder`.
    """
    project = folder / "project"
    project.mkdir()
    empty_project(project, yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())["runtime"])
    alone.read("stack", "init", "--stack", EMPTY, "--no-select", folder=project)
    # A copy: Pulumi writes to the configuration file that it is given.
    (folder / "prod").mkdir()
    config, prod_config = shutil.copy(stack.file(name), folder), shutil.copy(stack.file(PROD), folder / "prod")
    on_aws.select(PROD, Path(prod_config))
    arguments = ("preview", "--non-interactive", "--suppress-progress", "--diff", "--stack")

    def of_stack() -> Sample:
        return _timed(lambda: engine.read(*arguments, name, "--config-file", str(config)))

    def of_prod() -> Sample:
        return _timed(lambda: on_aws.read(*arguments, PROD, "--config-file", str(prod_config)))

    def of_nothing() -> Sample:
        return _timed(lambda: alone.read(*arguments, EMPTY, folder=project))

    run = [of_stack, of_prod, of_nothing]
    alternate(run, 1)  # fills the host's file cache; not counted
    return alternate(run, repeats)


def _timed(run: Callable[[], object]) -> Sample:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run()
    wall_s, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Sample(wall_s=wall_s, cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
