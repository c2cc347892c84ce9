"""`hf://OWNER/NAME@COMMIT`: a model of the Hugging Face hub, or of anything that speaks its protocol (HF_ENDPOINT)."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, not in its __all__
    build_hf_headers,
    get_session,
    hf_raise_for_status,
)

from weight_seeder.faults import HopelessError, RangeIgnored, SeedError, Transient, WrongContent
from weight_seeder.files import Digest, File, Selection
from weight_seeder.sources import hub_session

_PARTIAL, _BEYOND_THE_END = 206, 416
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
            entries = list(HfApi().list_repo_tree(self.repository, revision=self.revision, recursive=True))
        return [_file(entry) for entry in entries if isinstance(entry, RepoFile) and selection.takes(entry.path)]

    @contextmanager
    def read(self, file: File, offset: int) -> Iterator[Iterator[bytes | memoryview]]:
        """The file's bytes from `offset` on; a redirect to another host is followed without the token."""
        # Bytes as they are stored: a part of a compressed answer is of no use.
        headers = build_hf_headers(library_name="weight-seeder") | {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        url = hf_hub_url(self.repository, file.path, revision=self.revision)
        with self._translated(), get_session().stream("GET", url, headers=headers) as response:
            if response.status_code == _BEYOND_THE_END:
                raise WrongContent(f"{file.path}: the hub has no byte {offset} of it, and announced {file.size}")
            if response.is_error:
                response.read()
            hf_raise_for_status(response)
            yield self._body(response, file, offset)

    def _body(self, response: httpx2.Response, file: File, offset: int) -> Iterator[bytes | memoryview]:
        if offset and response.status_code != _PARTIAL:
            raise RangeIgnored
        if response.headers.get("content-encoding", "identity") != "identity":
            # By a proxy that does as it likes; what is compressed has no parts and no length that says anything.
            if offset:
                raise RangeIgnored
            return response.iter_bytes()
        if "content-length" not in response.headers:
            return response.iter_raw()
        length = int(response.headers["content-length"])
        if offset + length != file.size:
            raise WrongContent(f"{file.path}: the hub sends {offset + length} bytes, and announced {file.size}")
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
        while length and (size := connection.recv_into(buffer[:length])):
            yield buffer[:size]
            length -= size

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Faults of the client as faults of a seeding; what the client says takes several lines."""
        try:
            yield
        except GatedRepoError as error:
            raise HopelessError(
                f"{self.name} is gated: accept its terms on the hub and give a token that may read it in HF_TOKEN"
            ) from error
        except RepositoryNotFoundError as error:
            raise HopelessError(
                f"{self.name}: no such repository, or a private one: check the name, and HF_TOKEN"
            ) from error
        except RevisionNotFoundError as error:
            raise HopelessError(f"{self.name}: the repository has no such revision") from error
        except HfHubHTTPError as error:
            raise SeedError(hub_session.answer(error.response)) from error
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise HopelessError(f"HF_ENDPOINT is not an address: {_line(error)}: mend weights.endpoint") from error
        except (httpx2.TimeoutException, TimeoutError) as error:
            raise Transient(f"{_host(error)} was silent for {self.stall_seconds:.0f} s") from error
        except httpx2.ConnectError as error:
            raise Transient(f"{_host(error)} cannot be reached: {_line(error)}") from error
        except ValueError as error:
            raise Transient(f"the hub's list cannot be read: {_line(error)}") from error
        except (httpx2.HTTPError, ConnectionError, ssl.SSLError) as error:
            raise Transient(f"the connection to {_host(error)} broke: {_line(error)}") from error


def _file(entry: RepoFile) -> File:
    digest = (
        Digest(kind="sha256", value=entry.lfs.sha256) if entry.lfs else Digest(kind="git-blob", value=entry.blob_id)
    )
    return File(path=entry.path, size=entry.size, digest=digest)


def _socket(response: httpx2.Response) -> socket.socket | None:
    """What the body can be read from; None where that would be ciphertext (TLS in a proxy's TLS) or many streams."""
    stream = response.extensions["network_stream"]
    connection: socket.socket | None = stream.get_extra_info("socket")
    encrypted = stream.get_extra_info("ssl_object") is not None
    if response.http_version != "HTTP/1.1" or encrypted != isinstance(connection, ssl.SSLSocket):
        return None
    return connection


def _host(error: Exception) -> str:
    if not isinstance(error, httpx2.RequestError):
        return "the hub"
    url = error.request.url
    return f"{url.scheme}://{url.netloc.decode()}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
