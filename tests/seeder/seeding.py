"""The seeder as a process of its own, on the small model of a hub."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from rehearsal.hub import model
from tests.hub.hubs import RunningHub

PACKAGE = Path("images/weight-seeder").resolve()
SOURCE = f"hf://{model.REPOSITORY}@{model.commit()}"
FOLDER = f"rehearsal--tiny-llama/{model.commit()[:12]}-01234567"
SHARD = "model-00002-of-00002.safetensors"
CONTENTS = dict(model.files())

HOPELESS = 2
"""The exit code on which the Job that seeds does not try again."""


def arguments(volume: Path, *flags: str, source: str = SOURCE, folder: str = FOLDER) -> list[str]:
    """A seeder that tries again soon, and serves no metrics."""
    quick = ("--retry-seconds=0.02", "--metrics-port=0")
    return ["seed", f"--source={source}", f"--volume={volume}", f"--folder={folder}", *quick, *flags]


def environment(**more: str) -> dict[str, str]:
    """As in the pod: no home to write to, and nothing of this process's settings for the hub."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(PACKAGE), **more}


def start(
    hub: RunningHub, volume: Path, *flags: str, source: str = SOURCE, folder: str = FOLDER
) -> subprocess.Popen[str]:
    return run(*arguments(volume, *flags, source=source, folder=folder), HF_ENDPOINT=hub.url)


def run(*command: str, **more: str) -> subprocess.Popen[str]:
    """Any command of the seeder."""
    return subprocess.Popen(
        [sys.executable, "-m", "weight_seeder", *command],
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def seed(
    hub: RunningHub, volume: Path, *flags: str, source: str = SOURCE, folder: str = FOLDER
) -> tuple[int, str, str]:
    """Run the seeder to its end; returns exit code, output and errors."""
    process = start(hub, volume, *flags, source=source, folder=folder)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def lets_start(source: str, volume: Path, folder: str, *flags: str) -> bool:
    """Whether a replica's check, which is the same for every source, lets the engine start on what is published."""
    process = run("check", f"--source={source}", f"--volume={volume}", f"--folder={folder}", *flags)
    process.communicate(timeout=60)
    return process.returncode == 0


def published(volume: Path) -> Path:
    return volume / FOLDER


def work(volume: Path) -> Path:
    return volume / ".incoming" / FOLDER.replace("/", "--")


def lock(volume: Path) -> Path:
    return volume / ".incoming" / f"{FOLDER.replace('/', '--')}.lock"


def assert_seeded(volume: Path) -> None:
    """Every file is what the hub has, and the manifest lists just these."""
    folder = published(volume)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    manifest = json.loads(files.pop(".seeded.json"))

    assert files == CONTENTS
    assert {file["path"]: (file["size"], file["sha256"]) for file in manifest["files"]} == {
        name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in CONTENTS.items()
    }
    assert (manifest["format"], manifest["source"], manifest["revision"]) == (1, SOURCE, model.commit())
    assert manifest["selection"] == {"include": [], "exclude": []}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", manifest["seededAt"])
    assert not work(volume).exists()
