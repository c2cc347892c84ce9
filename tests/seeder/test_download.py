"""The download loop over a source that misbehaves as told, and the hub's faults as the loop sees them."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Self

import pytest
from weight_seeder import answers, volume
from weight_seeder.faults import HopelessError, RangeIgnored, SeedError, Transient, WrongContent
from weight_seeder.files import Digest, File, Selection
from weight_seeder.lock import Lease, LeaseLost
from weight_seeder.retries import Retries
from weight_seeder.seed import Order, seed
from weight_seeder.sources.hub import HubSource
from weight_seeder.volume import Place

from tests.seeder.answering import Answer, Asked, answering

CONTENT = random.Random(1).randbytes(300_000)  # noqa: S311 - the same in every run
CHUNK = 10_000
FILE = File(
    path="sub/weights", size=len(CONTENT), digest=Digest(kind="sha256", value=hashlib.sha256(CONTENT).hexdigest())
)
FOLDER = "slug/000000000000-00000000"


@dataclass
class Told:
    """A source that does what a test says before each chunk (`at`), and sends `content` otherwise."""

    at: Callable[[Told, int], None] = lambda _source, _position: None
    content: bytes = CONTENT
    asked: list[tuple[float, int]] = field(default_factory=list)
    name: str = "told://"
    revision: str = ""
    listed: list[File] = field(default_factory=lambda: [FILE])

    @classmethod
    def parse(cls, text: str, *, read_from: Path | None, stall_seconds: float = 30.0) -> Self:
        raise NotImplementedError

    def files(self, selection: Selection) -> list[File]:
        return [file for file in self.listed if selection.takes(file.path) or "/" in file.path]

    @contextmanager
    def read(self, file: File, offset: int) -> Iterator[Iterator[bytes]]:
        self.asked.append((time.monotonic(), offset))
        yield self._chunks(offset)

    def _chunks(self, offset: int) -> Iterator[bytes]:
        for position in range(offset, len(self.content), CHUNK):
            self.at(self, position)
            yield self.content[position : position + CHUNK]


def lease_of(volume: Path, *, seconds: float = 30) -> Lease:
    path = Place(volume=volume, folder=FOLDER).lock
    path.parent.mkdir(exist_ok=True)
    lease = Lease(path, seconds=seconds, on_loss=lambda _: None)
    lease.acquire()
    return lease


def run(
    volume: Path,
    source: Told,
    *,
    patience: float = 30,
    retry_seconds: float = 0.01,
    workers: int = 4,
    lease: Lease | None = None,
) -> None:
    order = Order(
        source=source,
        selection=Selection(),
        place=Place(volume=volume, folder=FOLDER),
        workers=workers,
        patience=patience,
        retry_seconds=retry_seconds,
        checksums=False,
        metrics_port=0,
    )
    held = lease or lease_of(volume)
    try:
        seed(order, held)
    finally:
        held.release()


def seeded(volume: Path) -> bool:
    path = volume / FOLDER / FILE.path
    return path.exists() and path.read_bytes() == CONTENT


def broken_at(*positions: int, fault: Exception | None = None) -> Callable[[Told, int], None]:
    left = list(positions)

    def at(_: Told, position: int) -> None:
        if left and position >= left[0]:
            left.pop(0)
            raise fault or Transient("the connection broke")

    return at


def test_a_download_that_breaks_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = Told(at=broken_at(0, 50_000, 200_000))
    run(tmp_path, source)

    assert seeded(tmp_path)
    assert [offset for _, offset in source.asked] == [0, 0, 50_000, 200_000]
    assert "sub/weights: the connection broke: trying again in 0 s" in capsys.readouterr().out


def test_a_source_that_ends_early_is_asked_for_the_rest(tmp_path: Path) -> None:
    def at(source: Told, position: int) -> None:
        source.content = CONTENT if position else CONTENT[: 2 * CHUNK]

    source = Told(at=at)
    source.content = CONTENT[: 2 * CHUNK]
    run(tmp_path, source)

    assert seeded(tmp_path)
    assert len(source.asked) > 1


def test_pauses_grow_while_nothing_comes_and_start_anew_with_every_byte(tmp_path: Path) -> None:
    left = iter([0, 0, 0, 0, 50_000, 50_000])
    positions = list(left)

    def at(_: Told, position: int) -> None:
        if positions and position >= positions[0]:
            positions.pop(0)
            raise Transient("no")

    source = Told(at=at)
    run(tmp_path, source, retry_seconds=0.1)

    times = [moment for moment, _ in source.asked]
    pauses = [after - before for before, after in pairwise(times)]
    # 0.1 s doubled each time, and a half to a whole of it.
    for pause, longest in zip(pauses, (0.1, 0.2, 0.4, 0.8, 0.1, 0.2), strict=True):
        assert longest / 2 <= pause < longest + 0.3
    assert pauses[3] > pauses[4]


def test_patience_ends_without_a_byte_and_what_came_is_kept(tmp_path: Path) -> None:
    def at(_: Told, position: int) -> None:
        if position >= 100_000:
            raise Transient("the hub answered 503")

    with pytest.raises(
        SeedError, match=r"sub/weights: the hub answered 503: given up after \d+ s without a byte"
    ) as fault:
        run(tmp_path, Told(at=at), patience=0.3)

    assert fault.value.exit_code == 1
    assert not (tmp_path / FOLDER).exists()
    part = tmp_path / ".incoming" / FOLDER.replace("/", "--") / "sub/weights.part"
    assert part.read_bytes() == CONTENT[:100_000]


def test_a_source_that_sends_the_same_bytes_again_and_again_does_not_keep_patience_alive(tmp_path: Path) -> None:
    @dataclass
    class Whole(Told):
        @contextmanager
        def read(self, file: File, offset: int) -> Iterator[Iterator[bytes]]:
            if offset:
                raise RangeIgnored
            with super().read(file, offset) as chunks:
                yield chunks

    def at(_: Told, position: int) -> None:
        if position >= 100_000:
            raise Transient("broken")

    with pytest.raises(SeedError, match="given up"):
        run(tmp_path, Whole(at=at), patience=0.3)

    # The same source without a fault: the file starts over, and is right.
    run(tmp_path, Whole())
    assert seeded(tmp_path)


def test_retry_after_holds_back_all_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [File(path=f"sub/{number}", size=FILE.size, digest=FILE.digest) for number in range(6)]
    refused: list[float] = []

    def at(_: Told, position: int) -> None:
        if not refused and position == 0:
            refused.append(time.monotonic())
            raise Transient("the hub answered 429", retry_after=0.7)

    pause = Retries.pause

    def late(self: Retries, fault: Transient, *, failures: int, what: str) -> None:
        # The refused download is slow to wait; meanwhile another one gets its turn.
        time.sleep(0.3)
        pause(self, fault, failures=failures, what=what)

    monkeypatch.setattr(Retries, "pause", late)
    source = Told(at=at, listed=others)
    run(tmp_path, source, workers=2)

    # One beside it may have begun; nobody begins before the time is up.
    begun = [moment for moment, _ in source.asked if moment > refused[0]]
    assert len(begun) >= len(others) - 1
    assert sorted(begun)[1] - refused[0] >= 0.7
    assert (tmp_path / FOLDER / "sub/5").read_bytes() == CONTENT


def test_a_source_that_asks_for_more_time_than_there_is_patience_is_given_up_with_a_line_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    source = Told(at=broken_at(0, fault=Transient("the hub answered 429", retry_after=3600)))
    with pytest.raises(
        SeedError,
        match=r"^sub/weights: the hub answered 429: given up: it asks to be left alone for 3\d\d\d s more, and patience"
        r" ends after 0 s without a byte$",
    ) as fault:
        run(tmp_path, source, patience=0.4)

    assert fault.value.exit_code == 1
    # Nor sooner: the Job would ask anew.
    assert 0.4 <= time.monotonic() - begun < 2
    assert len(source.asked) == 1
    assert "it asks to be left alone for 3600 s, longer than there is patience" in capsys.readouterr().out


def test_what_is_here_is_kept_when_the_source_does_not_answer_for_the_rest_of_it(tmp_path: Path) -> None:
    @dataclass
    class Unanswering(Told):
        @contextmanager
        def read(self, file: File, offset: int) -> Iterator[Iterator[bytes]]:
            with super().read(file, offset) as chunks:
                if len(self.asked) in (2, 3):
                    raise Transient("the answer is another's")
                yield chunks

    source = Unanswering(at=broken_at(100_000))
    run(tmp_path, source)
    assert seeded(tmp_path)
    assert [offset for _, offset in source.asked] == [0, 100_000, 100_000, 100_000]


def test_no_more_downloads_run_at_a_time_than_workers(tmp_path: Path) -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def at(_: Told, position: int) -> None:
        nonlocal running, most
        if position == 0:
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
        if position + CHUNK >= len(CONTENT):
            with lock:
                running -= 1

    listed = [File(path=f"sub/{number}", size=FILE.size, digest=FILE.digest) for number in range(9)]
    run(tmp_path, Told(at=at, listed=listed), workers=3)
    assert most == 3


def _again(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line.endswith(": fetched again")]


def test_a_wrong_checksum_is_fetched_once_more_from_the_start_and_then_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Told(content=CONTENT[:-1] + b"x" if CONTENT[-1:] != b"x" else CONTENT[:-1] + b"y")
    found = hashlib.sha256(source.content).hexdigest()

    with pytest.raises(HopelessError) as fault:
        run(tmp_path, source)

    assert str(fault.value) == (
        f"checksum mismatch: sub/weights has the sha256 {found}, the source announced {FILE.digest.value}:"
        " fetched twice, and removed"
    )
    assert [offset for _, offset in source.asked] == [0, 0]
    assert not list((tmp_path / ".incoming").rglob("*weights*"))
    assert _again(capsys) == [
        (
            f"weight-seeder: checksum mismatch: sub/weights has the sha256 {found[:12]}..., the source announced "
            f"{FILE.digest.value[:12]}...: fetched again"
        )
    ]


def test_a_checksum_that_is_right_the_second_time_is_right(tmp_path: Path) -> None:
    source = Told(content=bytes(len(CONTENT)))

    def at(told: Told, position: int) -> None:
        if len(told.asked) == 2:
            told.content = CONTENT

    source.at = at
    run(tmp_path, source)
    assert seeded(tmp_path)


def test_a_damaged_file_that_is_there_is_told_with_both_digests_and_fetched_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, Told())
    path = tmp_path / FOLDER / FILE.path
    path.write_bytes(bytes(len(CONTENT)))
    (tmp_path / FOLDER / ".seeded.json").unlink()
    run(tmp_path, Told())

    assert seeded(tmp_path)
    zeros = hashlib.sha256(bytes(len(CONTENT))).hexdigest()
    assert _again(capsys) == [
        (
            f"weight-seeder: sub/weights in the published folder has the sha256 {zeros[:12]}..., and the source "
            f"announced {FILE.digest.value[:12]}...: fetched again"
        )
    ]


def test_more_bytes_than_announced_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HopelessError, match="sends more than the 300000 bytes announced: fetched twice"):
        run(tmp_path, Told(content=CONTENT + b"x"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_volume_that_fills_up_says_what_is_needed_and_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write = os.write
    written = 0

    def full(descriptor: int, content: bytes) -> int:
        nonlocal written
        if len(content) == CHUNK:
            written += 1
            if written > 10:
                raise OSError(number, os.strerror(number))
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(HopelessError, match=r"^no space: 200000 bytes are still to come and \d+ are free on "):
        run(tmp_path, Told())


def test_a_full_volume_fails_at_once_with_needed_and_free_bytes(tmp_path: Path) -> None:
    def crowd(_: Told, position: int) -> None:
        # Others write to the volume meanwhile.
        if position == CHUNK:
            (tmp_path / "other").write_bytes(bytes(200_000))

    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", tmp_path], check=True)
    try:
        source = Told()
        with pytest.raises(HopelessError, match=r"no space: 300000 bytes are still to come and \d{6} are free"):
            run(tmp_path, source)
        assert not source.asked

        subprocess.run(["mount", "-o", "remount,size=400k", tmp_path], check=True)
        source.at = crowd
        with pytest.raises(HopelessError, match=r"no space: \d+ bytes are still to come and 0 are free"):
            run(tmp_path, source)
        assert not (tmp_path / FOLDER).exists()

        (tmp_path / "other").unlink()
        run(tmp_path, Told())
        assert seeded(tmp_path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_whoever_has_lost_the_lease_writes_nothing_more(tmp_path: Path) -> None:
    lease = lease_of(tmp_path, seconds=0.2)

    def at(_: Told, position: int) -> None:
        if position == 100_000:
            lease.path.write_text('{"owner": "another", "expires": 9999999999}')
            time.sleep(0.3)

    with pytest.raises(LeaseLost):
        run(tmp_path, Told(at=at), lease=lease)

    place = Place(volume=tmp_path, folder=FOLDER)
    assert (place.work / "sub/weights.part").stat().st_size == 100_000
    assert not place.published.exists()


def test_whoever_loses_the_lease_before_the_last_rename_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = lease_of(tmp_path)

    def lost(_: Path) -> None:
        lease.path.write_text('{"owner": "another", "expires": 9999999999}')

    monkeypatch.setattr(volume, "sync_tree", lost)
    with pytest.raises(LeaseLost):
        run(tmp_path, Told(), lease=lease)

    place = Place(volume=tmp_path, folder=FOLDER)
    assert not place.published.exists()
    assert not (place.work / ".seeded.json").exists()


def test_after_a_take_over_nothing_unfinished_is_trusted(tmp_path: Path) -> None:
    part = Place(volume=tmp_path, folder=FOLDER).work / "sub/weights.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:100_000])
    lease = lease_of(tmp_path)
    lease.usurped = True
    with part.open("ab", buffering=0) as old:

        def at(_: Told, position: int) -> None:
            # The one that was frozen wakes up in the middle of its write.
            if position == 150_000:
                old.write(b"late" * 1000)

        source = Told(at=at)
        run(tmp_path, source, lease=lease)

    assert [offset for _, offset in source.asked] == [0]
    assert seeded(tmp_path)


def test_pauses_are_capped_and_end_when_all_is_over() -> None:
    lines: list[str] = []
    retries = Retries(patience=1000, first_seconds=0.001, say=lines.append)
    begun = time.monotonic()
    retries.pause(Transient("x"), failures=100, what="f")
    assert time.monotonic() - begun < 1
    retries.stop()
    with pytest.raises(SeedError):
        retries.pause(Transient("x", retry_after=100), failures=1, what="f")
    assert lines[1] == "f: x: trying again in 100 s"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), (" 120 ", 120.0), ("", None), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_retry_after_is_in_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert answers.retry_after({"Retry-After": value}) == seconds


def hub_file(size: int) -> File:
    return File(path="weights", size=size, digest=Digest(kind="sha256", value=""))


def hub_source(monkeypatch: pytest.MonkeyPatch, url: str, *, stall_seconds: float = 5) -> HubSource:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return HubSource.parse(f"hf://a/b@{'0' * 40}", read_from=None, stall_seconds=stall_seconds)


def body(source: HubSource, size: int, offset: int = 0) -> bytes:
    with source.read(hub_file(size), offset) as chunks:
        return b"".join(bytes(chunk) for chunk in chunks)


def test_the_token_goes_to_the_hub_and_not_to_the_storage_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda _: Answer(body=b"weights")) as storage:
        moved = Answer(status=302, headers={"Location": f"{storage.url}/there?X-Signature=secret"})
        with answering(lambda _: moved) as hub:
            source = hub_source(monkeypatch, hub.url)
            assert body(source, 7) == b"weights"
            assert hub.asked[-1].headers["authorization"] == "Bearer hf_secret"
    assert "authorization" not in storage.asked[-1].headers
    assert storage.asked[-1].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("answer", "offset", "fault", "line"),
    [
        (Answer(status=429, headers={"Retry-After": "3"}), 0, Transient, "the hub answered 429 to http://"),
        (Answer(status=429, headers={"ratelimit": '"api";r=0;t=3'}), 0, Transient, "the hub answered 429 to http://"),
        (Answer(status=503), 0, Transient, "the hub answered 503 to http://"),
        (Answer(status=403), 0, HopelessError, "the hub answered 403 to http://"),
        (Answer(status=416), 5, WrongContent, "the hub has no byte 5 of it, and announced 7"),
        (Answer(body=b"weights"), 5, RangeIgnored, ""),
        (Answer(body=b"weight"), 0, WrongContent, "the hub sends 6 bytes, and announced 7"),
        (
            Answer(body=b"weig", headers={"Content-Length": "7", "Connection": "close"}),
            0,
            Transient,
            "the connection to",
        ),
    ],
)
def test_what_the_hub_answers_is_one_of_the_faults_that_the_loop_knows(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, offset: int, fault: type[Exception], line: str
) -> None:
    def reply(_: Asked) -> Answer:
        return answer

    with answering(reply) as hub, pytest.raises(fault) as raised:
        body(hub_source(monkeypatch, hub.url), 7, offset)

    assert line in str(raised.value)
    assert type(raised.value) is fault
    if answer.status == 429:
        assert isinstance(raised.value, Transient)
        assert raised.value.retry_after == 3


def test_a_signature_of_the_storage_does_not_get_into_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda _: Answer(status=500)) as storage:
        moved = Answer(status=302, headers={"Location": f"{storage.url}/there?X-Signature=secret"})
        with answering(lambda _: moved) as hub, pytest.raises(Transient) as raised:
            body(hub_source(monkeypatch, hub.url), 7)
    assert str(raised.value) == f"the hub answered 500 to {storage.url}/there"


@pytest.mark.parametrize("sent", [0, 10, 3 << 20])
def test_a_hub_that_falls_silent_is_left_after_a_while(monkeypatch: pytest.MonkeyPatch, sent: int) -> None:
    size = 8 << 20
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                if sent:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(sent))
                over.wait(20)

        over = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        source = hub_source(monkeypatch, f"http://127.0.0.1:{listening.getsockname()[1]}", stall_seconds=0.3)
        begun = time.monotonic()
        with pytest.raises(Transient, match="was silent for 0 s"):
            body(source, size)
        assert time.monotonic() - begun < 5
        over.set()
        thread.join()


def test_a_large_body_comes_whole_past_the_parser_and_from_any_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    content = random.Random(2).randbytes(5 << 20)  # noqa: S311 - the same in every run

    def reply(asked: Asked) -> Answer:
        first = int(asked.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        return Answer(status=206 if first else 200, body=content[first:])

    with answering(reply) as hub:
        source = hub_source(monkeypatch, hub.url)
        for offset in (0, 1, 1 << 20, len(content) - 1):
            assert body(source, len(content), offset) == content[offset:]


def test_an_endpoint_that_is_no_address_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    source = hub_source(monkeypatch, "hub.example.com")
    with pytest.raises(HopelessError, match=r"HF_ENDPOINT is not an address: .*: mend weights\.endpoint"):
        source.files(Selection())


def test_a_list_that_is_no_json_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda _: Answer(body=b"<html>")) as hub, pytest.raises(Transient, match="list cannot be read"):
        hub_source(monkeypatch, hub.url).files(Selection())
