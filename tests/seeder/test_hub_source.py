"""The hub as a source: what its answers mean, and large files, which are read below the HTTP library."""

from __future__ import annotations

import errno
import hashlib
import random
import ssl
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest
from huggingface_hub import constants
from weight_seeder.faults import HopelessError, RangeIgnored, SeedError, Transient, WrongContent
from weight_seeder.files import Digest, File, Selection
from weight_seeder.sources import hub
from weight_seeder.sources.hub import HubSource

from tests.seeder.answering import Answer, Asked, answering
from tests.seeder.certificates import certify

CONTENT = random.Random(1).randbytes(5 << 20)  # noqa: S311 - the same in every run
FILE = File(
    path="model.safetensors",
    size=len(CONTENT),
    digest=Digest(kind="sha256", value=hashlib.sha256(CONTENT).hexdigest()),
)
SOURCE = f"hf://owner/name@{'1' * 40}"


def reply(asked: Asked) -> Answer:
    """The content, from where it is asked for."""
    first = int(asked.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    return Answer(status=206 if first else 200, body=CONTENT[first:])


@pytest.mark.parametrize("offset", [0, 1 << 20, len(CONTENT) - 10])
def test_a_large_file_comes_whole_over_tls_from_any_byte_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    certificate, key = certify(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    with answering(reply, context=context) as server:
        # HF_ENDPOINT, as of when the client was imported.
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        with HubSource.parse(SOURCE, read_from=None).read(FILE, offset) as chunks:
            received = b"".join(bytes(chunk) for chunk in chunks)

    assert server.url.startswith("https://")
    assert received == CONTENT[offset:]


@pytest.mark.parametrize(
    ("version", "stream", "below"),
    [
        ("HTTP/1.1", {"socket": "plain", "ssl_object": None}, True),
        ("HTTP/1.1", {"socket": "tls", "ssl_object": "tls"}, True),
        ("HTTP/1.1", {"socket": "plain", "ssl_object": "tls in a proxy's tls"}, False),
        ("HTTP/2", {"socket": "tls", "ssl_object": "tls"}, False),
    ],
)
def test_what_is_below_the_library_is_read_only_where_it_is_the_body(
    monkeypatch: pytest.MonkeyPatch, version: str, stream: dict[str, Any], *, below: bool
) -> None:
    class Tls:
        """In place of an SSLSocket, which cannot be made without a connection."""

    monkeypatch.setattr(hub, "ssl", SimpleNamespace(SSLSocket=Tls))
    tls = Tls()
    found = {name: tls if value == "tls" else value for name, value in stream.items()}
    network = SimpleNamespace(get_extra_info=found.get)
    response = SimpleNamespace(http_version=version, extensions={"network_stream": network})

    assert (hub._socket(cast("httpx2.Response", response)) is not None) is below


def hub_at(monkeypatch: pytest.MonkeyPatch, url: str) -> HubSource:
    # HF_ENDPOINT, as of when the client was imported.
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return HubSource.parse(SOURCE, read_from=None, stall_seconds=5)


def received(source: HubSource, offset: int = 0) -> bytes:
    with source.read(FILE, offset) as chunks:
        return b"".join(bytes(chunk) for chunk in chunks)


@pytest.mark.parametrize(
    ("status", "headers", "line"),
    [
        (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, "is not valid, or may not read it"),
        (403, {}, "HF_TOKEN is not valid, or may not read it"),
        (401, {"X-Error-Code": "GatedRepo"}, "is gated: accept its terms on the hub and give a token"),
        (403, {"X-Error-Code": "GatedRepo"}, "is gated: accept its terms on the hub and give a token"),
        (401, {"X-Error-Code": "RepoNotFound"}, "no such repository, or a private one: check the name"),
        (400, {}, "mend the source, or weights.endpoint"),
        (404, {}, "mend the source, or weights.endpoint"),
        (404, {"X-Error-Code": "EntryNotFound"}, "mend the source, or weights.endpoint"),
    ],
)
def test_what_the_hub_itself_refuses_is_not_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str], line: str
) -> None:
    with answering(lambda _: Answer(status=status, headers=headers)) as server:
        source = hub_at(monkeypatch, server.url)
        for ask in (lambda: received(source), lambda: source.files(Selection())):
            with pytest.raises(HopelessError, match=line) as fault:
                ask()
            secret = "inference:hfToken, or the Secret that weights.credentials names"
            assert (secret in str(fault.value)) is (status in (401, 403))
            assert len(str(fault.value).splitlines()) == 1
            assert "hf_secret" not in str(fault.value)


@pytest.mark.parametrize(("status", "kind"), [(401, Transient), (403, Transient), (400, SeedError), (404, SeedError)])
def test_what_the_storage_refuses_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, status: int, kind: type[Exception]
) -> None:
    with answering(lambda _: Answer(status=status)) as storage:
        moved = Answer(status=302, headers={"Location": f"{storage.url}/o/n/resolve/x?X-Signature=secret"})
        with (
            answering(lambda _: moved) as server,
            pytest.raises(kind, match=rf"answered {status} to {storage.url}/o/n/resolve/x$") as fault,
        ):
            received(hub_at(monkeypatch, server.url))
    assert type(fault.value) is kind


