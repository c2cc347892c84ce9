"""What a source of weights can do, and which source an address names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Protocol, Self

from weight_seeder.faults import HopelessError
from weight_seeder.files import File, Selection

_SCHEMES = {
    "hf": ("weight_seeder.sources.hub", "HubSource"),
    "s3": ("weight_seeder.sources.s3", "S3Source"),
    "oci": ("weight_seeder.sources.oci", "OciSource"),
    "file": ("weight_seeder.sources.folder", "FolderSource"),
}


class Source(Protocol):
    """Files that never change under the name of the source."""

    @property
    def name(self) -> str:
        """The address, as it goes into the manifest; nothing secret is in it."""

    @property
    def revision(self) -> str:
        """The commit or digest that pins it; empty where nothing does."""

    @classmethod
    def parse(cls, text: str, *, read_from: Path | None, stall_seconds: float = 30.0) -> Self:
        """Read the address; asks nobody. A connection that is silent for `stall_seconds` is broken off.

        Raises HopelessError for any other form than the scheme's.
        """

    def files(self, selection: Selection) -> list[File]:
        """The selected files. Raises Transient where asking again may help, else SeedError or HopelessError."""

    def read(self, file: File, offset: int) -> AbstractContextManager[Iterator[bytes | memoryview]]:
        """The bytes of a file from `offset` to its end, in chunks of any size, each good until the next is asked for.

        Raises Transient, on entering and on iterating, for whatever is worth another try: 429, 5xx, a connection that
        breaks or falls silent, and fewer bytes than announced; RangeIgnored where the source sends the whole file
        though `offset` was asked for; WrongContent where it says itself that the file has another size.
        """


def open_source(text: str, *, read_from: Path | None, stall_seconds: float = 30.0) -> Source:
    """The source behind an address.

    Raises:
        HopelessError: for an address of no known form.
    """
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise HopelessError(f"source {text!r} is of no known form: {', '.join(f'{name}://...' for name in _SCHEMES)}")
    module, name = _SCHEMES[scheme]
    source: type[Source] = getattr(import_module(module), name)
    return source.parse(text, read_from=read_from, stall_seconds=stall_seconds)
