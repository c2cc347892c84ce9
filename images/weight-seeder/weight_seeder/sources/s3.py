"""Weights in S3, or in what speaks its protocol: the objects below a prefix."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

from weight_seeder.faults import HopelessError
from weight_seeder.files import Digest, File, Selection
from weight_seeder.sources import names, replies, s3_faults, sums

_FORM = "s3://BUCKET/PREFIX or s3://BUCKET/PREFIX@sha256:<64 hex, the sha256 of PREFIX/SHA256SUMS>"
_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([^@/](?:[^@]*[^@/])?)(?:@sha256:([0-9a-f]{64}))?")
_CHUNK_BYTES = 1 << 20
_HEADS_AT_ONCE = 8
# The strongest first. What is left out: SHA-1, and the composite of a multipart upload, which names no content.
_CHECKSUMS = {
    "ChecksumSHA256": "sha256",
    "ChecksumCRC64NVME": "crc64nvme",
    "ChecksumCRC32C": "crc32c",
    "ChecksumCRC32": "crc32",
}


@dataclass(frozen=True, kw_only=True)
class S3Source:
    """The objects below a prefix; `revision` is the sha256 of its SHA256SUMS, or empty."""

    name: str
    bucket: str
    prefix: str
    revision: str
    stall_seconds: float
    _etags: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        read_from: Path | None,  # noqa: ARG003 - only a folder is mounted
        stall_seconds: float = 30.0,
    ) -> Self:
        """Read `s3://BUCKET/PREFIX[@sha256:HEX]`."""
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise HopelessError(f"source {text!r} is not of the form {_FORM}")
        bucket, prefix, revision = match.groups()
        return cls(name=text, bucket=bucket, prefix=prefix, revision=revision or "", stall_seconds=stall_seconds)

    def files(self, selection: Selection) -> list[File]:
        """The selected objects, with the sums of SHA256SUMS where the source pins it, else with their own checksums."""
        with self._asking("list"):
            listed = self._listed()
        if self.revision:
            return self._pinned(listed, selection)
        wanted = sorted(path for path in listed if selection.takes(path))
        names.check(wanted, self.name)
        with ThreadPoolExecutor(_HEADS_AT_ONCE) as pool:
            return list(pool.map(self._head, wanted))

    @contextmanager
    def read(self, file: File, offset: int) -> Iterator[Iterator[bytes]]:
        """The bytes of an object as it was listed; another content under its name is refused."""
        if offset >= file.size:
            # S3 answers 416 to a range that holds nothing.
            yield iter(())
            return
        asked = {"Key": self._key(file.path), "IfMatch": self._etags[file.path]}
        if offset:
            asked["Range"] = f"bytes={offset}-"
        with self._asking("read", file.path):
            answer = self._client.get_object(Bucket=self.bucket, **asked)
            with closing(answer["Body"]) as body:
                if offset:
                    content_range = answer.get("ContentRange")
                    replies.check_rest(
                        file.path,
                        offset=offset,
                        size=file.size,
                        partial=content_range is not None,
                        content_range=content_range,
                        length=answer.get("ContentLength"),
                    )
                yield self._chunks(body, file.path)

    def _chunks(self, body: Any, path: str) -> Iterator[bytes]:
        with self._asking("read", path):
            yield from body.iter_chunks(_CHUNK_BYTES)

    @cached_property
    def _client(self) -> Any:
        """Region, endpoint and credentials are where boto3 looks for them."""
        config = Config(
            # The seeder has one loop that tries again, and it is not here.
            retries={"total_max_attempts": 1},
            # Contents are checked on the volume: once, and against what was listed.
            response_checksum_validation="when_required",
            max_pool_connections=64,
            connect_timeout=min(10.0, self.stall_seconds),
            read_timeout=self.stall_seconds,
        )
        try:
            return boto3.session.Session().client("s3", config=config)
        except ValueError:
            # It would print the endpoint, and somebody may have put a password into it.
            raise HopelessError("the endpoint is not an address: mend AWS_ENDPOINT_URL_S3 (weights.endpoint)") from None

    def _listed(self) -> dict[str, int]:
        """Size by path below the prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        listed: dict[str, int] = {}
        for entry in (entry for page in pages for entry in page.get("Contents", [])):
            # Consoles make an empty object with a slash at its end to show a folder.
            if not entry["Key"].endswith("/"):
                path = entry["Key"].removeprefix(f"{self.prefix}/")
                listed[path] = entry["Size"]
                self._etags[path] = entry["ETag"]
        if not listed:
            raise HopelessError(
                f"{self.name}: nothing is below this prefix: see `aws s3 ls s3://{self.bucket}/{self.prefix}/`"
            )
        return listed

    def _pinned(self, listed: Mapping[str, int], selection: Selection) -> list[File]:
        where = f"s3://{self.bucket}/{self._key(sums.NAME)}"
        size = listed.get(sums.NAME)
        if size is None or size > sums.MOST_BYTES:
            made = f"`{sums.command('FOLDER')}`, and upload it with the files"
            raise HopelessError(f"{where}: no such object, or no list of sums: make it with {made}")
        with self.read(File(path=sums.NAME, size=size, digest=Digest(kind="sha256", value="")), 0) as chunks:
            content = b"".join(chunks)
        named = sums.read(content, expected=self.revision, where=where)
        wanted = {path: sha256 for path, sha256 in sorted(named.items()) if selection.takes(path)}
        for path in wanted:
            if path not in listed:
                raise HopelessError(f"{where} names {path!r}, which is not there: upload it")
        return [
            File(path=path, size=listed[path], digest=Digest(kind="sha256", value=sha256))
            for path, sha256 in wanted.items()
        ]

    def _head(self, path: str) -> File:
        with self._asking("read the checksum of", path):
            found = self._client.head_object(Bucket=self.bucket, Key=self._key(path), ChecksumMode="ENABLED")
        # Of the same moment as the checksum; the listing may be of an earlier one.
        self._etags[path] = found["ETag"]
        return File(path=path, size=found["ContentLength"], digest=self._digest(path, found))

    def _digest(self, path: str, found: Mapping[str, Any]) -> Digest:
        for name, kind in _CHECKSUMS.items():
            value = found.get(name, "")
            # `VALUE-PARTS` is a checksum of the parts' checksums; not every endpoint says so in ChecksumType as well.
            if value and "-" not in value and found.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
                return Digest(kind=kind, value=base64.b64decode(value).hex())
        raise HopelessError(
            f"s3://{self.bucket}/{self._key(path)} has no checksum of its whole content: upload it again with `aws s3 "
            f"cp --checksum-algorithm CRC64NVME`, or put {sums.NAME} beside the files and its sha256 into the source"
        )

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{path}"

    @contextmanager
    def _asking(self, verb: str, path: str = "") -> Iterator[None]:
        """What S3 or the way to it has against a request, as one of the seeder's faults."""
        what = f"{verb} s3://{self.bucket}/{self._key(path)}"
        try:
            yield
        except ClientError as error:
            raise s3_faults.of_answer(error, what) from None
        except (BotoCoreError, HTTPError, RecursionError) as error:
            if s3_faults.endless(error):
                raise HopelessError(
                    f"cannot {what}: the endpoint redirects every request: mend it (weights.endpoint), is it https://?"
                ) from None
            raise s3_faults.of_way(error, what) from None