@pytest.mark.parametrize("status", [401, 403])
def test_a_redirect_within_the_hub_is_not_another_host(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    def reply(asked: Asked) -> Answer:
        return Answer(status=status) if asked.path == "/new" else Answer(status=307, headers={"Location": "/new"})

    with answering(reply) as server, pytest.raises(HopelessError, match="inference:hfToken"):
        received(hub_at(monkeypatch, server.url))


def test_a_name_that_no_repository_has_is_not_asked_for_again() -> None:
    with pytest.raises(HopelessError, match="no repository can have this name"):
        HubSource.parse(f"hf://owner/a--b..c@{'1' * 40}", read_from=None).files(Selection())


def test_a_token_that_fits_no_header_is_told_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda _: Answer(body=b"[]")) as server:
        source = hub_at(monkeypatch, server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_s\xe9cret")
        with pytest.raises(HopelessError, match="HF_TOKEN holds what no token does: mend inference:hfToken") as fault:
            source.files(Selection())
    assert "cret," not in str(fault.value)


@pytest.mark.parametrize("content", [b"<html>", b'["\xff"]'])
def test_a_list_that_is_no_json_is_worth_another_try(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    with (
        answering(lambda _: Answer(body=content)) as server,
        pytest.raises(Transient, match="the hub's list cannot be read"),
    ):
        hub_at(monkeypatch, server.url).files(Selection())


@pytest.mark.parametrize(
    "own",
    [
        TimeoutError(errno.ETIMEDOUT, "of a network file system"),
        BrokenPipeError(errno.ESHUTDOWN, "of a file system that lost its server"),
        OSError(errno.EIO, "of a disk"),
        ValueError("a mistake"),
    ],
)
def test_what_fails_where_the_bytes_go_is_not_taken_for_the_hub(
    monkeypatch: pytest.MonkeyPatch, own: Exception
) -> None:
    with answering(reply) as server:
        source = hub_at(monkeypatch, server.url)

        def take() -> None:
            with source.read(FILE, 0) as chunks:
                for number, _ in enumerate(chunks):
                    if number == 2:
                        raise own

        with pytest.raises(type(own)) as fault:
            take()
    assert fault.value is own


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), "broke: .*No route to host"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "broke: .*Network is unreachable"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "broke: .*Connection timed out"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), "broke: .*Connection reset"),
        (ssl.SSLError(1, "bad record mac"), "broke: .*bad record mac"),
        (TimeoutError("timed out"), "was silent for 5 s"),
    ],
)
def test_a_socket_that_fails_below_the_library_is_worth_another_try(
    monkeypatch: pytest.MonkeyPatch, broken: OSError, line: str
) -> None:
    class Broken:
        """In place of the connection, behind its first chunk."""

        def settimeout(self, _: float) -> None:
            """It is there already."""

        def recv_into(self, _: memoryview) -> int:
            raise broken

    monkeypatch.setattr(hub, "_socket", lambda _: Broken())
    with answering(reply) as server:
        source = hub_at(monkeypatch, server.url)
        with pytest.raises(Transient, match=rf"{server.url} {line}|the connection to {server.url} {line}"):
            received(source)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(body=b"<html>try again"), Transient),
        (Answer(body=CONTENT), RangeIgnored),
        (Answer(status=206, body=CONTENT[1000:], headers={"Content-Range": f"bytes 999-1/{len(CONTENT)}"}), Transient),
        (
            Answer(
                status=206,
                body=CONTENT[1000:],
                headers={"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"},
            ),
            Transient,
        ),
        (
            Answer(
                status=206,
                body=CONTENT[1000:-1],
                headers={"Content-Range": f"bytes 1000-{len(CONTENT) - 2}/{len(CONTENT) - 1}"},
            ),
            Transient,
        ),
        (
            Answer(
                status=206,
                body=CONTENT[999:],
                headers={"Content-Range": f"bytes 1000-{len(CONTENT)}/{len(CONTENT) + 1}"},
            ),
            Transient,
        ),
        (Answer(status=206, body=CONTENT[1000:], headers={"Content-Range": "nonsense"}), Transient),
        (Answer(status=206, body=CONTENT[1000:-1]), Transient),
        (Answer(status=206, body=CONTENT[999:]), Transient),
    ],
)
def test_a_wrong_rest_is_refused_before_a_byte_and_without_a_word_against_what_is_here(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, fault: type[Exception]
) -> None:
    with answering(lambda _: answer) as server:
        source = hub_at(monkeypatch, server.url)
        with pytest.raises(fault), source.read(FILE, 1000):
            pytest.fail("it was taken")


def test_a_rest_that_ends_early_is_taken_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    for total in (str(len(CONTENT)), "*"):
        part = Answer(status=206, body=CONTENT[1000:5000], headers={"Content-Range": f"bytes 1000-4999/{total}"})

        def reply(_: Asked, part: Answer = part) -> Answer:
            return part

        with answering(reply) as server:
            assert received(hub_at(monkeypatch, server.url), 1000) == CONTENT[1000:5000]


def test_a_whole_file_of_another_length_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        answering(lambda _: Answer(body=CONTENT[:-1])) as server,
        pytest.raises(WrongContent, match=f"the hub sends {len(CONTENT) - 1} bytes, and announced {len(CONTENT)}"),
    ):
        received(hub_at(monkeypatch, server.url))


def test_a_hub_that_is_not_there_is_told_at_once_and_not_asked_again_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("the client waits by itself"))

    with pytest.raises(Transient, match=r"http://127\.0\.0\.1:1 cannot be reached"):
        HubSource.parse(SOURCE, read_from=None).files(Selection())
