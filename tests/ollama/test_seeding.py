"""The seeding script around the real `ollama pull`: whole or not there, whatever is killed, damaged or not the same."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.figures import FIGURES
from tests.ollama.conftest import MANIFEST, NAME, TAG, Pushed
from tests.ollama.seeding import AT_ONCE, MARKER, Job
from tests.ollama.tool import Tool

pytestmark = [pytest.mark.ollama, pytest.mark.timeout(900)]

OTHER = "ab" * 32
# The model is 17 MB: at this rate a pull takes three seconds.
SLOW = 6 << 20
KILLS = 8


@pytest.fixture
def job(tool: Tool, pushed: Pushed, tmp_path: Path) -> Iterator[Job]:
    yield Job(tool=tool, volume=tmp_path / "volume", location=pushed.location, revision=pushed.pin)
    pushed.front.rate = None


def blobs(pushed: Pushed) -> list[str]:
    """Digests of the model's files, the largest first."""
    document = json.loads(pushed.manifest)
    layers = sorted([*document["layers"], document["config"]], key=lambda layer: -layer["size"])
    return [layer["digest"].removeprefix("sha256:") for layer in layers]


def flip(file: Path) -> None:
    """Flip one bit in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_what_the_real_one_pulls_is_published_whole_under_both_names(job: Job, pushed: Pushed) -> None:
    assert job.run() == 0, job.said
    host = pushed.front.address
    assert job.found() == {
        **{f"blobs/sha256-{digest}": digest for digest in blobs(pushed)},
        f"manifests/{host}/{NAME}/{TAG}": pushed.pin,
        "manifests/registry.ollama.ai/library/chat/latest": pushed.pin,
    }
    assert job.listed() == job.found()
    assert job.passes()
    assert not job.work.exists()


def test_the_log_has_lines_of_which_none_is_drawn_twice(job: Job, pushed: Pushed) -> None:
    pushed.front.rate = SLOW
    assert job.run() == 0, job.said
    lines = job.said.splitlines()
    assert len(lines) == len(set(lines))
    drawn = {"pulling manifest", f"pulling {blobs(pushed)[0][:12]}: 100%", "verifying sha256 digest", "success"}
    assert drawn <= set(lines)
    assert all(line.isascii() and line.isprintable() for line in lines)


def test_a_second_run_does_nothing(job: Job) -> None:
    assert job.run() == 0, job.said
    before = {path: path.stat().st_mtime_ns for path in job.published.rglob("*") if path.name != MARKER}
    assert job.run() == 0
    assert job.said == f"weight-seeder: {job.model.source} is in place: nothing to do\n"
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_pods_that_are_killed_at_any_moment_publish_nothing_by_halves_and_the_last_one_completes_it(
    job: Job, pushed: Pushed
) -> None:
    moments = random.Random(17)  # noqa: S311 - moments, not keys
    hit = 0
    pushed.front.rate = SLOW
    for _ in range(KILLS):
        job.run(killed_after=moments.uniform(0.2, 2.5))
        assert not job.published.exists()
        hit += any(job.volume.rglob("*-partial*"))
    FIGURES["kills of a real ollama pull with a blob half there"] += hit
    assert hit
    pushed.front.rate = None
    assert complete(job) == 0, job.said
    assert job.listed() == job.found()
    assert job.passes()


def test_a_pod_that_is_killed_after_its_pull_publishes_all_or_nothing(job: Job) -> None:
    before = 0
    for number in range(KILLS):
        shutil.rmtree(job.volume, ignore_errors=True)
        job.run(killed_after=number * 0.05, since="success")
        assert job.passes() is job.published.exists()
        before += not job.published.exists()
    FIGURES["kills of a seeding pod between its real pull and its rename"] += before
    assert before
    assert complete(job) == 0, job.said
    assert job.passes()


def complete(job: Job) -> int:
    """As a Job does: another pod where one has failed."""
    return job.run() and job.run()


def test_a_part_that_a_killed_server_left_empty_does_not_stop_the_next_one(job: Job, pushed: Pushed) -> None:
    part = job.work / "blobs" / f"sha256-{blobs(pushed)[0]}-partial-0"
    part.parent.mkdir(parents=True)
    part.touch()
    assert job.run() == 0, job.said
    assert job.passes()


def test_a_blob_that_was_moved_into_place_but_not_verified_is_fetched_again(job: Job, pushed: Pushed) -> None:
    # The real one believes in what bears the right name.
    blob = job.work / "blobs" / f"sha256-{blobs(pushed)[0]}"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"torn")
    assert job.run() == 1
    assert f"checksum mismatch: blobs/{blob.name} has the sha256 {sha256(b'torn').hexdigest()}: removed" in job.last()
    assert not job.published.exists()
    assert job.run() == 0, job.said
    assert job.passes()


def test_a_flipped_bit_is_found_where_every_byte_is_read_and_repaired(job: Job, pushed: Pushed) -> None:
    assert job.run() == 0, job.said
    flip(job.published / "blobs" / f"sha256-{blobs(pushed)[0]}")
    assert not job.passes()
    job.check = "checksums"
    assert job.run() == 0, job.said
    assert f"blobs/sha256-{blobs(pushed)[0]} is damaged: fetched again" in job.said
    assert job.listed() == job.found()
    assert job.passes()


@pytest.fixture
def stored(pushed: Pushed) -> Iterator[Path]:
    """The registry's own file of the largest blob, which a test may change."""
    digest = blobs(pushed)[0]
    (file,) = pushed.storage.rglob(f"{digest}/data")
    content = file.read_bytes()
    yield file
    file.write_bytes(content)


