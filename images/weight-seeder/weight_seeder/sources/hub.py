"""`hf://OWNER/NAME@COMMIT`: a model of the Hugging Face hub, or of anything that speaks its protocol (HF_ENDPOINT)."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, not in its __all__
    get_session,
    hf_raise_for_status,
)

from weight_seeder.faults import HopelessError, SeedError, Transient, WrongContent
from weight_seeder.files import File, Selection
from weight_seeder.sources import hub_session, hub_tree, replies

_PARTIAL, _BEYOND_THE_END = 206, 416
_NOT_YOU, _NOT_THIS = (401, 403), (400, 404)
_GIVEN_BY = "inference:hfToken, or the Secret that weights.credentials names"
_LARGE_BYTES = 1 << 20
_CHUNK_BYTES = 256 << 10
"""Fits into a processor's own cache: what was received is written from there."""


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """A model repository at one commit."""

    repository: str
    revision: str
    stall_seconds: float = 30.0

    @property
    def name(self) -> str:
        """The address, as it goes into the manifest."""
        return f"hf://{self.repository}@{self.revision}"

    @classmethod
    def parse(cls, text: str, *, read_from: Path | None, stall_seconds: float = 30.0) -> Self:
        """Read `hf://owner/name@commit`; a branch or tag names other files tomorrow, and is refused.

        Raises:
            HopelessError: for any other form.
        """
        del read_from  # nothing of a hub is mounted
        match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)@(\S+)", text)
        if match is None:
            raise HopelessError(f"source {text!r} is not of the form hf://owner/name@<40-hex commit>")
        repository, revision = match.groups()
        if not re.fullmatch("[0-9a-f]{40}", revision):
            find = f"git ls-remote {constants.ENDPOINT}/{repository} {revision}"
            raise HopelessError(
                f"revision {revision!r} is not a commit of 40 hex digits: find the commit with `{find}`"
            )
        hub_session.configure(stall_seconds=stall_seconds)
        return cls(repository=repository, revision=revision, stall_seconds=stall_seconds)

    def files(self, selection: Selection) -> list[File]:
        """The hub's list, of which only what is selected is kept."""
        with self._translated():
            return [file for file in hub_tree.files(self.repository, self.revision) if selection.takes(file.path)]

    @contextmanager
    def read(self, file: File, offset: int) -> Iterator[Iterator[bytes | memoryview]]:
        """The file's bytes from `offset` on; a redirect to another host is followed without the token."""
        # Bytes as they are stored: a part of a compressed answer is of no use.
        headers = hub_tree.headers() | {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        url = hub_tree.address(self.repository, self.revision, file.path)
        with ExitStack() as stack:
            with self._translated():
                response = stack.enter_context(get_session().stream("GET", url, headers=headers))
                if response.status_code == _BEYOND_THE_END:
                    raise WrongContent(f"{file.path}: the hub has no byte {offset} of it, and announced {file.size}")
                if response.is_error:
                    response.read()
                hf_raise_for_status(response)
                chunks = self._body(response, file, offset)
            # Not in there: what the reader's own files have against it is no fault of the hub.
            yield self._chunks(chunks)

    def _chunks(self, chunks: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        with self._translated():
            yield from chunks

    def _body(self, response: httpx2.Response, file: File, offset: int) -> Iterator[bytes | memoryview]:
        # By a proxy that does as it likes; what is compressed has no parts and no length that says anything.
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        stated = None if encoded else response.headers.get("content-length")
        length = None if stated is None else int(stated)
        if offset:
            replies.check_rest(
                file.path,
                offset=offset,
                size=file.size,
                partial=response.status_code == _PARTIAL and not encoded,
                content_range=response.headers.get("content-range"),
                length=length,
            )
        elif length is not None and length != file.size:
            raise WrongContent(f"{file.path}: the hub sends {length} bytes, and announced {file.size}")
        if encoded:
            return response.iter_bytes()
        if length is None:
            return response.iter_raw()
        connection = _socket(response) if length > _LARGE_BYTES else None
        return response.iter_raw() if connection is None else self._bulk(response, connection, length)

    def _bulk(self, response: httpx2.Response, connection: socket.socket, length: int) -> Iterator[bytes | memoryview]:
        """The body of a large file, read from the socket below the HTTP library, whose parser takes 64 KiB at a time.

        That parser is two thirds of the processor time of a download. It keeps nothing back: behind its first chunk
        the body goes on in the socket, which is closed afterwards. What is yielded is good until the next is asked for.
        """
        parsed = response.iter_raw()
        chunk = next(parsed)
        yield chunk
        length -= len(chunk)
        connection.settimeout(self.stall_seconds)
        buffer = memoryview(bytearray(_CHUNK_BYTES))
        while length and (size := self._received(response, connection, buffer[:length])):
            yield buffer[:size]
            length -= size

    def _received(self, response: httpx2.Response, connection: socket.socket, buffer: memoryview) -> int:
        try:
            return connection.recv_into(buffer)
        except OSError as error:
            host = _address(response.url)
            # The system's own (ETIMEDOUT) has a number: packets that nobody has acknowledged.
            if isinstance(error, TimeoutError) and error.errno is None:
                raise Transient(self._silent(host)) from error
            raise Transient(f"the connection to {host} broke: {_line(error)}") from error

    def _silent(self, host: str) -> str:
        return f"{host} was silent for {self.stall_seconds:.0f} s"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Faults of the client as faults of a seeding; what the client says takes several lines."""
        try:
            try:
                yield
            except hub_session.UnansweredError as unanswered:
                raise unanswered.__cause__ or unanswered from None
        except HfHubHTTPError as error:
            raise self._refused(error) from error
        except HFValidationError as error:
            raise HopelessError(f"{self.name}: no repository can have this name: {_line(error)}") from error
        except UnicodeEncodeError:
            # A header's; the fault has all of it.
            raise HopelessError(f"HF_TOKEN holds what no token does: mend {_GIVEN_BY}") from None
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise HopelessError(f"HF_ENDPOINT is not an address: {_line(error)}: mend weights.endpoint") from error
        except httpx2.TimeoutException as error:
            raise Transient(self._silent(_host(error))) from error
        except httpx2.ConnectError as error:
            raise Transient(f"{_host(error)} cannot be reached: {_line(error)}") from error
        except (httpx2.HTTPError, ssl.SSLError) as error:
            raise Transient(f"the connection to {_host(error)} broke: {_line(error)}") from error

    def _refused(self, error: HfHubHTTPError) -> Exception:
        """The fault for an answer that is an error, and none that passes."""
        line, status = hub_session.answer(error.response), error.response.status_code
        if replies.elsewhere(error.response):
            # Asked again, the hub signs another address.
            return Transient(line) if status in _NOT_YOU else SeedError(line)
        match error:
            case GatedRepoError():
                way_out = "accept its terms on the hub and give a token that may read it in HF_TOKEN"
                line = f"{self.name} is gated: {way_out} ({_GIVEN_BY})"
            case RepositoryNotFoundError():
                way_out = f"check the name, and HF_TOKEN ({_GIVEN_BY})"
                line = f"{self.name}: no such repository, or a private one: {way_out}"
            case RevisionNotFoundError():
                line = f"{self.name}: the repository has no such revision"
            case _ if status in _NOT_YOU:
                line = f"{line}: HF_TOKEN is not valid, or may not read it: mend {_GIVEN_BY}"
            case _ if status in _NOT_THIS:
                line = f"{line}: mend the source, or weights.endpoint"
            case _:
                return SeedError(line)
        return HopelessError(line)


def _socket(response: httpx2.Response) -> socket.socket | None:
    """What the body can be read from; None where that would be ciphertext (TLS in a proxy's TLS) or many streams."""
    stream = response.extensions["network_stream"]
    connection: socket.socket | None = stream.get_extra_info("socket")
    encrypted = stream.get_extra_info("ssl_object") is not None
    if response.http_version != "HTTP/1.1" or encrypted != isinstance(connection, ssl.SSLSocket):
        return None
    return connection


def _host(error: Exception) -> str:
    return _address(error.request.url) if isinstance(error, httpx2.RequestError) else "the hub"


def _address(url: httpx2.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
