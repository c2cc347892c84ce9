"""Verification that follows a download: it reads the volume, and not what was sent to it."""

from __future__ import annotations

import hashlib
import os
import random
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from weight_seeder.digests import hasher
from weight_seeder.faults import HopelessError
from weight_seeder.files import Digest, File
from weight_seeder.tally import Tally
from weight_seeder.trailing import Trailing

BLOCK = 1 << 20
CONTENT = random.Random(1).randbytes(5 * BLOCK + 12345)  # noqa: S311 - the same in every run
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def file(size: int = len(CONTENT), kind: str = "sha256") -> File:
    return File(path="weights", size=size, digest=Digest(kind=kind, value=""))


def wait_for(tally: Tally, size: int) -> None:
    deadline = time.monotonic() + 10
    while tally.verified_bytes < size:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_blocks_are_read_back_while_the_rest_still_comes_in(tmp_path: Path) -> None:
    path, one = tmp_path / "weights", file()
    tally = Tally([one])
    with path.open("wb", buffering=0) as stream, Trailing(path, one, tally, block=BLOCK) as trailing:
        for position in range(0, len(CONTENT), BLOCK):
            stream.write(CONTENT[position : position + BLOCK])
            trailing.written(stream.tell())
            wait_for(tally, stream.tell())
        assert trailing.digests() == {"sha256": SHA256}


def test_less_than_a_block_waits_for_more(tmp_path: Path) -> None:
    path, one = tmp_path / "weights", file()
    path.write_bytes(CONTENT)
    tally = Tally([one])
    with Trailing(path, one, tally, block=BLOCK) as trailing:
        trailing.written(BLOCK - 1)
        time.sleep(0.1)
        assert tally.verified_bytes == 0
        trailing.written(BLOCK)
        wait_for(tally, BLOCK)


@pytest.mark.parametrize("position", [0, 3 * BLOCK, len(CONTENT) - 1])
def test_a_byte_that_flips_on_the_volume_after_it_was_written_is_found(tmp_path: Path, position: int) -> None:
    path, one = tmp_path / "weights", file()
    with path.open("w+b", buffering=0) as stream, Trailing(path, one, Tally([one]), block=BLOCK) as trailing:
        stream.write(CONTENT)
        os.pwrite(stream.fileno(), bytes([CONTENT[position] ^ 1]), position)
        trailing.written(len(CONTENT))
        assert trailing.digests()["sha256"] != SHA256


def test_each_block_is_on_the_disk_and_dropped_from_memory_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, one = tmp_path / "weights", file()
    path.write_bytes(CONTENT)
    done: list[str] = []

    def noted(name: str) -> None:
        real: Callable[..., Any] = getattr(os, name)

        def call(*given: Any) -> Any:
            done.append(name)
            return real(*given)

        monkeypatch.setattr(os, name, call)

    for name in ("fdatasync", "posix_fadvise", "preadv"):
        noted(name)
    with Trailing(path, one, Tally([one]), block=BLOCK) as trailing:
        trailing.written(len(CONTENT))
        trailing.digests()

    assert done[:3] == ["fdatasync", "posix_fadvise", "preadv"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("sha256", SHA256),
        ("git-blob", hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT, usedforsecurity=False).hexdigest()),
        ("crc32", f"{zlib.crc32(CONTENT):08x}"),
    ],
)
def test_the_sha256_and_what_the_source_announces_are_computed_in_one_pass(
    tmp_path: Path, kind: str, expected: str
) -> None:
    path, one = tmp_path / "weights", file(kind=kind)
    path.write_bytes(CONTENT)
    tally = Tally([one])
    with Trailing(path, one, tally, block=BLOCK) as trailing:
        trailing.written(len(CONTENT))
        assert trailing.digests() == {"sha256": SHA256, kind: expected}
    assert tally.verified_bytes == len(CONTENT)


@pytest.mark.parametrize(
    ("kind", "of_the_check_string"),
    # The check values of the CRC catalogue (reveng): of the ASCII digits 1 to 9.
    [("crc32", "cbf43926"), ("crc32c", "e3069283"), ("crc64nvme", "ae8b14860a799888")],
)
def test_the_checksums_are_those_of_the_catalogue(kind: str, of_the_check_string: str) -> None:
    one = hasher(kind, 9)
    one.update(memoryview(b"1234"))
    one.update(memoryview(b"56789"))
    assert one.hexdigest() == of_the_check_string


def test_a_kind_that_is_not_known_is_refused() -> None:
    with pytest.raises(HopelessError, match="of the kind 'md4', which is not known"):
        hasher("md4", 1)


def test_an_empty_file_has_a_digest_as_well(tmp_path: Path) -> None:
    (tmp_path / "weights").touch()
    one = file(size=0)
    with Trailing(tmp_path / "weights", one, Tally([one])) as trailing:
        assert trailing.digests() == {"sha256": hashlib.sha256(b"").hexdigest()}


def test_a_file_that_cannot_be_read_is_told_by_both_ends(tmp_path: Path) -> None:
    one = file()
    with Trailing(tmp_path / "none", one, Tally([one]), block=BLOCK) as trailing:
        with pytest.raises(FileNotFoundError):
            trailing.digests()
        with pytest.raises(FileNotFoundError):
            trailing.written(BLOCK)


def test_a_file_that_becomes_shorter_is_no_verified_file(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(CONTENT[:BLOCK])
    one = file()
    with Trailing(tmp_path / "weights", one, Tally([one]), block=BLOCK) as trailing:
        trailing.written(len(CONTENT))
        with pytest.raises(OSError, match="has become shorter while it was read back"):
            trailing.digests()


def test_a_download_that_ends_early_ends_its_verification(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(CONTENT)
    one = file()
    begun = time.monotonic()
    with Trailing(tmp_path / "weights", one, Tally([one]), block=BLOCK) as trailing:
        trailing.written(BLOCK + 1)
    assert time.monotonic() - begun < 5
