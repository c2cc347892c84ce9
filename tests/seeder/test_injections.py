"""Seeding while everything breaks: afterwards each file is the hub's, or nothing is published.

Every fault is injected into the real seeder, a process of its own, and the hub's own counts prove that it was; after
each the volume is checked, and a run from a hub in order has to complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rehearsal.hub import model
from tests.figures import FIGURES
from tests.hub import hubs
from tests.hub.hubs import RunningHub
from tests.seeder.injections import FAULTS, KILLS, MARKER, TOKEN, Trial, flip, truncate

COMMIT = model.commit()
CONTENTS = dict(model.files())
SHA256S = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}
FIRST, SHARD = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
THROTTLED = {"kind": "throttle", "rate": 25_000_000}
NESTED = {"config.json": b"{}", "tokenizer/vocab.json": b'{"a": 1}', "model.safetensors": bytes(5000)}
LARGE, LARGE_FILES, LARGE_BYTES = "rehearsal/large", 4, 272 << 20


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub that wants the token for the small model, and has one of more than a GiB, which takes no room."""
    root = tmp_path_factory.mktemp("hub")
    for name, content in NESTED.items():
        (root / "rehearsal/nested" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "rehearsal/nested" / name).write_bytes(content)
    for number in range(LARGE_FILES):
        path = root / LARGE / f"model-{number}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.truncate(path, LARGE_BYTES)
    with hubs.running(root, f"--gated={model.REPOSITORY}", HUB_TOKEN=TOKEN) as started:
        yield started


@pytest.fixture
def trial(hub: RunningHub, tmp_path: Path) -> Iterator[Trial]:
    """The small model and an empty volume."""
    trial = Trial(hub=hub, volume=tmp_path, repository=model.REPOSITORY, commit=COMMIT, sha256s=SHA256S)
    yield trial
    trial.end()
    hub.inject()


def on(path: str, **fault: Any) -> dict[str, Any]:
    """A fault of the answers that bring this file."""
    return {"path": f"/storage/*/{path}", **fault}


def test_killed_at_20_random_moments_it_publishes_nothing_wrong_and_completes(trial: Trial) -> None:
    moments = random.Random(5)  # noqa: S311  # repeatable on purpose
    trial.hub.inject(THROTTLED)
    started = time.monotonic()
    assert trial.seed().code == 0
    whole_run = time.monotonic() - started
    kills = volumes = 0
    while kills < 20:
        if trial.check():
            volumes += 1
            trial = replace(trial, volume=trial.volume / str(volumes))
            trial.volume.mkdir()
        process = trial.start()
        time.sleep(moments.uniform(0, whole_run))
        kills += trial.kill(process)
    trial.completes()


