from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from rehearsal import bench, bench_figures
from rehearsal.bench_figures import Figure, Sample
from rehearsal.cluster.layout import Folders, Layout, Network, NodeSpec
from rehearsal.fault import Fault
from rehearsal.places import CHECKOUT, Places
from rehearsal.pulumi_cli import Pulumi


def samples(*walls: float, cpu: float = 1.0) -> list[Sample]:
    return [Sample(wall_s=wall, cpu_s=cpu) for wall in walls]


def test_a_figure_s_ratio_is_its_share_of_what_is_allowed() -> None:
    measured = bench_figures.against(Figure(name="second make up", measured=7.5, unit="s"), 30)
    assert (measured.allowed, measured.ratio) == (30, 0.25)


def test_there_is_no_ratio_to_an_allowance_of_nothing() -> None:
    measured = bench_figures.against(Figure(name="resources it changed", measured=2, unit="resources"), 0)
    assert (measured.allowed, measured.ratio) == (0, None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"same": 14}, 0),
        ({"same": 12, "update": 2}, 2),
        ({"create": 1, "delete": 2, "replace": 3, "read": 4}, 6),
        ({}, 0),
    ],
)
def test_every_resource_that_pulumi_did_not_leave_as_it_was_counts_as_changed(
    changes: dict[str, int], expected: int
) -> None:
    assert bench.changed_resources({"kind": "update", "resourceChanges": changes}) == expected


def test_the_preview_is_compared_by_medians_so_that_one_slow_run_does_not_count() -> None:
    figure = bench_figures.preview_figure("prod", samples(4.0, 20.0, 3.9, 4.1, 4.0), samples(2.0, 1.9, 2.1, 30.0, 2.0))
    assert (figure.name, figure.measured) == ("preview of prod over an empty program's", 2.0)
    assert figure.ratio == pytest.approx(2.0 / 2.5)


def test_the_preview_s_cpu_time_is_compared_beside_its_time() -> None:
    figure = bench_figures.preview_figure("local", samples(4.0, cpu=3.0), samples(2.0, cpu=1.2))
    assert figure.note == "in CPU time 2.50 x"


def test_a_program_s_previews_are_kept_and_their_spread_is_named() -> None:
    part = bench_figures.preview_part("local", samples(3.0, 9.0, 4.0))
    assert (part.measured, part.samples, part.allowed) == (4.0, (3.0, 9.0, 4.0), None)
    assert part.note == "median of 3, 3.0 to 9.0 s"


def test_measurements_take_turns() -> None:
    order: list[str] = []

    def measurement(name: str, wall: float) -> Sample:
        order.append(name)
        return Sample(wall_s=wall, cpu_s=0)

    local, empty = bench.alternate([lambda: measurement("local", 4.0), lambda: measurement("empty", 2.0)], 3)
    assert order == ["local", "empty"] * 3
    assert [each.wall_s for each in local] == [4.0] * 3
    assert [each.wall_s for each in empty] == [2.0] * 3


def test_the_memory_of_all_groups_is_held_against_3_gib() -> None:
    total, *parts = bench_figures.memory_figures({"control plane, hub": 512 << 20, "pods": 1 << 30}, 1)
    assert (total.name, total.measured, total.allowed, total.ratio) == ("memory, cluster and 1 replica", 1.5, 3, 0.5)
    assert [part.name.strip() for part in parts] == ["control plane, hub", "pods"]
    assert [part.ratio for part in parts] == pytest.approx([1 / 6, 1 / 3])


def test_every_cgroup_of_the_cluster_is_in_one_group_of_the_table() -> None:
    layout = Layout(
        name="bench",
        network=Network(block=IPv4Network("10.77.0.0/16")),
        folders=Folders(root=Path("cluster")),
        nodes=(NodeSpec(name="system"), NodeSpec(name="l4-0", index=1)),
    )
    assert bench.groups(layout) == {
        "control plane, hub": ("control",),
        "daemons of system": ("system.daemons",),
        "daemons of l4-0": ("l4-0.daemons",),
        "pods": ("system", "l4-0"),
    }


def test_a_row_shows_the_figure_its_allowance_and_its_ratio() -> None:
    figure = bench_figures.against(Figure(name="second make up", measured=7.512, unit="s", note="quick"), 30)
    assert bench_figures.row(figure) == ("second make up", "7.51 s", "30 s", "0.25", "quick")


def test_a_row_of_counted_things_has_no_decimals_and_no_ratio_to_nothing() -> None:
    figure = bench_figures.against(Figure(name="  resources it changed", measured=0, unit="resources"), 0)
    assert bench_figures.row(figure) == ("  resources it changed", "0 resources", "0 resources", "", "")


def test_a_busy_host_is_named_as_a_reason_for_longer_times() -> None:
    assert "other work is under way" in bench.noise(1.5, 2)
    assert "other work is under way" not in bench.noise(0.5, 2)


def test_the_empty_program_runs_in_the_environment_of_ours(tmp_path: Path) -> None:
    runtime = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())["runtime"]
    bench.empty_project(tmp_path, runtime)
    project = yaml.safe_load((tmp_path / "Pulumi.yaml").read_text())
    assert project["runtime"]["name"] == runtime["name"]
    assert project["runtime"]["options"] == {**runtime["options"], "virtualenv": str(CHECKOUT / ".venv")}
    assert (tmp_path / "__main__.py").read_text() == ""


def test_a_bench_without_a_cluster_says_how_to_get_one(tmp_path: Path) -> None:
    places = Places(cache=tmp_path / "cache", state=tmp_path / "state")
    with pytest.raises(Fault, match=r"does not run.*make up"):
        bench.report("local", places, repeats=1)


def test_a_file_that_could_not_be_written_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    places = Places(cache=tmp_path / "cache", state=tmp_path / "state")
    with pytest.raises(Fault, match=r"--json .*no such folder"):
        bench.report("local", places, repeats=1, document=tmp_path / "missing" / "bench.json")


def test_a_median_of_nothing_is_refused(tmp_path: Path) -> None:
    places = Places(cache=tmp_path / "cache", state=tmp_path / "state")
    with pytest.raises(Fault, match="--repeats 0; allowed: 1 and more"):
        bench.report("local", places, repeats=0)


def test_a_make_up_that_had_something_to_change_is_a_first_and_the_next_one_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = iter([(50.0, 3), (9.0, 0)])
    monkeypatch.setattr(bench, "_up_again", lambda *_: next(runs))
    engine = Pulumi(cli=Path("pulumi"), environment={}, keeps_stacks=False)
    assert [figure.measured for figure in bench._second_up("local", engine)] == [9.0, 0]


def test_local_prod_and_the_empty_program_are_previewed_in_turns_and_prod_with_a_file_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[tuple[str, str]] = []

    class Engine(Pulumi):
        def read(self, *arguments: str, folder: Path = CHECKOUT) -> str:
            if arguments[0] == "preview":
                ran.append((self.cli.name, arguments[arguments.index("--stack") + 1]))
            return "[]"

    local, alone, on_aws = (
        Engine(cli=Path(name), environment={}, keeps_stacks=False) for name in ("local", "alone", "on-aws")
    )
    taken = bench._previews("local", local, alone, on_aws, tmp_path, 2)
    assert ran == [("local", "local"), ("on-aws", "prod"), ("alone", "empty")] * 3
    assert [len(each) for each in taken] == [2, 2, 2]
    assert (tmp_path / "prod/Pulumi.prod.yaml").read_text() == (CHECKOUT / "Pulumi.prod.yaml").read_text()
