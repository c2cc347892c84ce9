"""What goes where in an image, on unpacked packages that are made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.fault import Fault
from rehearsal.images import contents


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Unpacked packages, some with files under / and some under /usr only."""
    folder = tmp_path / "packages"
    for name in (
        "lib/x86_64-linux-gnu/libc.so.6",
        "usr/lib64/ld-linux-x86-64.so.2",
        "usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
        "usr/share/doc/libc6/changelog.gz",
        "installed.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "usr/lib/libz.so").symlink_to("libz.so.1")
    return folder


def test_a_base_has_the_loader_where_the_kernel_looks_for_it_and_no_documentation(
    packages: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    contents.fill_base(root, packages)
    assert (root / "lib64/ld-linux-x86-64.so.2").read_text() == "usr/lib64/ld-linux-x86-64.so.2"
    assert (root / "lib64").readlink() == Path("usr/lib64")
    assert (root / "lib/x86_64-linux-gnu/libc.so.6").is_file()
    assert (root / "usr/lib/libz.so").readlink() == Path("libz.so.1")
    for left_out in ("usr/share", "usr/lib/x86_64-linux-gnu/gconv", "installed.json"):
        assert not (root / left_out).exists()
    assert "nonroot:x:65532:65532:" in (root / "etc/passwd").read_text()


def test_a_base_leaves_the_unpacked_packages_as_they_are(packages: Path, tmp_path: Path) -> None:
    before = sorted(packages.rglob("*"))
    (tmp_path / "root").mkdir()
    contents.fill_base(tmp_path / "root", packages)
    assert sorted(packages.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["python3.11-minimal", "libpython3.13-stdlib", "libssl3", "libssl3t64", "libffi8", "libc6"]
)
def test_what_python_imports_is_taken_from_its_dependencies(name: str) -> None:
    assert contents._WANTED.fullmatch(name)


@pytest.mark.parametrize("name", ["dpkg", "perl-base", "libpython3-stdlib", "libreadline8", "libssl3-dev", "libc6-dev"])
def test_what_only_package_scripts_and_terminals_need_is_left_out(name: str) -> None:
    assert not contents._WANTED.fullmatch(name)


@pytest.mark.parametrize(("group", "package"), [("simulator", "starlette"), ("seeder", "huggingface-hub")])
def test_an_image_gets_its_own_dependency_group_with_hashes(group: str, package: str) -> None:
    pinned = contents.requirements(group)
    assert f"\n{package}==" in f"\n{pinned}"
    assert "--hash=sha256:" in pinned
    assert "pulumi" not in pinned


def test_a_machine_without_uv_is_told_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Fault, match="uv: not on PATH; install it"):
        contents.uv()
