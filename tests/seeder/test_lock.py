"""The lock of a folder: between processes, with holders that die, freeze and wake up again."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from weight_seeder import lock_file
from weight_seeder.lock import Lease, LeaseLost

from tests.seeder.seeding import environment

LEASE = 0.6


def lease(path: Path, *, seconds: float = LEASE, lost: list[str] | None = None) -> Lease:
    return Lease(path, seconds=seconds, on_loss=(lost if lost is not None else []).append)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a--b.lock"


HOLDER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from weight_seeder.lock import Lease

    def end(line):
        print("lost:", line, flush=True)

    held = Lease(Path(sys.argv[1]), seconds=float(sys.argv[2]), on_loss=end)
    held.acquire()
    print("held by", held.owner, flush=True)
    try:
        while True:
            held.check()
            time.sleep(0.01)
    except Exception as error:
        print(type(error).__name__, flush=True)
""")


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock."""
    command = [sys.executable, "-c", HOLDER, str(path), str(LEASE)]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("held by")
    yield process
    process.kill()
    process.communicate()


def test_a_lease_names_its_owner_and_when_it_lapses_and_is_free_after_its_release(path: Path) -> None:
    held = lease(path)
    held.acquire()

    state = json.loads(path.read_text())
    assert state["owner"] == held.owner
    assert held.owner.split("/")[1] == str(os.getpid())
    assert 0 < state["expires"] - time.time() <= LEASE

    held.release()
    assert path.read_bytes() == b""
    with pytest.raises(LeaseLost):
        held.check()


def test_a_living_holder_keeps_its_lease_far_longer_than_it_lasts(path: Path, holder: subprocess.Popen[str]) -> None:
    other = lease(path)
    end = time.monotonic() + 4 * LEASE
    while time.monotonic() < end:
        assert not other.try_acquire()
        time.sleep(0.02)
    assert holder.poll() is None


def test_the_lock_of_a_holder_that_was_killed_is_free_at_once_and_its_work_is_to_be_trusted(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    other = lease(path)

    assert other.try_acquire()
    assert not other.usurped
    other.release()


def test_a_frozen_holder_loses_its_lease_and_stops_when_it_wakes_up(
    path: Path, holder: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    holder.send_signal(signal.SIGSTOP)
    other = lease(path)
    begun = time.monotonic()
    other.acquire()

    # Not before the time that it has left is up, and one lease more.
    assert LEASE < time.monotonic() - begun < 4 * LEASE
    assert other.usurped
    assert "another seeder is at work on this revision: waiting for it (" in capsys.readouterr().out
    holder.send_signal(signal.SIGCONT)
    assert holder.stdout is not None
    said = {holder.stdout.readline().split(":")[0].strip()}
    assert said <= {"LeaseLost", "lost"}
    other.check()
    other.renew()
    assert json.loads(path.read_text())["owner"] == other.owner
    other.release()


def test_a_holder_that_was_frozen_for_a_while_goes_on_where_nobody_wanted_the_lock(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.send_signal(signal.SIGSTOP)
    time.sleep(1.5 * LEASE)
    holder.send_signal(signal.SIGCONT)
    time.sleep(LEASE)

    assert holder.poll() is None
    assert not lease(path).try_acquire()


def test_of_many_that_want_the_lock_of_a_lost_holder_one_gets_it(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGSTOP)
    time.sleep(2.5 * LEASE)
    others = [lease(path, seconds=60) for _ in range(8)]
    taken: list[Lease] = []
    start = threading.Barrier(len(others))

    def attempt(one: Lease) -> None:
        start.wait()
        # A lease of a minute has not expired by a minute more: the file says a time that has long passed.
        one.seconds = LEASE
        if one.try_acquire():
            taken.append(one)

    threads = [threading.Thread(target=attempt, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == 1
    taken[0].check()
    taken[0].release()


def test_whoever_takes_over_waits_until_the_critical_moment_of_the_holder_is_over(path: Path) -> None:
    first = lease(path)
    first.acquire()
    second = lease(path)
    with first.critical():
        first._released.set()  # as if it froze here: it renews no more
        thread = threading.Thread(target=second.acquire)
        thread.start()
        time.sleep(3 * LEASE)
        assert thread.is_alive()
        assert json.loads(path.read_text())["owner"] == first.owner
    thread.join(timeout=5)

    assert json.loads(path.read_text())["owner"] == second.owner
    with pytest.raises(LeaseLost), first.critical():
        pytest.fail("another has it")
    first.release()
    second.check()
    second.release()


def test_the_loss_is_told_by_the_thread_that_renews(path: Path) -> None:
    lost: list[str] = []
    held = lease(path, lost=lost)
    held.acquire()
    path.unlink()
    deadline = time.monotonic() + 10
    while not lost:
        assert time.monotonic() < deadline
        time.sleep(0.01)

    assert lost == ["the lock of a--b is another seeder's by now: nothing more is touched"]
    held.release()


def test_a_discarded_lock_leaves_no_file_behind(path: Path) -> None:
    held = lease(path)
    held.acquire()
    held.discard()
    assert not list(path.parent.iterdir())

    again = lease(path)
    assert again.try_acquire()
    again.release()


def test_a_lock_that_is_discarded_slowly_is_not_taken_for_a_lost_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    held = lease(path, lost=lost)
    held.acquire()
    unlink = Path.unlink

    def slowly(file: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002  # as the method has it
        unlink(file, missing_ok)
        time.sleep(LEASE)

    monkeypatch.setattr(Path, "unlink", slowly)
    held.discard()
    assert not lost


def test_a_release_waits_for_the_renewal_that_is_under_way(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = lease(path)
    held.acquire()
    begun = threading.Event()
    write, renewed = lock_file.write, []

    def slowly(descriptor: int, owner: str, seconds: float) -> None:
        begun.set()
        time.sleep(0.2)
        write(descriptor, owner, seconds)
        renewed.append(descriptor)

    monkeypatch.setattr(lock_file, "write", slowly)
    assert begun.wait(5)
    held.release()

    assert renewed
    assert path.read_bytes() == b""
    with pytest.raises(LeaseLost):
        held.check()


def test_a_lease_lapses_while_the_machine_is_suspended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = lease(path, seconds=30)
    held.acquire()
    path.write_text(json.dumps({"owner": "another", "expires": time.time() + 30}))
    held.check()  # it has not been looked at
    clock = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + (60 if which == time.CLOCK_BOOTTIME else 0))

    with pytest.raises(LeaseLost):
        held.check()
    held.release()


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without flock."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_without_flock_a_lease_is_kept_by_its_time_and_free_after_its_release(path: Path, no_flock: None) -> None:
    first, second = lease(path), lease(path)
    assert first.try_acquire()
    time.sleep(2.5 * LEASE)
    assert not second.try_acquire()

    first.release()
    assert second.try_acquire()
    assert not second.usurped
    second.release()


def test_without_flock_a_lease_that_is_not_renewed_is_taken_over(path: Path, no_flock: None) -> None:
    first, second = lease(path), lease(path)
    first.acquire()
    first._released.set()
    time.sleep(2.5 * LEASE)

    assert second.try_acquire()
    assert second.usurped
    with pytest.raises(LeaseLost):
        first.check()
    second.release()


def test_without_flock_one_of_many_gets_it(path: Path, no_flock: None) -> None:
    for _ in range(20):
        others = [lease(path, seconds=30) for _ in range(6)]
        start = threading.Barrier(len(others))

        def attempt(one: Lease, start: threading.Barrier = start) -> None:
            start.wait()
            one.try_acquire()

        threads = [threading.Thread(target=attempt, args=(one,)) for one in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        owners = []
        for one in others:
            with suppress(LeaseLost):
                one.renew()
                owners.append(one)

        # At times none, and all try again; never two.
        assert len(owners) <= 1
        for one in others:
            one.release()
        path.unlink(missing_ok=True)
