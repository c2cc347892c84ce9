"""The seeder against a hub, both as processes of their own, with the real client between them."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants
from weight_seeder.cli import main
from weight_seeder.files import Selection
from weight_seeder.sources import hub_tree

from components.settings.weights import DEFAULT_EXCLUDE, DEFAULT_INCLUDE
from rehearsal.hub import model
from rehearsal.simulator.weights import load
from tests.hub import hubs
from tests.hub.hubs import RunningHub
from tests.seeder.seeding import (
    CONTENTS,
    FOLDER,
    HOPELESS,
    SHARD,
    SOURCE,
    arguments,
    assert_seeded,
    lock,
    published,
    run,
    seed,
    start,
    work,
)
from tests.simulator.engines import free_port


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
def in_process(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what fails before a download, and needs no process of its own."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)


def test_a_revision_is_seeded_verified_and_listed_and_an_engine_loads_it(hub: RunningHub, tmp_path: Path) -> None:
    code, output, errors = seed(hub, tmp_path)

    assert (code, errors) == (0, "")
    assert "9 files, 17.07 MB" in output
    assert_seeded(tmp_path)
    assert load(published(tmp_path), bytes_per_second=float("inf"), progress=lambda *_: None) > 0
    assert {path.suffix for path in (tmp_path / ".incoming").iterdir()} <= {".lock", ".guard"}


def test_a_second_run_says_that_there_is_nothing_to_do_and_only_notes_that_it_was_wanted(
    hub: RunningHub, tmp_path: Path
) -> None:
    seed(hub, tmp_path)
    marker = published(tmp_path) / ".seeded.json"
    os.utime(marker, (0, 0))
    before = {path: path.stat().st_mtime_ns for path in published(tmp_path).iterdir() if path != marker}
    content = marker.read_bytes()

    code, output, _ = seed(hub, tmp_path)

    assert code == 0
    assert "is in place: 9 files, nothing to do" in output
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert marker.read_bytes() == content
    assert time.time() - marker.stat().st_mtime < 60


def test_only_the_files_of_the_selection_are_seeded_and_a_wider_one_beside_them_fetches_only_the_others(
    hub: RunningHub, tmp_path: Path
) -> None:
    shards = {name for name in CONTENTS if name.endswith(".safetensors")}
    other = FOLDER[:-1] + "8"
    assert seed(hub, tmp_path, "--include=*.safetensors", folder=other)[0] == 0
    assert {path.name for path in (tmp_path / other).iterdir()} == shards | {".seeded.json"}
    before = len(hub.log.read_text())

    code, output, _ = seed(hub, tmp_path)

    assert code == 0
    assert f"{len(shards)} files are those of another revision on this volume: linked" in output
    assert ".safetensors " not in hub.log.read_text()[before:]
    assert (published(tmp_path) / SHARD).samefile(tmp_path / other / SHARD)
    assert_seeded(tmp_path)


def test_a_linked_file_that_turns_out_damaged_is_fetched_and_the_other_revision_trusted_no_more(
    hub: RunningHub, tmp_path: Path
) -> None:
    other = FOLDER[:-1] + "8"
    seed(hub, tmp_path, "--include=*.safetensors", folder=other)
    (tmp_path / other / SHARD).write_bytes(bytes(len(CONTENTS[SHARD])))

    assert seed(hub, tmp_path)[0] == 0

    assert_seeded(tmp_path)
    # Its readers may have it open: it keeps what it has, until it is seeded again.
    assert (tmp_path / other / SHARD).read_bytes() == bytes(len(CONTENTS[SHARD]))
    assert not (tmp_path / other / ".seeded.json").exists()


def test_bit_rot_in_a_published_file_makes_the_folders_that_share_it_untrusted_and_no_others(
    hub: RunningHub, tmp_path: Path
) -> None:
    sharing, apart = FOLDER[:-1] + "8", FOLDER[:-1] + "9"
    seed(hub, tmp_path, "--include=*.safetensors", folder=sharing)
    seed(hub, tmp_path, "--include=*.json", folder=apart)
    seed(hub, tmp_path)
    with (published(tmp_path) / SHARD).open("r+b") as shard:
        shard.write(b"rot")

    code, output, _ = seed(hub, tmp_path, "--checksums")

    assert code == 0
    assert f"{sharing} shares a damaged file: it is to be seeded again" in output
    assert_seeded(tmp_path)
    assert not (tmp_path / sharing / ".seeded.json").exists()
    assert (tmp_path / apart / ".seeded.json").exists()
    assert seed(hub, tmp_path, "--include=*.safetensors", folder=sharing)[0] == 0
    assert (tmp_path / sharing / SHARD).read_bytes() == CONTENTS[SHARD]


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
    include: tuple[str, ...], exclude: tuple[str, ...], names: set[str]
) -> None:
    selection = Selection(include=include, exclude=exclude)
    assert {name for name in NAMES if selection.takes(name)} == names


def test_excluded_files_are_neither_fetched_nor_listed(hub: RunningHub, tmp_path: Path) -> None:
    assert seed(hub, tmp_path, "--exclude=*.safetensors", "--exclude=LICENSE")[0] == 0
    names = {path.name for path in published(tmp_path).iterdir()}
    assert names == {name for name in CONTENTS if not name.endswith(".safetensors") and name != "LICENSE"} | {
        ".seeded.json"
    }


def test_a_selection_that_was_seeded_whole_needs_no_hub(
    hub: RunningHub, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seed(hub, tmp_path, "--include=*.json", "--include=LICENSE", "--exclude=original/*")[0] == 0
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    asked = arguments(tmp_path, "--include=LICENSE", "--include=*.json", "--patience=0")

    assert main([*asked, "--exclude=original/*"]) == 0
    # Another selection may be of other files, and a file that is not whole has to be fetched.
    assert main([*asked, f"--folder={FOLDER[:-1]}8"]) == 1
    os.truncate(published(tmp_path) / "config.json", 1)
    assert main([*asked, "--exclude=original/*"]) == 1
    # What is known to be damaged has lost its marker, though there was nobody to mend it.
    assert not (published(tmp_path) / ".seeded.json").exists()


@pytest.mark.parametrize("attempt", range(2))
def test_a_seeder_killed_at_any_moment_leaves_nothing_published_and_the_next_run_completes(
    hub: RunningHub, tmp_path: Path, attempt: int
) -> None:
    process = start(hub, tmp_path, "--workers=1")
    # From the first byte on, at moments that are spread over the download.
    while not (work(tmp_path).is_dir() and any(work(tmp_path).iterdir())):
        assert process.poll() is None
    time.sleep(0.02 * attempt)
    process.kill()
    process.communicate()
    if published(tmp_path).exists():
        assert_seeded(tmp_path)

    code, output, _ = seed(hub, tmp_path)

    assert code == 0
    assert "waiting for it" not in output
    assert_seeded(tmp_path)


def test_a_file_that_is_half_there_is_continued_and_not_fetched_again(hub: RunningHub, tmp_path: Path) -> None:
    work(tmp_path).mkdir(parents=True)
    (work(tmp_path) / f"{SHARD}.part").write_bytes(CONTENTS[SHARD][:5_000_000])
    before = len(hub.log.read_text())

    code, output, _ = seed(hub, tmp_path)

    assert code == 0
    assert "of which 5.00 MB are here already" in output
    assert_seeded(tmp_path)
    assert " 206 Partial Content" in hub.log.read_text()[before:]


def test_a_file_that_is_whole_in_the_work_folder_is_read_again_and_not_fetched(hub: RunningHub, tmp_path: Path) -> None:
    work(tmp_path).mkdir(parents=True)
    (work(tmp_path) / SHARD).write_bytes(CONTENTS[SHARD])
    before = len(hub.log.read_text())

    assert seed(hub, tmp_path)[0] == 0

    assert_seeded(tmp_path)
    assert SHARD not in hub.log.read_text()[before:]


@pytest.mark.parametrize("name", [SHARD, f"{SHARD}.part"])
@pytest.mark.parametrize("length", [5_000_000, 8_522_376, 9_000_000])
def test_what_an_earlier_run_left_damaged_is_fetched_from_the_start(
    hub: RunningHub, tmp_path: Path, name: str, length: int
) -> None:
    work(tmp_path).mkdir(parents=True)
    (work(tmp_path) / name).write_bytes(bytes(length))

    assert seed(hub, tmp_path)[0] == 0
    assert_seeded(tmp_path)


def test_what_is_not_of_the_source_does_not_get_published(hub: RunningHub, tmp_path: Path) -> None:
    (work(tmp_path) / "old").mkdir(parents=True)
    (work(tmp_path) / "old/weights.bin").write_bytes(b"x")
    (work(tmp_path) / ".seeded.json").write_text("{}")
    (work(tmp_path) / "link").symlink_to("/etc/passwd")

    assert seed(hub, tmp_path)[0] == 0
    assert_seeded(tmp_path)


def _missing(folder: Path) -> None:
    (folder / SHARD).unlink()


def _truncated(folder: Path) -> None:
    os.truncate(folder / SHARD, 1000)


def _a_folder(folder: Path) -> None:
    (folder / SHARD).unlink()
    (folder / SHARD).mkdir()


def _unmarked(folder: Path) -> None:
    (folder / ".seeded.json").unlink()


def _unmarked_and_flipped(folder: Path) -> None:
    _unmarked(folder)
    (folder / SHARD).write_bytes(bytes(len(CONTENTS[SHARD])))


@pytest.mark.parametrize("damage", [_missing, _truncated, _a_folder, _unmarked, _unmarked_and_flipped])
def test_a_published_folder_that_is_damaged_is_repaired_in_its_place(
    hub: RunningHub, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    seed(hub, tmp_path)
    kept = (published(tmp_path) / "config.json").stat().st_ino
    damage(published(tmp_path))
    before = len(hub.log.read_text())

    code, output, _ = seed(hub, tmp_path)

    assert code == 0
    assert f"{FOLDER} is repaired: " in output
    assert_seeded(tmp_path)
    assert (published(tmp_path) / "config.json").stat().st_ino == kept
    fetched = set(re.findall(r"/resolve/\w+/(\S+)", hub.log.read_text()[before:]))
    assert fetched == (set() if damage is _unmarked else {SHARD})


def test_a_flipped_bit_in_a_published_file_is_found_where_checksums_are_asked_for(
    hub: RunningHub, tmp_path: Path
) -> None:
    seed(hub, tmp_path)
    content = bytearray(CONTENTS[SHARD])
    content[4_000_000] ^= 1
    (published(tmp_path) / SHARD).write_bytes(content)
    assert "nothing to do" in seed(hub, tmp_path)[1]

    code, output, _ = seed(hub, tmp_path, "--checksums")

    assert code == 0
    assert f"is repaired: {SHARD} has the sha256" in output
    assert_seeded(tmp_path)


def test_a_reader_of_the_damaged_file_keeps_what_it_has_open(hub: RunningHub, tmp_path: Path) -> None:
    seed(hub, tmp_path)
    _truncated(published(tmp_path))
    with (published(tmp_path) / SHARD).open("rb") as reader:
        assert seed(hub, tmp_path)[0] == 0
        assert len(reader.read()) == 1000


def test_a_flipped_bit_on_the_way_is_refused_and_nothing_is_published(
    hub: RunningHub, tmp_path: Path, damaged: Path
) -> None:
    content = bytearray(CONTENTS[SHARD])
    content[4_000_000] ^= 1
    damaged.write_bytes(content)

    code, _, errors = seed(hub, tmp_path)

    assert code == HOPELESS
    assert re.fullmatch(
        rf"weight-seeder: error: checksum mismatch: {SHARD} has the sha256 [0-9a-f]{{64}}, the source announced"
        r" [0-9a-f]{64}: fetched twice, and removed\n",
        errors,
    )
    assert not published(tmp_path).exists()
    assert not (work(tmp_path) / f"{SHARD}.part").exists()

    damaged.write_bytes(CONTENTS[SHARD])
    assert seed(hub, tmp_path)[0] == 0
    assert_seeded(tmp_path)


@pytest.mark.parametrize("started", [0, 8_522_375])
def test_a_truncated_file_is_refused_and_nothing_is_published(
    hub: RunningHub, tmp_path: Path, damaged: Path, started: int
) -> None:
    damaged.write_bytes(CONTENTS[SHARD][:-1])
    work(tmp_path).mkdir(parents=True)
    (work(tmp_path) / f"{SHARD}.part").write_bytes(CONTENTS[SHARD][:started])

    code, _, errors = seed(hub, tmp_path)

    assert code == HOPELESS
    assert "the hub sends 8522375 bytes, and announced 8522376" in errors
    assert len(errors.splitlines()) == 1
    assert not published(tmp_path).exists()


def test_a_rest_of_another_length_is_not_taken_and_what_is_here_is_kept(
    hub: RunningHub, tmp_path: Path, damaged: Path
) -> None:
    damaged.write_bytes(CONTENTS[SHARD][:-1])
    part = work(tmp_path) / f"{SHARD}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENTS[SHARD][:5_000_000])

    code, _, errors = seed(hub, tmp_path, "--patience=1")

    assert code == 1
    assert re.search(r"given up after \d+ s without a byte\n$", errors)
    assert part.read_bytes() == CONTENTS[SHARD][:5_000_000]

    damaged.write_bytes(CONTENTS[SHARD])
    assert seed(hub, tmp_path)[0] == 0
    assert_seeded(tmp_path)


def test_two_seeders_of_one_revision_do_not_fight(hub: RunningHub, tmp_path: Path) -> None:
    seeders = [start(hub, tmp_path, "--workers=1") for _ in range(2)]
    outputs = [seeder.communicate(timeout=60) for seeder in seeders]

    assert [seeder.returncode for seeder in seeders] == [0, 0]
    assert sum("nothing to do" in output for output, _ in outputs) == 1
    assert_seeded(tmp_path)


def test_sigterm_ends_a_seeder_at_once_with_a_word_on_how_to_go_on(hub: RunningHub, tmp_path: Path) -> None:
    lock(tmp_path).parent.mkdir()
    lock(tmp_path).write_text(json.dumps({"owner": "some-pod/1/a", "expires": time.time() + 30}))
    with lock(tmp_path).open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = start(hub, tmp_path)
        assert process.stdout is not None
        expected = "another seeder is at work on this revision: waiting for it (some-pod/1/a)"
        assert expected in process.stdout.readline()
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
        (f"hf://{model.REPOSITORY}", "is not of the form hf://owner/name@<40-hex commit>"),
        (f"ftp://bucket@{model.commit()}", "is of no known form: hf://..., s3://..., oci://..., file://..."),
        (f"hf://{model.REPOSITORY}@{'0' * 40}", "the repository has no such revision"),
        (f"hf://rehearsal/other@{'0' * 40}", "no such repository, or a private one"),
    ],
)
def test_a_source_that_cannot_be_seeded_is_refused_in_one_line(
    in_process: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, message: str
) -> None:
    assert main(arguments(tmp_path, source=source)) == HOPELESS

    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert not list(tmp_path.glob("*--*"))


@pytest.mark.parametrize("folder", ["../elsewhere", "/etc/passwd", ".incoming/a", "a", "a/b/c", "a/.b", "lost+found/a"])
def test_a_folder_that_is_not_two_plain_levels_is_refused(
    in_process: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    assert main(arguments(tmp_path, folder=folder)) == HOPELESS
    assert "is not of the form SLUG/REVISION-SELECTION" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_selection_that_matches_nothing_is_refused(
    in_process: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(tmp_path, "--include=*.gguf", "--exclude=a*")) == HOPELESS

    assert "matches *.gguf and not a*: nothing to seed" in capsys.readouterr().err


def test_a_volume_that_is_too_small_is_found_out_before_the_first_byte(
    in_process: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=17_068_568, f_frsize=1))

    assert main(arguments(tmp_path)) == HOPELESS

    expected = "no space: 17068569 bytes are still to come and 17068568 are free"
    assert expected in capsys.readouterr().err
    assert not list(tmp_path.glob(".incoming/*/*"))


def test_a_hub_that_cannot_be_reached_is_named(
    in_process: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the client waits longer and longer between its attempts

    assert main(arguments(tmp_path, "--patience=0")) == 1

    last = capsys.readouterr().err.splitlines()[-1]
    assert last == (
        f"weight-seeder: error: list of files: {constants.ENDPOINT} cannot be reached: [Errno 111] Connection refused:"
        " given up after 0 s without a byte"
    )


@pytest.mark.parametrize("path", ["../../stray.json", "/etc/passwd", "sub/.seeded.json", ".seeded.json.new", ".served"])
def test_a_hub_cannot_place_a_file_outside_of_the_folder(
    in_process: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    stray = {"type": "file", "path": path, "size": 2, "oid": "0" * 40}
    monkeypatch.setattr(hub_tree, "paginate", lambda *_args, **_kwargs: [stray])

    assert main(arguments(tmp_path)) == HOPELESS

    assert "which has no place in the folder" in capsys.readouterr().err


def test_a_gated_repository_asks_for_the_token_and_never_shows_it(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    with hubs.running(tmp_path / "hub", f"--gated={model.REPOSITORY}", HUB_TOKEN="hf_secret") as gated:
        code, _, errors = seed(gated, tmp_path / "weights")
        assert code == HOPELESS
        assert "is gated: accept its terms on the hub and give a token that may read it in HF_TOKEN" in errors

        allowed = run(*arguments(tmp_path / "weights"), HF_ENDPOINT=gated.url, HF_TOKEN="hf_secret")
        output, errors = allowed.communicate(timeout=60)

    assert allowed.returncode == 0
    assert_seeded(tmp_path / "weights")
    assert "hf_secret" not in output + errors
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


def test_the_list_is_json_of_the_selected_files_and_nothing_else(hub: RunningHub) -> None:
    process = run("list", f"--source={SOURCE}", "--include=*.safetensors", HF_ENDPOINT=hub.url)
    output, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")
    assert json.loads(output) == {
        "source": SOURCE,
        "files": [
            {"path": name, "size": len(content)}
            for name, content in sorted(CONTENTS.items())
            if name.endswith(".safetensors")
        ],
    }


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--workers", "0"),
        ("--workers", "many"),
        ("--metrics-port", "99999"),
        ("--keep", "-1"),
        ("--lease-seconds", "0"),
    ],
)
def test_a_number_that_is_not_allowed_is_told_and_nothing_is_begun(tmp_path: Path, flag: str, value: str) -> None:
    process = run("seed", f"--source={SOURCE}", f"--volume={tmp_path}", f"--folder={FOLDER}", f"{flag}={value}")
    _, errors = process.communicate(timeout=60)

    assert process.returncode == HOPELESS
    assert f"argument {flag}" in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_a_volume_that_lets_nobody_write_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read_only(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    wanted = ["--source", SOURCE, "--folder", FOLDER]
    (tmp_path / "file").touch()
    assert main(["seed", *wanted, "--volume", str(tmp_path / "file")]) == HOPELESS
    assert f"cannot be used by user {os.geteuid()}: Not a directory: mount a folder" in capsys.readouterr().err
    monkeypatch.setattr(Path, "mkdir", read_only)
    assert main(["seed", *wanted, "--volume", str(tmp_path)]) == HOPELESS
    assert f"cannot be used by user {os.geteuid()}: Read-only file system" in capsys.readouterr().err
