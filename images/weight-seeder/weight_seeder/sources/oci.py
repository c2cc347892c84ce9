"""Weights as an OCI artifact: each file is a layer of a manifest, which is named by its digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from os import environ
from pathlib import Path
from typing import Self

import httpx2

from weight_seeder.answers import passes, retry_after
from weight_seeder.faults import HopelessError, Transient
from weight_seeder.files import File, Selection
from weight_seeder.sources import oci_manifest, replies
from weight_seeder.sources.oci_login import GIVE, Login

_REGISTRY = r"[A-Za-z0-9.-]+(?::\d+)?"
_STEP = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_ADDRESS = re.compile(rf"oci://({_REGISTRY})/({_STEP}(?:/{_STEP})*)(?::([\w.-]+))?(?:@(.*))?")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class OciSource:
    """An artifact in a registry; `revision` is the sha256 of its manifest."""

    name: str
    registry: str
    repository: str
    revision: str
    stall_seconds: float

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        read_from: Path | None,  # noqa: ARG003 - only a folder is mounted
        stall_seconds: float = 30.0,
    ) -> Self:
        """Read `oci://REGISTRY/REPOSITORY@sha256:HEX`."""
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise HopelessError(f"source {text!r} is not of the form oci://REGISTRY/REPOSITORY@sha256:<64 hex>")
        registry, repository, tag, pin = match.groups()
        digest = _DIGEST.fullmatch(pin or "")
        if tag or digest is None:
            raise HopelessError(
                f"source {text!r} names no digest, and a tag is of another artifact tomorrow: find the digest with "
                f"`oras resolve {registry}/{repository}:{tag or 'TAG'}`, and write oci://{registry}/{repository}@DIGEST"
            )
        return cls(name=text, registry=registry, repository=repository, revision=digest[1], stall_seconds=stall_seconds)

    def files(self, selection: Selection) -> list[File]:
        """The selected layers of the manifest, which is checked against its digest."""
        content = b""
        with self._get(f"manifests/sha256:{self.revision}", {"Accept": oci_manifest.ACCEPT}) as answer:
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > oci_manifest.MOST_BYTES:
                    raise HopelessError(f"{self.name}: its manifest has more than {oci_manifest.MOST_BYTES} bytes")
        found = hashlib.sha256(content).hexdigest()
        if found != self.revision:
            raise HopelessError(f"checksum mismatch: the manifest that came for {self.name} has the sha256 {found}")
        return [file for file in oci_manifest.files(content, self.name) if selection.takes(file.path)]

    @contextmanager
    def read(self, file: File, offset: int) -> Iterator[Iterator[bytes]]:
        """The bytes of a layer from `offset`; they may come from another host, which is not told who asks."""
        if offset >= file.size:
            # A range that holds nothing is answered with 416.
            yield iter(())
            return
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={offset}-"} if offset else {})}
        with self._get(f"blobs/sha256:{file.digest.value}", headers) as answer:
            if offset:
                length = answer.headers.get("content-length")
                replies.check_rest(
                    file.path,
                    offset=offset,
                    size=file.size,
                    partial=answer.status_code == httpx2.codes.PARTIAL_CONTENT,
                    content_range=answer.headers.get("content-range"),
                    length=None if length is None else int(length),
                )
            yield self._chunks(answer)

    def _chunks(self, answer: httpx2.Response) -> Iterator[bytes]:
        with self._asking():
            yield from answer.iter_raw()

    @cached_property
    def _client(self) -> httpx2.Client:
        """On a redirect to another origin this client leaves the Authorization out."""
        # Docker Hub's registry is not where its name says.
        host = "registry-1.docker.io" if self.registry == "docker.io" else self.registry
        address = (environ.get("OCI_ENDPOINT") or f"https://{host}").rstrip("/")
        return httpx2.Client(
            base_url=f"{address}/v2/{self.repository}/",
            auth=Login(registry=self.registry, repository=self.repository),
            timeout=httpx2.Timeout(self.stall_seconds, connect=min(_CONNECT_SECONDS, self.stall_seconds)),
            follow_redirects=True,
            limits=httpx2.Limits(max_connections=64),
        )

    @contextmanager
    def _get(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        with self._asking(), self._client.stream("GET", path, headers=headers) as answer:
            self._judge(answer)
            yield answer

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """What is wrong on the way to it. The class says so: a text may name an endpoint that has a password in it."""
        try:
            yield
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL):
            raise HopelessError("OCI_ENDPOINT is not an http:// or https:// address: mend weights.endpoint") from None
        except httpx2.TransportError as error:
            line = f"{self.registry}: no connection, or one that broke or fell silent ({type(error).__name__})"
            raise Transient(line) from None
        except httpx2.HTTPError as error:
            raise HopelessError(f"{self.name}: the registry's answers make no sense ({type(error).__name__})") from None

    def _judge(self, answer: httpx2.Response) -> None:
        """An answer that is no content, as one of the seeder's faults."""
        status = answer.status_code
        line = f"{self.name}: {answer.url.host} answered {status}"
        if passes(status):
            raise Transient(line, retry_after(answer.headers))
        if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            if replies.elsewhere(answer):
                # Asked again, the registry signs another address.
                raise Transient(line)
            raise HopelessError(f"{line}: {GIVE}")
        if status == httpx2.codes.NOT_FOUND:
            raise HopelessError(f"{line}: no such artifact, or one that is hidden: mend the source, or {GIVE}")
        if not answer.is_success:
            raise HopelessError(line)
