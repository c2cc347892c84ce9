"""The seeder against a hub, both as processes of their own, with the real client between them."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.hf_api import RepoFile

from components.settings.weights import DEFAULT_EXCLUDE, DEFAULT_INCLUDE
from rehearsal.hub import model
from rehearsal.simulator.weights import load
from tests.hub import hubs
from tests.hub.hubs import RunningHub
from tests.simulator.engines import free_port

SEEDER = Path("images/weight-seeder/weight_seeder.py").resolve()
SOURCE = f"hf://{model.REPOSITORY}@{model.commit()}"
SHARD = "model-00002-of-00002.safetensors"
CONTENTS = dict(model.files())

HOPELESS = 2
"""The exit code on which the Job that seeds does not try again."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with hubs.running(tmp_path_factory.mktemp("hub")) as started:
        yield started


@pytest.fixture
def damaged(hub: RunningHub) -> Iterator[Path]:
    """A shard in the hub's folder that may be damaged; it is as it was afterwards."""
    yield hub.folder / SHARD
    (hub.folder / SHARD).write_bytes(CONTENTS[SHARD])


@pytest.fixture
def in_process(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The seeder as a module, for what fails before a download and needs no process of its own."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    spec = importlib.util.spec_from_file_location("weight_seeder", SEEDER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "weight_seeder", module)
    spec.loader.exec_module(module)
    return module


def start(hub: RunningHub, target: Path, *flags: str, source: str = SOURCE) -> subprocess.Popen[str]:
    # As in the pod: no home to write to, and nothing of this process's settings for the hub.
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HF_ENDPOINT": hub.url}
    command = [sys.executable, str(SEEDER), f"--source={source}", f"--target={target}", *flags]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def seed(hub: RunningHub, target: Path, *flags: str, source: str = SOURCE) -> tuple[int, str, str]:
    """Run the seeder to its end; returns exit code, output and errors."""
    process = start(hub, target, *flags, source=source)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def published(target: Path) -> Path:
    return target / model.REPOSITORY.replace("/", "--") / model.commit()


def assert_seeded(target: Path) -> None:
    """Every file is what the hub has, and the manifest lists just these."""
    folder = published(target)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    manifest = json.loads(files.pop(".seeded.json"))

    assert files == CONTENTS
    assert {file["path"]: (file["size"], file["sha256"]) for file in manifest["files"]} == {
        name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in CONTENTS.items()
    }
    assert (manifest["source"], manifest["revision"]) == (SOURCE, model.commit())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", manifest["seededAt"])


def test_a_revision_is_seeded_verified_and_listed_and_an_engine_loads_it(hub: RunningHub, tmp_path: Path) -> None:
    code, output, errors = seed(hub, tmp_path)

    assert (code, errors) == (0, "")
    assert "9 files, 17.07 MB" in output
    assert_seeded(tmp_path)
    assert load(published(tmp_path), bytes_per_second=float("inf"), progress=lambda *_: None) > 0
    assert not [path for path in (tmp_path / ".incoming").iterdir() if path.suffix != ".lock"]


def test_a_second_run_says_that_there_is_nothing_to_do_and_touches_nothing(hub: RunningHub, tmp_path: Path) -> None:
    seed(hub, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in published(tmp_path).iterdir()}

    code, output, _ = seed(hub, tmp_path)

    assert code == 0
    assert "nothing to do" in output
    assert {path: path.stat().st_mtime_ns for path in published(tmp_path).iterdir()} == before


def test_only_the_files_of_the_selection_are_seeded_and_a_wider_one_adds_to_them(
    hub: RunningHub, tmp_path: Path
) -> None:
    seed(hub, tmp_path, "--include=*.json", "--include=LICENSE")
    names = {path.name for path in published(tmp_path).iterdir()}
    assert names == {name for name in CONTENTS if name.endswith(".json") or name == "LICENSE"} | {".seeded.json"}

    seed(hub, tmp_path, "--include=*.safetensors", "--include=README.md")
    assert_seeded(tmp_path)


NAMES = (
    "LICENSE",
    "chat_template.jinja",
    "config.json",
    "consolidated.safetensors",
    "consolidated.00.pth",
    "model.safetensors",
    "original/params.json",
    "original/consolidated.00.pth",
    "tokenizer/vocab.json",
)


@pytest.mark.parametrize(
    ("include", "exclude", "names"),
    [
        ((), (), set(NAMES)),
        (("*.json",), (), {"config.json"}),
        (("*.json", "original/*.json"), (), {"config.json", "original/params.json"}),
        (("*/*.json",), ("original/*",), {"tokenizer/vocab.json"}),
        ((), ("consolidated*",), {name for name in NAMES if not name.startswith("consolidated")}),
        (DEFAULT_INCLUDE, DEFAULT_EXCLUDE, {"chat_template.jinja", "config.json", "model.safetensors"}),
    ],
)
def test_a_selection_takes_what_a_shell_would(
    in_process: ModuleType, include: tuple[str, ...], exclude: tuple[str, ...], names: set[str]
) -> None:
    selection = in_process.Selection(include=include, exclude=exclude)
    assert {name for name in NAMES if selection.takes(name)} == names


def test_excluded_files_are_neither_fetched_nor_listed(hub: RunningHub, tmp_path: Path) -> None:
    assert seed(hub, tmp_path, "--exclude=*.safetensors", "--exclude=LICENSE")[0] == 0
    names = {path.name for path in published(tmp_path).iterdir()}
    assert names == {name for name in CONTENTS if not name.endswith(".safetensors") and name != "LICENSE"} | {
        ".seeded.json"
    }


def test_a_selection_that_was_seeded_whole_needs_no_hub(
    hub: RunningHub, tmp_path: Path, in_process: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seed(hub, tmp_path, "--include=*.json", "--include=LICENSE", "--exclude=original/*")[0] == 0
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    arguments = [f"--source={SOURCE}", f"--target={tmp_path}", "--include=LICENSE", "--include=*.json"]

    assert in_process.main([*arguments, "--exclude=original/*"]) == 0
    # Another selection may be of other files, and a file that is not whole has to be fetched.
    assert in_process.main(arguments) == 1
    os.truncate(published(tmp_path) / "config.json", 1)
    assert in_process.main([*arguments, "--exclude=original/*"]) == 1


def test_other_patterns_for_the_same_files_are_asked_about_once(hub: RunningHub, tmp_path: Path) -> None:
    seed(hub, tmp_path)
    assert "nothing to do" in seed(hub, tmp_path, "--exclude=original/*")[1]
    before = len(hub.log.read_text())

    assert "nothing to do" in seed(hub, tmp_path, "--exclude=original/*")[1]

    assert "/tree/" not in hub.log.read_text()[before:]
    assert_seeded(tmp_path)


@pytest.mark.parametrize("attempt", range(2))
def test_a_seeder_killed_at_any_moment_leaves_nothing_published_and_the_next_run_completes(
    hub: RunningHub, tmp_path: Path, attempt: int
) -> None:
    process = start(hub, tmp_path, "--max-workers=1")
    incoming = tmp_path / ".incoming" / f"rehearsal--tiny-llama-{model.commit()}"
    # From the first byte on, at moments that are spread over the download.
    while not (incoming.is_dir() and any(incoming.iterdir())):
        assert process.poll() is None
    time.sleep(0.02 * attempt)
    process.kill()
    process.communicate()
    if published(tmp_path).exists():
        assert_seeded(tmp_path)

    assert seed(hub, tmp_path)[0] == 0
    assert_seeded(tmp_path)


def test_a_file_that_is_half_there_is_continued_and_not_fetched_again(hub: RunningHub, tmp_path: Path) -> None:
    incoming = tmp_path / ".incoming" / f"rehearsal--tiny-llama-{model.commit()}"
    incoming.mkdir(parents=True)
    (incoming / SHARD).write_bytes(CONTENTS[SHARD][:5_000_000])
    before = len(hub.log.read_text())

    code, output, _ = seed(hub, tmp_path)

    assert code == 0
    assert "of which 5.00 MB are here already" in output
    assert_seeded(tmp_path)
    assert " 206 Partial Content" in hub.log.read_text()[before:]


@pytest.mark.parametrize("length", [5_000_000, 9_000_000])
def test_what_an_earlier_run_left_damaged_is_fetched_from_the_start(
    hub: RunningHub, tmp_path: Path, length: int
) -> None:
    incoming = tmp_path / ".incoming" / f"rehearsal--tiny-llama-{model.commit()}"
    incoming.mkdir(parents=True)
    (incoming / SHARD).write_bytes(bytes(length))

    assert seed(hub, tmp_path)[0] == 0
    assert_seeded(tmp_path)


def test_a_published_folder_with_a_file_missing_is_repaired(hub: RunningHub, tmp_path: Path) -> None:
    seed(hub, tmp_path)
    (published(tmp_path) / SHARD).unlink()

    assert seed(hub, tmp_path)[0] == 0
    assert_seeded(tmp_path)


def test_a_narrower_selection_keeps_what_is_listed_whole(hub: RunningHub, tmp_path: Path) -> None:
    seed(hub, tmp_path)
    (published(tmp_path) / SHARD).unlink()

    assert seed(hub, tmp_path, "--include=config.json")[0] == 0
    assert_seeded(tmp_path)


def test_a_folder_without_a_manifest_is_not_taken_for_seeded(hub: RunningHub, tmp_path: Path) -> None:
    published(tmp_path).mkdir(parents=True)
    (published(tmp_path) / SHARD).write_bytes(bytes(len(CONTENTS[SHARD])))

    assert seed(hub, tmp_path)[0] == 0
    assert_seeded(tmp_path)


def test_a_flipped_bit_on_the_way_is_refused_and_nothing_is_published(
    hub: RunningHub, tmp_path: Path, damaged: Path
) -> None:
    content = bytearray(CONTENTS[SHARD])
    content[4_000_000] ^= 1
    damaged.write_bytes(content)

    code, _, errors = seed(hub, tmp_path)

    assert code == 1
    assert f"checksum mismatch: {SHARD}" in errors
    assert not published(tmp_path).exists()

    damaged.write_bytes(CONTENTS[SHARD])
    assert seed(hub, tmp_path)[0] == 0
    assert_seeded(tmp_path)


def test_a_truncated_file_is_refused_and_nothing_is_published(hub: RunningHub, tmp_path: Path, damaged: Path) -> None:
    damaged.write_bytes(CONTENTS[SHARD][:-1])

    code, _, errors = seed(hub, tmp_path)

    assert code == 1
    assert "should be of size 8522376 but has size 8522375" in errors
    assert len(errors.splitlines()) == 1
    assert not published(tmp_path).exists()


def test_two_seeders_of_one_revision_do_not_fight(hub: RunningHub, tmp_path: Path) -> None:
    seeders = [start(hub, tmp_path, "--max-workers=1") for _ in range(2)]
    outputs = [seeder.communicate(timeout=60) for seeder in seeders]

    assert [seeder.returncode for seeder in seeders] == [0, 0]
    assert sum("nothing to do" in output for output, _ in outputs) == 1
    assert_seeded(tmp_path)


def test_sigterm_ends_a_seeder_at_once_with_a_word_on_how_to_go_on(hub: RunningHub, tmp_path: Path) -> None:
    lock = tmp_path / ".incoming" / f"rehearsal--tiny-llama-{model.commit()}.lock"
    lock.parent.mkdir()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = start(hub, tmp_path)
        assert process.stdout is not None
        assert "another seeder is at work on this revision: waiting for it" in process.stdout.readline()
        process.terminate()
        output, errors = process.communicate(timeout=20)

    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM: run again to resume" in output
    assert errors == ""
    assert not published(tmp_path).exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (f"hf://{model.REPOSITORY}@main", "find the commit with `git ls-remote"),
        (f"hf://{model.REPOSITORY}@{model.commit()[:12]}", "is not a commit of 40 hex digits"),
        (f"s3://bucket@{model.commit()}", "is not of the form hf://owner/name@<40-hex commit>"),
        (f"hf://{model.REPOSITORY}@{'0' * 40}", "the repository has no such revision"),
        (f"hf://rehearsal/other@{'0' * 40}", "no such repository, or a private one"),
    ],
)
def test_a_source_that_cannot_be_seeded_is_refused_in_one_line(
    in_process: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, message: str
) -> None:
    assert in_process.main([f"--source={source}", f"--target={tmp_path}"]) == HOPELESS

    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert not list(tmp_path.glob("*--*"))


