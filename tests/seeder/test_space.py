"""Volumes that are full, in whatever call that is found out, and volumes that are still growing."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from weight_seeder import space, volume
from weight_seeder.faults import HopelessError
from weight_seeder.files import Digest, File
from weight_seeder.options import parser
from weight_seeder.tally import Tally

from tests.seeder.test_download import CONTENT, Told, run, seeded

TALLY = Tally([File(path="a", size=500, digest=Digest(kind="sha256", value=""))])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_bytes_that_do_not_get_to_the_disk_are_still_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", full)
        with pytest.raises(HopelessError, match=rf"^no space: {len(CONTENT)} bytes are still to come and \d+ are free"):
            run(tmp_path, Told())
    run(tmp_path, Told())
    assert seeded(tmp_path)


def test_a_volume_without_room_for_the_last_step_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(volume, "sync_tree", full)
    with pytest.raises(HopelessError, match=r"^no space: a name or a marker is still to be written and .* enlarge it"):
        run(tmp_path, Told())
    assert not seeded(tmp_path)


def growing(monkeypatch: pytest.MonkeyPatch, *totals: int) -> list[float]:
    """A volume of these sizes, the last one for good, that has 100 bytes less free; returns the pauses."""
    pauses: list[float] = []

    def found(_: Path) -> SimpleNamespace:
        total = totals[min(len(pauses), len(totals) - 1)]
        return SimpleNamespace(f_blocks=total, f_bavail=total - 100, f_frsize=1)

    monkeypatch.setattr(os, "statvfs", found)
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


def test_a_volume_that_is_still_growing_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses = growing(monkeypatch, 300, 300, 950)
    space.ensure(Path("/weights"), TALLY, promised=1000, patience=60)
    assert pauses == [5.0, 5.0]
    assert capsys.readouterr().out == (
        "weight-seeder: /weights has 300 of the 1000 bytes that its claim asks for: waiting for it to grow\n"
    )


@pytest.mark.parametrize(("total", "promised", "patience"), [(590, 0, 60), (590, 650, 60), (590, 1000, 0)])
def test_a_volume_that_has_grown_or_does_not_or_is_of_no_said_size_is_not(
    monkeypatch: pytest.MonkeyPatch, total: int, promised: int, patience: float
) -> None:
    pauses = growing(monkeypatch, total)
    with pytest.raises(HopelessError, match=r"^no space: 500 bytes are still to come and 490 are free on /weights"):
        space.ensure(Path("/weights"), TALLY, promised=promised, patience=patience)
    assert not pauses


def test_room_that_is_there_needs_no_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = growing(monkeypatch, 600)
    space.ensure(Path("/weights"), TALLY, promised=10_000, patience=60)
    assert not pauses


def test_the_size_of_the_claim_is_an_option_of_seeding() -> None:
    seed = ["seed", "--source=s", "--volume=/weights", "--folder=a/b"]
    assert parser().parse_args(seed).volume_size == 0
    assert parser().parse_args([*seed, "--volume-size=17179869184"]).volume_size == 16 << 30