@pytest.fixture
def forks(trial: Trial) -> Iterator[subprocess.Popen[str]]:
    """Seeders that are killed at a change of a name."""
    program = [sys.executable, str(Path(__file__).with_name("injections_at_changes.py"))]
    with subprocess.Popen(
        program, env=trial.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()


def fork(forks: subprocess.Popen[str], trial: Trial, at: int) -> int:
    """Exit status of a seeder that is killed before its change number `at` of the volume."""
    assert forks.stdin
    assert forks.stdout
    found, before = marker(trial), inodes(trial)
    arguments = trial.arguments(*trial.flags, "--workers=1")
    forks.stdin.write(json.dumps({"volume": str(trial.volume), "arguments": arguments, "at": at}) + "\n")
    forks.stdin.flush()
    answer = json.loads(forks.stdout.readline())
    assert not answer["unsynced"], f"published before it was on the disk: {answer['unsynced']}"
    FIGURES[KILLS] += answer["status"] == -signal.SIGKILL
    if marker(trial) != found:
        trial.check()
    elif found:
        # What is damaged there is the test's own doing.
        assert inodes(trial) == before, "changed while readers trust it"
    return int(answer["status"])


def commit_of(hub: RunningHub, repository: str) -> str:
    return str(hub.http.get(f"{hub.url}/api/models/{repository}").json()["sha"])


def marker(trial: Trial) -> tuple[int, int] | None:
    """What tells a marker from a new one."""
    try:
        facts = (trial.published / MARKER).stat()
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_mtime_ns


def inodes(trial: Trial) -> dict[Path, int]:
    """What tells the published files from new ones; a folder may be new, and empty."""
    return {path: path.stat().st_ino for path in trial.published.rglob("*") if path.is_file()}


@pytest.mark.parametrize("damaged", [False, True], ids=["new", "repaired"])
def test_killed_before_any_change_of_the_volume_it_publishes_nothing_wrong_and_completes(
    trial: Trial, forks: subprocess.Popen[str], *, damaged: bool
) -> None:
    sha256s = {name: hashlib.sha256(content).hexdigest() for name, content in NESTED.items()}
    commit = commit_of(trial.hub, "rehearsal/nested")
    trial = replace(trial, repository="rehearsal/nested", commit=commit, sha256s=sha256s)
    whole = replace(trial, volume=trial.volume / "whole")
    whole.volume.mkdir()
    assert fork(forks, whole, 0) == 0
    at, status = 0, -signal.SIGKILL
    while status == -signal.SIGKILL:
        at += 1
        each = replace(trial, volume=trial.volume / str(at))
        if damaged:
            shutil.copytree(whole.volume, each.volume)
            truncate(each.published / "model.safetensors", 1000)
            (each.published / "tokenizer/vocab.json").unlink()
            found = marker(each)
            status = fork(forks, each, at)
            assert marker(each) != found or not each.work.exists(), "repaired while readers trust it"
        else:
            each.volume.mkdir()
            status = fork(forks, each, at)
            assert each.published.exists() == each.check(), "published without its marker"
        assert fork(forks, each, 0) == 0
        assert each.check()
    assert status == 0
    assert at > 8, "there are more changes than that"


@pytest.mark.parametrize("faults", [1, None], ids=["once", "always"])
@pytest.mark.parametrize("fault", [{"kind": "corrupt", "offset": 4_000_000}, {"kind": "truncate", "after": 4_000_000}])
def test_wrong_bytes_from_the_hub_are_fetched_again_and_never_published(
    trial: Trial, fault: dict[str, Any], faults: int | None
) -> None:
    trial.hub.inject(on(SHARD, **fault, **({"next": faults} if faults else {})))

    ended = trial.seed()

    trial.hit(**{fault["kind"]: faults or 2})
    assert (ended.code, trial.check()) == ((0, True) if faults else (2, False))
    assert faults or SHARD in ended.output.splitlines()[-1]
    assert f"{SHARD}" in next(line for line in ended.output.splitlines() if line.endswith(": fetched again"))
    trial.completes()


def test_a_connection_that_is_cut_is_resumed_where_it_stopped(trial: Trial) -> None:
    trial.hub.inject(on(SHARD, kind="cut", after=2_000_000, next=3))

    assert trial.seed().code == 0

    trial.hit(cut=3)
    sent = sum(request["sent"] for request in trial.hub.requests() if request["path"].endswith(SHARD))
    assert sent == len(CONTENTS[SHARD])


def test_a_hub_that_ignores_ranges_gives_the_file_from_its_start(trial: Trial) -> None:
    trial.hub.inject(on(SHARD, kind="cut", after=2_000_000, next=1), {"kind": "ignoreRange"})
    assert trial.seed().code == 0
    trial.hit(cut=1, ignoreRange=1)


def test_a_hub_that_stalls_is_left_and_asked_again(trial: Trial) -> None:
    trial.hub.inject(
        {"path": "/api/*", "kind": "stall", "next": 1},
        on(SHARD, kind="stall", after=2_000_000, next=1),
        on(FIRST, kind="stall", next=1),
    )
    assert trial.seed("--stall-seconds=1").code == 0
    trial.hit(stall=3)


def test_a_hub_that_stalls_for_good_is_given_up_and_what_came_is_kept(trial: Trial) -> None:
    trial.hub.inject(on(SHARD, kind="stall", after=2_000_000), on(SHARD, kind="stall"))
    ended = trial.seed("--stall-seconds=0.5", "--patience=2", "--include=*.safetensors")
    assert ended.code == 1
    trial.hit(stall=2)
    trial.hub.inject()
    trial.completes()


@pytest.mark.parametrize("workers", [1, 4])
def test_a_storm_of_429_is_waited_out_and_nobody_asks_before_the_hub_allows(trial: Trial, workers: int) -> None:
    trial.hub.inject(
        # Counted, not timed: the seeder takes its time to start on a busy machine.
        {"path": "/api/*", "kind": "status", "code": 429, "retryAfter": 1, "next": 2},
        on(SHARD, kind="status", code=429, retryAfter=1, next=2),
        on(FIRST, kind="status", code=429, retryAfter=1, next=1),
        {"kind": "status", "code": 429, "retryAfter": 1, "dated": True, "next": 2},
    )

    assert trial.seed(f"--workers={workers}").code == 0

    trial.hit(_429=7)
    requests = trial.hub.requests()
    early = [
        (refused, request)
        for number, refused in enumerate(requests)
        for request in requests[number + 1 :]
        # With several at work, another one may be on its way already.
        if request["at"] < refused.get("notBefore", 0) and (workers == 1 or request["path"] == refused["path"])
    ]
    assert not early


def test_errors_of_the_hub_are_waited_out(trial: Trial) -> None:
    trial.hub.inject(
        {"kind": "status", "code": 500, "next": 2},
        {"kind": "status", "code": 503, "retryAfter": 1, "next": 2},
        {"kind": "status", "code": 502, "probability": 0.3},
        seed=5,
    )
    assert trial.seed().code == 0
    trial.hit(_500=2, _503=2, _502=1)


def test_a_flipped_or_missing_byte_on_the_volume_is_found_wherever_it_is(trial: Trial) -> None:
    trial.hub.inject(on(SHARD, kind="stall", after=4_000_000))
    process = trial.start()
    whole = trial.work / FIRST
    trial.wait_for(process, lambda: whole.exists() and trial.downloaded() == 4_000_000)
    assert trial.kill(process)
    flip(trial.work / f"{SHARD}.part", 1_000_000)
    flip(whole, 5_000_000)
    trial.completes()

    flip(trial.published / SHARD, 6_000_000)
    truncate(trial.published / FIRST, 6_000_000)
    assert trial.seed("--checksums").code == 0
    assert trial.check()


@contextmanager
def small_volume(folder: Path, size: int) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("a volume of a set size needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as stream:
        while stream.write(bytes(1 << 16)):
            pass


def test_a_volume_that_is_too_small_is_refused_before_the_first_byte(trial: Trial, tmp_path: Path) -> None:
    with small_volume(tmp_path / "small", 16 << 20) as volume:
        trial = replace(trial, volume=volume)
        trial.hub.inject()
        ended = trial.seed()
        FIGURES[FAULTS] += 1
        assert ended.code == 2
        stated = re.search(r"no space: (\d+) bytes are still to come and (\d+) are free", ended.output)
        assert stated
        assert int(stated[2]) < int(stated[1]) == sum(map(len, CONTENTS.values()))
        assert not [request for request in trial.hub.requests() if "/resolve/" in request["path"]]


def test_a_volume_that_others_fill_ends_it_at_once_and_it_goes_on_when_there_is_room(
    trial: Trial, tmp_path: Path
) -> None:
    with small_volume(tmp_path / "small", 24 << 20) as volume:
        trial = replace(trial, volume=volume)
        trial.hub.inject(THROTTLED)
        process = trial.start()
        trial.wait_for(process, lambda: trial.downloaded() > 0)
        filler = volume / "filler"
        with pytest.raises(OSError, match="No space left"):
            fill(filler)
        ended = trial.finish(process)
        FIGURES[FAULTS] += 1
        assert (ended.code, trial.check()) == (2, False)
        assert "no space: " in ended.output
        filler.unlink()
        trial.completes()


@pytest.mark.parametrize("awake", ["while the next one downloads", "after the next one has published"])
def test_a_seeder_that_was_frozen_and_has_lost_its_lease_stops_and_changes_nothing(trial: Trial, awake: str) -> None:
    trial.hub.inject({**THROTTLED, "rate": 2_000_000})
    holder = trial.start("--lease-seconds=1")
    trial.wait_for(holder, lambda: trial.downloaded() > 0)
    owner = lock_owner(trial)
    holder.send_signal(signal.SIGSTOP)
    second = trial.start("--lease-seconds=1")
    trial.wait_for(second, lambda: lock_owner(trial) != owner)
    if awake == "while the next one downloads":
        holder.send_signal(signal.SIGCONT)
        lost = trial.finish(holder)
        trial.hub.inject()
        assert trial.finish(second).code == 0
    else:
        trial.hub.inject()
        assert trial.finish(second).code == 0
        holder.send_signal(signal.SIGCONT)
        lost = trial.finish(holder)
    FIGURES[FAULTS] += 1

    assert lost.code == 1
    assert "another seeder" in lost.output.splitlines()[-1]
    assert trial.check()
    trial.completes()


def lock_owner(trial: Trial) -> str:
    return str(json.loads(trial.work.with_name(f"{trial.work.name}.lock").read_bytes())["owner"])


def test_four_seeders_of_one_folder_do_the_work_once(trial: Trial) -> None:
    trial.hub.inject()
    ended = [trial.finish(process) for process in [trial.start() for _ in range(4)]]

    assert [each.code for each in ended] == [0] * 4
    assert sum("nothing to do" in each.output for each in ended) == 3
    sent = sum(request["sent"] for request in trial.hub.requests() if request["path"].startswith("/storage/"))
    assert sent == len(CONTENTS[FIRST]) + len(CONTENTS[SHARD])
    assert trial.check()


def test_two_selections_that_share_files_are_seeded_side_by_side(trial: Trial) -> None:
    def of(folder: str, *names: str) -> Trial:
        flags = (*trial.flags, *(f"--include={name}" for name in names))
        sha256s = {name: SHA256S[name] for name in names}
        return replace(trial, folder=f"rehearsal--model/{folder}", sha256s=sha256s, flags=flags)

    one, other = of("one", "config.json", FIRST, SHARD), of("other", "config.json", "LICENSE", SHARD)
    processes = one.start(), other.start()
    assert [each.finish(process).code for each, process in zip((one, other), processes, strict=True)] == [0, 0]
    assert one.check()
    assert other.check()


def test_a_model_of_more_than_a_gib_takes_less_than_512_mib_of_memory(hub: RunningHub, tmp_path: Path) -> None:
    digest = hashlib.sha256()
    for _ in range(LARGE_BYTES >> 20):
        digest.update(bytes(1 << 20))
    names = [f"model-{number}.safetensors" for number in range(LARGE_FILES)]
    commit = commit_of(hub, LARGE)
    trial = Trial(
        hub=hub, volume=tmp_path, repository=LARGE, commit=commit, sha256s=dict.fromkeys(names, digest.hexdigest())
    )
    process = trial.start()
    peak = 0
    while process.poll() is None:
        peak = max(peak, resident_peak(process.pid))
        time.sleep(0.02)

    assert trial.finish(process).code == 0
    assert trial.check()
    assert 0 < peak < 512 << 20
    FIGURES["seeding: MiB resident at most"] = peak >> 20


def resident_peak(pid: int) -> int:
    """The most bytes that a process has had resident (proc(5), VmHWM); 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)


def test_the_token_is_in_no_argument_no_line_and_no_file(trial: Trial) -> None:
    trial.hub.inject(
        {"kind": "status", "code": 500, "next": 2},
        {"kind": "status", "code": 403, "path": "*/resolve/*/config.json", "next": 1},
        on(SHARD, kind="stall", after=1_000_000),
    )
    refused = trial.seed()
    assert refused.code != 0
    process = trial.start()
    trial.wait_for(process, lambda: trial.downloaded() >= 1_000_000)
    assert TOKEN.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    trial.kill(process)
    trial.hit(_500=2, _403=1, stall=1)
    trial.completes()

    for path in trial.volume.rglob("*"):
        assert TOKEN not in path.name
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes()
