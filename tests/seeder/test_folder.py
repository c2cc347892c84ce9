"""A folder as a source, with the commands that the refusals name run for real."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest
from weight_seeder.faults import HopelessError, SeedError
from weight_seeder.files import Digest, File, Selection
from weight_seeder.sources.folder import FolderSource

CONTENTS = {"config.json": b"{}", "original/model.safetensors": bytes(range(256)) * 9000, "empty": b""}
ALL = Selection()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def filled(folder: Path) -> Path:
    for name, content in CONTENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def pinned(folder: Path, sums: str | bytes | None = None, *, read_from: Path | None = None) -> FolderSource:
    """The source with the digest of the list as it is now, or of a list that is written first."""
    if sums is not None:
        (folder / "SHA256SUMS").write_bytes(sums if isinstance(sums, bytes) else sums.encode())
    digest = sha256((folder / "SHA256SUMS").read_bytes())
    path = f"/{folder.relative_to(read_from)}" if read_from else folder
    return FolderSource.parse(f"file://{path}@sha256:{digest}", read_from=read_from)


def read(source: FolderSource, file: File, offset: int = 0) -> bytes:
    with source.read(file, offset) as chunks:
        return b"".join(chunks)


def hinted(message: str) -> str:
    """The command in a message, between backticks."""
    found = re.search("`([^`]+)`", message)
    assert found is not None
    return found[1]


def test_without_a_digest_the_command_that_makes_it_is_told_and_works(tmp_path: Path) -> None:
    folder = filled(tmp_path / "it's a model")
    (folder / ".cache").mkdir()
    (folder / ".cache/lock").touch()
    with pytest.raises(HopelessError, match="says nothing of what is in the folder") as refused:
        FolderSource.parse(f"file://{folder}", read_from=None)

    for _ in range(2):  # the list does not list itself, so that a second time makes the same
        printed = subprocess.run(
            ["/bin/sh", "-ec", hinted(str(refused.value))], capture_output=True, text=True, check=True
        ).stdout
    source = FolderSource.parse(f"file://{folder}@sha256:{printed.split()[0]}", read_from=None)
    files = source.files(ALL)

    assert [(file.path, file.size, file.digest) for file in files] == [
        (name, len(content), Digest(kind="sha256", value=sha256(content))) for name, content in sorted(CONTENTS.items())
    ]
    assert {file.path: read(source, file) for file in files} == CONTENTS
    assert (source.name, source.revision) == (f"file://{folder}@sha256:{printed.split()[0]}", printed.split()[0])


@pytest.mark.parametrize("offset", [0, 1, 1 << 20, len(CONTENTS["original/model.safetensors"])])
def test_a_file_is_read_from_an_offset(tmp_path: Path, offset: int) -> None:
    content = CONTENTS["original/model.safetensors"]
    source = pinned(filled(tmp_path), f"{sha256(content)}  original/model.safetensors\n")
    (file,) = source.files(ALL)

    assert read(source, file, offset) == content[offset:]


def test_the_selection_decides_and_unlisted_files_are_left_alone(tmp_path: Path) -> None:
    source = pinned(filled(tmp_path), f"{sha256(b'{}')}  config.json\n{sha256(b'')}  empty\n")

    assert [file.path for file in source.files(ALL)] == ["config.json", "empty"]
    assert [file.path for file in source.files(Selection(include=["*.json", "*/*"]))] == ["config.json"]


def test_the_path_is_looked_up_below_the_mount(tmp_path: Path) -> None:
    folder = filled(tmp_path / "models" / "llama")
    source = pinned(folder, f"{sha256(b'{}')}  config.json\n", read_from=tmp_path)

    assert source.name.startswith("file:///models/llama@")
    assert read(source, source.files(ALL)[0]) == b"{}"


@pytest.mark.parametrize("flags", [(), ("--binary",)])
def test_every_form_of_sha256sums_lines_is_understood(tmp_path: Path, flags: tuple[str, ...]) -> None:
    names = ["plain", "./dotted", "two  spaces", "*star", "back\\slash", "line\nfeed", "carriage\rreturn", "ümlaut"]
    for name in names:
        (tmp_path / name).write_text(name)
    listed = subprocess.run(["sha256sum", *flags, "--", *names], cwd=tmp_path, capture_output=True, check=True).stdout
    source = pinned(tmp_path, listed)

    found = {file.path: read(source, file) for file in source.files(ALL)}

    assert found == {name.removeprefix("./"): name.encode() for name in names}


def test_a_list_that_is_another_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    source = pinned(filled(tmp_path), f"{sha256(b'{}')}  config.json\n")
    (tmp_path / "SHA256SUMS").write_text(f"{sha256(b'{ }')}  config.json\n")

    with pytest.raises(HopelessError, match=r"checksum mismatch: .*/SHA256SUMS has the sha256 [0-9a-f]{64}"):
        source.files(ALL)


@pytest.mark.parametrize(
    ("sums", "message"),
    [
        (f"{'0' * 64}  config.json\n{'0' * 64}  ./config.json\n", "line 2 names 'config.json' a second time"),
        (f"SHA256 (config.json) = {'0' * 64}\n", "line 1 is not as sha256sum writes it"),
        (f"{'0' * 40}  config.json\n", "line 1 is not as sha256sum writes it"),
        (f"{'0' * 64}  missing\n", "missing is not there, and SHA256SUMS names it"),
        (f"{'0' * 64}  config.json/below\n", "config.json/below is not there"),
        (f"{'0' * 64}  original\n", "original is not a file"),
        (f"{'0' * 64}  ../outside\n", "../outside leads out of the folder"),
        (f"{'0' * 64}  /etc/hostname\n", "/etc/hostname leads out of the folder"),
        (f"{'0' * 64}  link\n", "link leads out of the folder"),
        (f"{'0' * 64}  linked/outside\n", "linked/outside leads out of the folder"),
        (b"0" * 64 + b"  \xff\n", "names that are not UTF-8"),
    ],
)
def test_a_list_that_cannot_be_followed_is_refused(tmp_path: Path, sums: str | bytes, message: str) -> None:
    folder = filled(tmp_path / "model")
    (tmp_path / "outside").touch()
    (folder / "link").symlink_to("../outside")
    (folder / "linked").symlink_to("..")

    with pytest.raises(HopelessError, match=message):
        pinned(folder, sums).files(ALL)


def test_a_link_that_leads_out_since_the_listing_is_refused(tmp_path: Path) -> None:
    source = pinned(filled(tmp_path / "model"), f"{sha256(b'{}')}  config.json\n")
    (file,) = source.files(ALL)
    (tmp_path / "secret").write_text("{}")
    (tmp_path / "model/config.json").unlink()
    (tmp_path / "model/config.json").symlink_to("../secret")

    with pytest.raises(HopelessError, match="leads out of the folder"):
        read(source, file)


def test_a_file_that_got_shorter_ends_the_run(tmp_path: Path) -> None:
    source = pinned(filled(tmp_path), f"{sha256(b'{}')}  config.json\n")
    (file,) = source.files(ALL)
    (tmp_path / "config.json").write_bytes(b"{")

    with pytest.raises(SeedError, match="got shorter while it was read: run again"):
        read(source, file)


def test_a_folder_without_a_list_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    filled(tmp_path / "llama")
    source = FolderSource.parse(f"file:///llama@sha256:{'0' * 64}", read_from=tmp_path)

    # The command is for where the folder is, and not for where it is mounted.
    with pytest.raises(HopelessError, match=r"^/llama/SHA256SUMS is not there: .*`cd /llama && find "):
        source.files(ALL)


@pytest.mark.parametrize(
    "text",
    [
        "file://models/llama@sha256:" + "0" * 64,
        "file:///models/../llama@sha256:" + "0" * 64,
        "file:///models/llama/@sha256:" + "0" * 64,
        "file:///models/llama@sha256:" + "0" * 63,
        "file:///models/llama@main",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(HopelessError):
        FolderSource.parse(text, read_from=None)
