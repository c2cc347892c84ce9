"""What a replica's check refuses: each way in which a folder can be less than what was asked for."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from weight_seeder.cli import main

from tests.seeder.seeding import environment

SOURCE = "s3://bucket/model"
FOLDER = "bucket--model/unpinned-01234567"
FILES = {"config.json": b"{}", "sub/model.safetensors": b"weights" * 1000}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A published folder that is whole."""
    folder = tmp_path / FOLDER
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    write(folder)
    return folder


def write(folder: Path, **changes: Any) -> None:
    content = {
        "format": 1,
        "source": SOURCE,
        "revision": "",
        "selection": {"include": ["*.json", "sub/*"], "exclude": []},
        "files": [
            {"path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in FILES.items()
        ],
        "seededAt": "2026-01-01T00:00:00Z",
    }
    (folder / ".seeded.json").write_text(json.dumps(content | changes))


def check(folder: Path, *flags: str) -> int:
    asked = (f"--source={SOURCE}", "--include=sub/*", "--include=*.json")
    return main(["check", *asked, f"--volume={folder.parent.parent}", f"--folder={FOLDER}", *flags])


def test_a_whole_folder_passes_and_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(folder) == 0
    assert check(folder, "--checksums") == 0
    assert capsys.readouterr().out.splitlines()[0] == f"weight-seeder: {SOURCE} is in place in {folder}"


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def _link(folder: Path) -> None:
    (folder / "config.json").rename(folder.parent / "elsewhere")
    (folder / "config.json").symlink_to(folder.parent / "elsewhere")


def _not_json(folder: Path) -> None:
    (folder / ".seeded.json").write_text('{"format": 1')


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (_remove, "it is not there"),
        (lambda folder: (folder / ".seeded.json").unlink(), "it has no valid .seeded.json"),
        (_not_json, "it has no valid .seeded.json"),
        (lambda folder: write(folder, format=2), "it has no valid .seeded.json"),
        (lambda folder: write(folder, files=[{"path": "config.json"}]), "it has no valid .seeded.json"),
        (lambda folder: write(folder, source="s3://bucket/other"), "it holds s3://bucket/other"),
        (lambda folder: write(folder, selection={"include": [], "exclude": []}), "it holds another selection of files"),
        (lambda folder: write(folder, files=[]), "its .seeded.json lists no files"),
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        (_link, "config.json is missing"),
        (
            lambda folder: os.truncate(folder / "sub/model.safetensors", 10),
            "sub/model.safetensors has 10 bytes instead of 7000",
        ),
    ],
)
def test_anything_less_is_refused_in_one_line_that_names_it(
    folder: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], line: str
) -> None:
    damage(folder)

    assert check(folder) == 1

    expected = f"weight-seeder: error: {folder} is not what was asked for: {line}: seed it again\n"
    assert capsys.readouterr().err == expected


def test_a_flipped_bit_passes_the_cheap_check_and_not_the_deep_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "config.json").write_bytes(b"[]")

    assert check(folder) == 0
    assert check(folder, "--checksums") == 1
    assert "config.json has the sha256" in capsys.readouterr().err


def test_other_files_in_the_folder_are_nobodys_business(folder: Path) -> None:
    (folder / "model.safetensors.lock").touch()
    assert check(folder, "--checksums") == 0


def test_a_check_loads_no_client_of_a_source_and_writes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.parent.parent.rglob("*")}
    code = (
        "import sys; from weight_seeder.cli import main\n"
        f"assert main(['check', '--source={SOURCE}', '--include=sub/*', '--include=*.json',"
        f" '--volume={folder.parent.parent}', '--folder={FOLDER}']) == 0\n"
        "assert not {'huggingface_hub', 'httpx2', 'boto3', 'awscrt'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)
    assert {path: path.stat().st_mtime_ns for path in folder.parent.parent.rglob("*")} == before
