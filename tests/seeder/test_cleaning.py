"""Cleaning beside others: what replicas were served from, pods that are on their way out, cleaners and seeders."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from weight_seeder import clean, publish
from weight_seeder.clean import Cleaning
from weight_seeder.faults import SeedError
from weight_seeder.lock import Lease
from weight_seeder.volume import Place

from tests.seeder.test_clean import CURRENT, folder, left, make


def lease(path: Path) -> Lease:
    return Lease(path, seconds=30, on_loss=lambda _: None)


def cleaning(volume: Path, in_use: Callable[[], set[str]] = set, *, keep: int = 1) -> Cleaning:
    return Cleaning(place=Place(volume=volume, folder=CURRENT), keep=keep, in_use=in_use, lease=lease)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    for number in range(4):
        make(tmp_path, folder(number), age=100 * number)
    return tmp_path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean, "_POLL_SECONDS", 0.01)


def serve(volume: Path, number: int, *, age: float) -> None:
    mark = volume / folder(number) / ".served"
    mark.touch()
    os.utime(mark, (time.time() - age, time.time() - age))


@pytest.mark.parametrize(("keep", "stay"), [(1, {0, 3}), (2, {0, 2, 3}), (3, {0, 1, 2, 3})])
def test_what_was_served_last_stays_and_what_never_was_goes_first(volume: Path, keep: int, stay: set[int]) -> None:
    serve(volume, 3, age=1000)
    serve(volume, 2, age=2000)
    # The newest of all was seeded, and never came into use.
    cleaning(volume, keep=keep).run(wait=0)
    assert left(volume) == stay


def test_pods_that_are_on_their_way_out_are_waited_for(volume: Path) -> None:
    asked: list[int] = []

    def ending() -> set[str]:
        asked.append(1)
        if len(asked) == 3:
            raise SeedError("the API server is away")
        return {folder(3)} if len(asked) < 6 else set()

    cleaning(volume, ending).run(wait=30)
    assert left(volume) == {0, 1}


def test_pods_that_stay_are_named_when_the_time_is_up(volume: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()
    cleaning(volume, lambda: {folder(3), folder(1)}).run(wait=0.2)

    assert 0.2 <= time.monotonic() - begun < 5
    assert left(volume) == {0, 1, 3}
    # The one that is kept anyway needs no word.
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"weight-seeder: still in use, and removed after the next change: {folder(3)}"


@pytest.fixture
def busy(volume: Path) -> Iterator[Callable[[], None]]:
    """Another cleaner that has folders renamed away; returns what lets it go on to its end."""
    moved, proceed = threading.Event(), threading.Event()
    asked: list[int] = []

    def in_use() -> set[str]:
        asked.append(1)
        if len(asked) == 2:
            moved.set()
            assert proceed.wait(20)
        return set()

    faults: list[BaseException] = []

    def run() -> None:
        try:
            cleaning(volume, in_use).run(wait=0)
        except BaseException as fault:  # noqa: BLE001  # for the test
            faults.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    assert moved.wait(20)

    def end() -> None:
        proceed.set()
        thread.join()

    yield end
    end()
    assert not faults


def test_a_second_cleaner_waits_for_the_first_one(
    volume: Path, busy: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    second = threading.Thread(target=cleaning(volume).run, kwargs={"wait": 0})
    second.start()
    time.sleep(0.3)
    assert left(volume) == {0, 1}
    assert second.is_alive()
    busy()
    second.join()

    assert left(volume) == {0, 1}
    assert "this volume is being cleaned: waiting for it (" in capsys.readouterr().out


def test_a_seeder_leaves_cleaning_to_the_one_that_is_at_it(volume: Path, busy: Callable[[], None]) -> None:
    cleaning(volume).run_unless_another_does()
    assert left(volume) == {0, 1}
    busy()
    make(volume, folder(3), age=300)
    cleaning(volume).run_unless_another_does()
    assert left(volume) == {0, 1}


def test_what_is_in_the_trash_is_not_put_back_where_somebody_is_seeding_it(volume: Path) -> None:
    trash = volume / ".incoming" / f".trash-{folder(3).replace('/', '--')}"
    trash.parent.mkdir()
    (volume / folder(3)).rename(trash)
    held = lease(Place(volume=volume, folder=folder(3)).lock)
    held.acquire()
    cleaning(volume, keep=9).run(wait=0)
    assert left(volume) == {0, 1, 2}
    assert trash.exists()

    held.release()
    cleaning(volume, keep=9).run(wait=0)
    assert left(volume) == {0, 1, 2, 3}


def test_work_that_vanishes_while_it_is_looked_at_is_somebodys(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = volume / ".incoming/owner--name--000000000009-01234567"
    work.mkdir(parents=True)
    os.utime(work, (0, 0))
    rglob = Path.rglob

    def vanishing(path: Path, pattern: str) -> Iterator[Path]:
        yield from rglob(path, pattern)
        if path == work:
            yield path / "renamed-in-between"

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rglob", vanishing)
        cleaning(volume).run(wait=0)
    assert work.exists()

    cleaning(volume).run(wait=0)
    assert not work.exists()


def test_a_cleaner_that_removes_the_empty_folder_of_a_model_does_not_disturb_what_is_published_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(volume=tmp_path, folder=folder(7))
    place.work.mkdir(parents=True)
    held = lease(place.lock)
    held.acquire()
    rename = Path.rename
    disturbed: list[Path] = []

    def disturb(old: Path, new: Path) -> Path:
        if not disturbed:
            disturbed.append(new)
            new.parent.rmdir()
        return rename(old, new)

    monkeypatch.setattr(Path, "rename", disturb)
    publish.publish(place, [], lambda folder: (folder / ".seeded.json").touch(), held)
    held.release()
    assert disturbed == [place.published]
    assert (place.published / ".seeded.json").exists()