@pytest.mark.parametrize("damage", ["flipped", "cut short"])
def test_what_a_registry_has_damaged_is_never_published(job: Job, stored: Path, damage: str) -> None:
    content = stored.read_bytes()
    if damage == "flipped":
        flip(stored)
    else:
        os.truncate(stored, stored.stat().st_size // 2)
    assert job.run() == 1
    assert job.last() == "weight-seeder: error: ollama pull failed: what it has is kept"
    assert "digest mismatch" in job.said
    assert not job.published.exists()
    stored.write_bytes(content)
    assert job.run() == 0, job.said
    assert job.passes()


def test_a_tag_that_means_another_manifest_is_refused_at_once(job: Job, pushed: Pushed) -> None:
    job.revision = OTHER
    assert job.run() == AT_ONCE
    assert job.last() == refusal(job, pushed.pin)
    assert not job.published.exists()


def refusal(job: Job, kept: str) -> str:
    """What the script says of a manifest that is not the pinned one."""
    choice = "choose that digest, or another tag"
    return (
        f"weight-seeder: error: {job.location} is sha256:{kept} as ollama keeps it, not sha256:{job.revision}: {choice}"
    )


@pytest.mark.parametrize("location", ["rehearsal/nothing:1", f"{NAME}:nothing"])
def test_a_model_or_tag_that_there_is_not_is_told_at_once(job: Job, pushed: Pushed, location: str) -> None:
    job.location = f"{pushed.front.address}/{location}"
    assert job.run() == AT_ONCE
    assert job.last() == f"weight-seeder: error: {job.location}: there is no such model, or no such tag"


def test_a_registry_that_sends_blobs_itself_is_told_at_once(job: Job, pushed: Pushed) -> None:
    job.location = f"{pushed.registry}/{NAME}:{TAG}"
    assert job.run() == AT_ONCE
    assert job.last() == (
        f"weight-seeder: error: {job.location}: the registry sends blobs itself, and ollama pulls only from one that "
        "redirects to another host"
    )
    assert not job.published.exists()


def test_a_manifest_that_ollama_writes_in_other_bytes_is_refused_with_the_digest_that_it_gets(
    job: Job, pushed: Pushed
) -> None:
    indented = json.dumps(json.loads(pushed.manifest), indent=3).encode()
    headers = {"Content-Type": MANIFEST}
    with pushed.client() as client:
        client.put(f"/v2/{NAME}/manifests/indented", content=indented, headers=headers).raise_for_status()
    job.location = f"{pushed.front.address}/{NAME}:indented"
    job.revision = sha256(indented).hexdigest()
    assert job.run() == AT_ONCE
    assert job.last() == refusal(job, pushed.pin)
    job.revision = pushed.pin
    assert job.run() == 0, job.said
    assert job.passes()
