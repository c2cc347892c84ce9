"""The real engine in the simulator's place: what the stack is then, and what its nodes show to their containers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rehearsal import cli, images, stack, vllm
from rehearsal.cluster import node
from rehearsal.cluster.layout import NodeSpec
from rehearsal.fault import Fault
from rehearsal.places import Places
from rehearsal.toolchain import python
from rehearsal.vllm.overlay import overlay


def test_the_simulator_is_replaced_and_the_rest_of_the_model_stays() -> None:
    simulated, real = stack.read("local").models["chat"], stack.read("local", overlay).models["chat"]

    assert real.image == images.VLLM_CPU
    assert (real.dtype, real.engine_args) == (vllm.DTYPE, (*simulated.engine_args, *vllm.ARGUMENTS))
    assert real.env == dict(vllm.ENVIRONMENT)
    assert (real.source, real.context_length, real.weights) == (
        *(simulated.source, simulated.context_length, simulated.weights),
    )


def test_another_image_is_left_alone() -> None:
    models = {"inference:models": {"chat": {"image": "registry.example.com/vllm:1", "env": {"SIMULATOR_STEP_MS": 1}}}}

    assert overlay(models) == models


def test_the_settings_as_written_are_not_changed() -> None:
    written = stack.configuration("local")
    before = json.dumps(written)

    overlay(written)

    assert json.dumps(written) == before


def test_an_unknown_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "sglang")
    with pytest.raises(Fault, match=r"^ENGINE: 'sglang'; allowed: simulator \(the default\), vllm; run: "):
        cli.engine_choice()


def test_the_users_own_cluster_has_no_engine_of_the_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "vllm")
    monkeypatch.setenv("CLUSTER", "existing")
    with pytest.raises(Fault, match="ENGINE: vllm is for the embedded cluster"):
        cli.engine_choice()


def test_the_image_is_named_after_the_version_that_is_pinned() -> None:
    assert f"docker.io/local/vllm-cpu:{vllm.version()}" == images.VLLM_CPU


def test_containerd_begins_with_a_specification_of_its_own_only_where_an_engine_is_mounted(tmp_path: Path) -> None:
    places = Places(cache=tmp_path, state=tmp_path)

    without = node._containerd(tmp_path, NodeSpec(name="l4-0"), places)
    mounted = node._containerd(tmp_path, NodeSpec(name="l4-0", engine=tmp_path), places)

    assert "base_runtime_spec" not in without
    assert f'base_runtime_spec = "{tmp_path}/{node.RUNTIME_SPEC}"' in mounted


def test_packages_that_lie_there_already_are_not_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[object, ...]] = []
    monkeypatch.setattr(shutil, "which", lambda _: "uv")

    def install(*command: object, **_: object) -> str:
        commands.append(command)
        (tmp_path / ".there.installing").mkdir()
        return ""

    monkeypatch.setattr(python, "run", install)
    (tmp_path / "list.txt").write_text("one==1")
    for pinned, installed in (("one==1", True), ("one==1", False), ("one==2", True)):
        (tmp_path / "list.txt").write_text(pinned)
        metadata = {"vllm": "1+cpu"}
        assert python.install(tmp_path / "list.txt", tmp_path / "there", title="", about_s=1, metadata=metadata) is (
            installed
        )

    assert "Version: 1+cpu" in (tmp_path / "there/vllm-1+cpu.dist-info/METADATA").read_text()
    assert len(commands) == 2
