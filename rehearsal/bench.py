"""Speed and size of the running stack, each figure as a ratio to what it is allowed: a measurement, not a test."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from components.scaling_target import target_of
from rehearsal import bench_rollout, bench_scaling, bench_seeding, cluster, stack, toolchain
from rehearsal.bench_figures import (
    Figure,
    Sample,
    against,
    memory_figures,
    preview_figure,
    preview_part,
    rollout_figures,
    row,
    scaling_figures,
    seeding_figures,
)
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
SEEDING_REPEATS = 3
CLAIMS_S = 2.0
PROD = "prod"
"""The stack on AWS that is previewed without an account, whatever runs."""
EMPTY = "empty"
"""The project and the stack whose program does nothing."""

UNCHANGED = frozenset({"same", "read"})
"""Pulumi's operations that leave a resource as it is."""


def changed_resources(update: Mapping[str, Any]) -> int:
    """How many resources one entry of `pulumi stack history --json` created, updated, replaced or deleted."""
    return sum(count for operation, count in update["resourceChanges"].items() if operation not in UNCHANGED)


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


def report(name: str, places: Places, *, repeats: int, cold: bool = False, document: Path | None = None) -> None:
    """Measure stack `name` on the embedded cluster, print one table, and write `document` (JSON) if it is given.

    `cold` removes the cluster and brings it up again first. Raises Fault if something cannot be measured.
    """
    if repeats < 1:
        raise Fault(f"bench: --repeats {repeats}; allowed: 1 and more; run: make bench")
    if document and not document.absolute().parent.is_dir():
        raise Fault(f"bench: --json {document}: there is no such folder; make it, then: make bench")
    load, cpus = os.getloadavg()[0], os.cpu_count() or 1
    figures = [
        *([_cold_up(name)] if cold else []),
        *_running(name, places, repeats),
        _claims(repeats),
        *_seeding(places),
    ]
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
    figures += _scaling(name, engine, kubectl)
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


def _scaling(name: str, engine: Pulumi, kubectl: Kubectl) -> list[Figure]:
    """Of the first model that is scaled; nothing of a stack that has none, which is said."""
    settings = stack.read(name)
    scaled = next((key for key, model in settings.models.items() if model.scaling), None)
    if scaled is None or settings.monitoring is None:
        console.print(f"scaling is not measured: stack {name} has no inference:autoscaling")
        return []
    namespace, service = stack.services(engine, name)[scaled]
    target, scrape_s = target_of(settings.models[scaled]), settings.monitoring.scrape_seconds
    with step("a load step by two triggers, one after the other", about_s=bench_scaling.expected_s()):
        return scaling_figures(bench_scaling.measure(kubectl, namespace, service, target=target, scrape_s=scrape_s))


def _seeding(places: Places) -> list[Figure]:
    with step(
        f"{SEEDING_REPEATS} downloads of 1 GiB by the seeder and by curl, in turns", about_s=SEEDING_REPEATS * 15
    ):
        return seeding_figures(bench_seeding.measure(places.state, repeats=SEEDING_REPEATS))


def _claims(repeats: int) -> Figure:
    """What the claims on prod take, which nobody has to run an engine for."""
    command = [sys.executable, "-m", "claims", "--stack", PROD]
    samples = [
        _timed(lambda: subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=True)) for _ in range(repeats)
    ]
    figure = dataclasses.replace(preview_part(PROD, samples), name=f"make claims STACK={PROD}")
    return against(figure, CLAIMS_S)


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
