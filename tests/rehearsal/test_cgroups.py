"""Control groups of either version, on copies of what the kernel shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rehearsal.cluster.cgroups import Cgroups
from rehearsal.fault import Fault


def v1(mount: Path, *controllers: str) -> Path:
    for name in controllers:
        (mount / name).mkdir()
        (mount / name / "cgroup.procs").touch()
        if name == "cpuset":
            (mount / name / "cpuset.cpus").write_text("0-1\n")
            (mount / name / "cpuset.mems").write_text("0\n")
    return mount


def test_v1_gives_every_hierarchy_a_group_and_the_daemons_two(tmp_path: Path) -> None:
    groups = Cgroups.of_host("mine", v1(tmp_path, "cpu", "cpuset", "memory", "pids", "systemd"))
    assert groups.make("l4-0") == "/mine/l4-0"
    assert all((tmp_path / name / "mine/l4-0").is_dir() for name in ("cpu", "cpuset", "memory", "pids", "systemd"))
    joined = groups.join_script("l4-0")
    assert f"echo $$ > {tmp_path}/pids/mine/l4-0/cgroup.procs" in joined
    assert "/cpu/" not in joined


def test_v1_joint_controllers_count_by_their_parts(tmp_path: Path) -> None:
    v1(tmp_path, "cpu,cpuacct", "cpuset", "memory", "pids")
    (tmp_path / "cpu").symlink_to("cpu,cpuacct")
    assert len(Cgroups.of_host("mine", tmp_path).hierarchies) == 4


def test_v2_is_one_hierarchy_whose_controllers_are_switched_on(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for folder in (tmp_path, tmp_path / "mine"):
        (folder / "cgroup.controllers").write_text("cpuset cpu io memory pids rdma\n")
        (folder / "cgroup.subtree_control").touch()
    groups = Cgroups.of_host("mine", tmp_path)
    assert groups.unified
    groups.make("l4-0")
    # The kernel takes one controller after the other; a plain file keeps the last.
    assert all((folder / "cgroup.subtree_control").read_text() == "+pids" for folder in (tmp_path, tmp_path / "mine"))
    assert groups.join_script("l4-0") == f"echo $$ > {tmp_path}/mine/l4-0/cgroup.procs && "


@pytest.mark.parametrize("missing", ["cpu", "memory", "pids", "cpuset"])
def test_a_missing_controller_is_named_with_the_alternative(missing: str, tmp_path: Path) -> None:
    v1(tmp_path, *({"cpu", "memory", "pids", "cpuset"} - {missing}))
    with pytest.raises(Fault, match=rf"missing: {missing};.*CLUSTER=existing"):
        Cgroups.of_host("mine", tmp_path)


def test_processes_are_found_at_any_depth_and_the_dead_are_not_counted(tmp_path: Path) -> None:
    groups = Cgroups.of_host("mine", v1(tmp_path, "cpu", "cpuset", "memory", "pids"))
    groups.make("l4-0")
    deep = tmp_path / "pids/mine/l4-0/kubepods/pod1"
    deep.mkdir(parents=True)
    (deep / "cgroup.procs").write_text(f"{os.getpid()}\n999999999\n")
    assert groups.processes() == {os.getpid()}
    assert groups.processes("l4-0") == {os.getpid()}