def test_a_selection_that_matches_nothing_is_refused(
    in_process: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert in_process.main([f"--source={SOURCE}", f"--target={tmp_path}", "--include=*.gguf"]) == HOPELESS

    assert "matches *.gguf: nothing to seed" in capsys.readouterr().err


def test_a_volume_that_is_too_small_is_found_out_before_the_first_byte(
    in_process: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=17_068_568))

    assert in_process.main([f"--source={SOURCE}", f"--target={tmp_path}"]) == 1

    expected = "no space: 17068569 bytes are still to come and 17068568 are free"
    assert expected in capsys.readouterr().err
    assert not list(tmp_path.glob(".incoming/*/*"))


def test_a_hub_that_cannot_be_reached_is_named(
    in_process: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the client waits longer and longer between its attempts

    assert in_process.main([f"--source={SOURCE}", f"--target={tmp_path}"]) == 1

    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"weight-seeder: error: {constants.ENDPOINT} cannot be reached: [Errno 111] Connection refused"


def test_a_hub_cannot_place_a_file_outside_of_the_folder(
    in_process: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stray = RepoFile(path="../../stray.json", size=2, oid="0" * 40)  # type: ignore[no-untyped-call]
    monkeypatch.setattr(HfApi, "list_repo_tree", lambda *_args, **_kwargs: [stray])

    assert in_process.main([f"--source={SOURCE}", f"--target={tmp_path}"]) == HOPELESS

    assert "which has no place in the folder" in capsys.readouterr().err


def test_a_gated_repository_asks_for_the_token_and_never_shows_it(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    with hubs.running(tmp_path / "hub", f"--gated={model.REPOSITORY}", HUB_TOKEN="hf_secret") as gated:
        code, _, errors = seed(gated, tmp_path / "weights")
        assert code == HOPELESS
        assert "is gated: accept its terms on the hub and give a token that may read it in HF_TOKEN" in errors

        environment = {"PATH": os.environ["PATH"], "HF_ENDPOINT": gated.url, "HF_TOKEN": "hf_secret"}
        command = [sys.executable, str(SEEDER), f"--source={SOURCE}", f"--target={tmp_path / 'weights'}"]
        allowed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    assert_seeded(tmp_path / "weights")
    assert "hf_secret" not in allowed.stdout + allowed.stderr
    assert "hf_secret" not in (published(tmp_path / "weights") / ".seeded.json").read_text()


def test_the_client_asks_the_hub_for_the_model_and_for_nothing_else(hub: RunningHub, tmp_path: Path) -> None:
    before = len(hub.log.read_text())

    seed(hub, tmp_path, "--include=config.json")

    paths = re.findall(r'"GET ([^ ?]+)', hub.log.read_text()[before:])
    commit = model.commit()
    assert [path for path in paths if path != "/healthz"] == [
        f"/api/models/{model.REPOSITORY}/tree/{commit}",
        f"/{model.REPOSITORY}/resolve/{commit}/config.json",
    ]
