"""The toolchain: pins that say all, installed tools that are taken or not, builds that leave nothing half-done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rehearsal import toolchain
from rehearsal.fault import Fault
from rehearsal.places import Places
from rehearsal.toolchain import golang, pins, version_of
from rehearsal.toolchain.golang import GoProgram


def test_every_go_program_is_pinned_with_checksums() -> None:
    for program in pins().go:
        assert (program.module / "go.sum").stat().st_size > 0
        text = (program.module / "go.mod").read_text()
        assert program.version in text, program.name


def test_pulumi_and_its_python_sdk_have_the_same_version() -> None:
    pyproject = (golang.FOLDER.parent.parent / "pyproject.toml").read_text()
    assert f'"pulumi=={pins().program("pulumi").version.removeprefix("v")}"' in pyproject


@pytest.mark.parametrize(
    ("text", "version"),
    [("v3.259.0", (3, 259, 0)), ("Client Version: v1.35.4-eks\nKustomize Version: v5.5.0", (1, 35, 4)), ("none", None)],
)
def test_the_first_version_in_a_text_counts(text: str, version: tuple[int, int, int] | None) -> None:
    assert version_of(text) == version


def executable(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("said", "taken"),
    [("v3.259.0", True), ("v3.300.1", True), ("v3.258.9", False), ("v4.0.0", False), ("broken", False)],
)
def test_an_installed_pulumi_is_taken_if_its_version_suffices(
    said: str, *, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "bin", "pulumi", f"echo {said}")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    found = toolchain._installed("pulumi", ["version"], "v3.259.0")
    assert (found == tmp_path / "bin" / "pulumi") is taken


def test_a_shim_without_a_program_behind_it_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "bin", "kubectl", "echo no version set >&2; exit 126")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    assert toolchain._installed_kubectl("v1.35.4") is None


@pytest.mark.parametrize(
    ("said", "taken"), [("v1.34.9", True), ("v1.36.0", True), ("v1.33.0", False), ("v1.37.0", False)]
)
def test_an_installed_kubectl_is_taken_within_one_minor_version(
    said: str, *, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "bin", "kubectl", f"echo Client Version: {said}")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    assert (toolchain._installed_kubectl("v1.35.4") is not None) is taken


def test_a_go_program_is_built_once_and_again_when_its_pins_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golang, "FOLDER", tmp_path)
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello/go.mod").write_text("module example.test/hello\n\ngo 1.26\n")
    (tmp_path / "hello/main.go").write_text('package main\n\nvar V = "unset"\n\nfunc main() { println(V) }\n')
    program = GoProgram(name="hello", version="v1", folder="hello", packages=(".",), stamps=("main.V=v1",), seconds=1)
    assert golang.build(program, tmp_path / "bin")
    assert not golang.build(program, tmp_path / "bin")
    (tmp_path / "hello/main.go").write_text('package main\n\nvar V = "unset"\n\nfunc main() { println("new", V) }\n')
    assert golang.build(program, tmp_path / "bin")


def test_headers_that_a_module_has_not_come_from_the_folders_that_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golang, "FOLDER", tmp_path)
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello/go.mod").write_text("module example.test/hello\n\ngo 1.26\n")
    (tmp_path / "hello/main.go").write_text(
        'package main\n\n// #include "vendor.h"\nimport "C"\n\nfunc main() { println(C.FOUND) }\n'
    )
    (tmp_path / "headers").mkdir()
    (tmp_path / "headers/vendor.h").write_text("#define FOUND 17\n")
    program = GoProgram(name="hello", version="v1", folder="hello", packages=(".",), cgo=True, seconds=1)
    with pytest.raises(Fault, match=r"vendor\.h"):
        golang.build(program, tmp_path / "bin")
    assert golang.build(program, tmp_path / "bin", headers=(tmp_path / "headers",))


def test_a_build_that_fails_leaves_nothing_that_looks_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golang, "FOLDER", tmp_path)
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello/go.mod").write_text("module example.test/hello\n\ngo 1.26\n")
    (tmp_path / "hello/main.go").write_text("package main\n\nfunc main() { mistake }\n")
    program = GoProgram(name="hello", version="v1", folder="hello", packages=(".",), seconds=1)
    with pytest.raises(Fault, match=r"go build .*undefined: mistake.*running again continues"):
        golang.build(program, tmp_path / "bin")
    assert not (tmp_path / "bin/hello").exists()
    assert not (tmp_path / "bin/.stamps/hello").exists()


def test_without_go_there_is_one_line_with_the_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Fault, match=r"^go: not on PATH; install Go 1.26 or later, or use CLUSTER=existing make up$"):
        golang.require_go()


@pytest.mark.parametrize("name", ["x", "Upper", "-a", "a-", "a" * 15, "a_b"])
def test_a_name_that_cannot_name_interfaces_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REHEARSAL_NAME", name)
    with pytest.raises(Fault, match="REHEARSAL_NAME"):
        Places.of_user()


def test_a_program_has_its_manifests_beside_it_and_both_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golang, "FOLDER", tmp_path)
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello/go.mod").write_text("module example.test/hello\n\ngo 1.26\n")
    (tmp_path / "hello/main.go").write_text("package main\n\nfunc main() {}\n")
    (tmp_path / "module/config").mkdir(parents=True)
    (tmp_path / "module/config/crd.yaml").write_text("kind: CustomResourceDefinition\n")
    (tmp_path / "module/config/crd.yaml").chmod(0o444)  # as Go keeps modules
    monkeypatch.setattr(golang, "source", lambda _folder, module: tmp_path / module)
    given = golang.Manifests(module="module", folder="config")
    program = GoProgram(name="hello", version="v1", folder="hello", packages=(".",), manifests=given, seconds=1)
    assert golang.build(program, tmp_path / "bin")
    copied = golang.manifests("hello", tmp_path / "bin") / "crd.yaml"
    assert copied.read_text() == "kind: CustomResourceDefinition\n"
    assert not golang.build(program, tmp_path / "bin")
    shutil.rmtree(copied.parent)
    assert golang.build(program, tmp_path / "bin")
    assert copied.stat().st_mode & 0o200
