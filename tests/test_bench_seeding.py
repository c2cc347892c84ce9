"""Seeding beside curl, with files of a MiB: what is measured, and what is said where it cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from rehearsal import bench_figures, bench_seeding
from rehearsal.bench_seeding import Seeding
from rehearsal.fault import Fault

SEEDING = Seeding(
    size=1_000_000_000,
    seeder_s=(5.0, 9.0, 4.0),
    curl_s=(4.0, 4.5, 3.0),
    curl_alone_s=(2.5, 2.0, 3.0),
    after_last_byte_s=(0.2, 0.25, 0.3),
)


def test_seeding_is_held_against_curl_by_medians_and_its_end_is_a_part_of_it() -> None:
    figure, seeder, end, curl, alone = bench_figures.seeding_figures(SEEDING)

    assert (figure.measured, figure.allowed, figure.ratio) == (1.25, 1.25, 1.0)
    assert figure.note == "0.80 of its throughput, 200 MB/s"
    assert (seeder.measured, seeder.allowed, end.measured, curl.measured) == (5.0, None, 0.25, 4.0)
    assert end.note.startswith("5 %")
    assert (alone.measured, alone.allowed) == (2.5, None)
    assert alone.note.endswith("0.50 of its throughput")


def test_both_download_the_files_in_turns_and_leave_nothing_behind(tmp_path: Path) -> None:
    measured = bench_seeding.measure(tmp_path / "scratch", repeats=2, file_bytes=1 << 20)

    assert measured.size == 4 << 20
    assert len(measured.seeder_s) == len(measured.curl_s) == len(measured.after_last_byte_s) == 2
    assert all(0 <= end < whole for end, whole in zip(measured.after_last_byte_s, measured.seeder_s, strict=True))
    assert all(0 < alone < whole for alone, whole in zip(measured.curl_alone_s, measured.curl_s, strict=True))
    assert not list((tmp_path / "scratch").iterdir())


def test_a_machine_without_curl_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Fault, match=r"compared with curl.*apt-get install curl"):
        bench_seeding.measure(tmp_path, repeats=1)


def test_a_disk_without_room_for_the_copies_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "curl")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=(3 << 30) - 1))
    assert bench_seeding.FILES * bench_seeding.FILE_BYTES == 1 << 30
    with pytest.raises(Fault, match=r"needs 3,221,225,472 bytes .* 3,221,225,471 are free; make room"):
        bench_seeding.measure(tmp_path, repeats=1)
    assert not list(tmp_path.iterdir())


def test_a_download_that_fails_is_told_in_one_line() -> None:
    with pytest.raises(Fault, match=r"^bench: curl failed with 22: curl: \(22\) .*$"):
        bench_seeding._timed("curl", ["sh", "-c", "echo 'curl: (22) 404' >&2; exit 22"], {"PATH": "/usr/bin:/bin"})
