"""The images that users build: pinned bases, hashed packages, no token anywhere, weights only where asked for."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.engines import vllm
from rehearsal.hub import model
from rehearsal.places import CHECKOUT
from tests.hub import hubs
from tests.hub.hubs import RunningHub

IMAGES = CHECKOUT / "images"
FILES = sorted(IMAGES.glob("*/Dockerfile"))
NAMES = [file.parent.name for file in FILES]
UNPINNED = re.compile(r"^ARG BASE=(?!\S+:[\w.-]+@sha256:[0-9a-f]{64}$)|^FROM (?!\$\{BASE\})|:latest", re.MULTILINE)
KEPT_SECRET = re.compile(r"^\s*(ARG|ENV)\b.*(TOKEN|SECRET|PASSWORD|API_?KEY)", re.MULTILINE | re.IGNORECASE)


def mistakes(dockerfile: str) -> list[str]:
    """What is wrong with a Dockerfile of ours, by name."""
    instructions = [line for line in dockerfile.splitlines() if not line.startswith("#")]
    text = "\n".join(instructions).replace("\\\n", " ")
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    wrong = {
        "a base without tag and digest": UNPINNED.search(text),
        "a secret that the image's history keeps": KEPT_SECRET.search(text),
        "root": users[-1:] != ["65532:65532"],
        "a shell before the program": not re.search(r'^ENTRYPOINT \["', text, re.MULTILINE),
        "packages without hashes": re.search(r"pip (install|download)(?!.*(--require-hashes|--no-index))", text),
        "no labels of the OCI": "org.opencontainers.image.title=" not in text,
    }
    return [name for name, found in wrong.items() if found]


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_a_dockerfile_has_no_mistake(file: Path) -> None:
    assert mistakes(file.read_text()) == []


@pytest.mark.parametrize(
    ("pattern", "instead", "mistake"),
    [
        (r"@sha256:[0-9a-f]{64}", "", "a base without tag and digest"),
        (r"FROM \$\{BASE\}", "FROM debian:12", "a base without tag and digest"),
        (r"ARG REVISION=.*", 'ARG HF_TOKEN=""', "a secret that the image's history keeps"),
        (r"ENV HOME=/tmp", "ENV HF_TOKEN=x HOME=/tmp", "a secret that the image's history keeps"),
        (r"USER 65532:65532", "", "root"),
        (r"ENTRYPOINT .*", "ENTRYPOINT vllm serve", "a shell before the program"),
        (r"--require-hashes", "", "packages without hashes"),
        (r"org.opencontainers.image.title", "title", "no labels of the OCI"),
    ],
)
@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_a_dockerfile_that_is_spoilt_has_it(file: Path, pattern: str, instead: str, mistake: str) -> None:
    spoilt, count = re.subn(pattern, instead, file.read_text())
    assert count
    assert mistake in mistakes(spoilt)


def test_the_base_is_the_image_that_the_engine_has_by_default() -> None:
    assert f"\nARG BASE={vllm.IMAGE}\n" in (IMAGES / "vllm/Dockerfile").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_package_has_a_version_and_hashes(name: str) -> None:
    lines = (IMAGES / name / "requirements.txt").read_text().replace("\\\n", " ").splitlines()
    assert lines
    # Once a package, as boto3 of its extra: each with a hash at least.
    assert [line for line in lines if not re.match(r"^[\w.-]+(\[\w+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub with the small model."""
    with hubs.running(tmp_path_factory.mktemp("hub")) as started:
        yield started


@pytest.fixture
def bake() -> Callable[..., Any]:
    """What the build of images/vllm does for its argument WEIGHTS."""
    loaded: Callable[..., Any] = runpy.run_path(str(IMAGES / "vllm/bake.py"))["bake"]
    return loaded


def test_without_weights_nothing_is_baked_in(bake: Callable[..., Any], tmp_path: Path) -> None:
    bake("", tmp_path / "weights")
    assert list((tmp_path / "weights").iterdir()) == []


@pytest.mark.parametrize("weights", ["hf://acme/chat", "hf://acme/chat@main", "acme/chat@" + "0" * 40, "hf://a/b@0"])
def test_weights_without_a_commit_are_refused_in_one_line(
    bake: Callable[..., Any], weights: str, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=rf"^WEIGHTS: {re.escape(weights)}; allowed: hf://<owner>/<name>@<commit"):
        bake(weights, tmp_path / "weights")


def test_a_revision_is_baked_in_whole(hub: RunningHub, tmp_path: Path) -> None:
    weights = f"hf://{model.REPOSITORY}@{model.commit()}"
    done = subprocess.run(
        [sys.executable, IMAGES / "vllm/bake.py", weights, tmp_path / "weights"],
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    baked = {name: (tmp_path / "weights" / name).read_bytes() for name, _ in model.files()}
    assert baked == dict(model.files())
