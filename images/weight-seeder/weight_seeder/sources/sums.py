"""SHA256SUMS, the list that `sha256sum` writes: how a folder or a prefix is pinned by one digest."""

from __future__ import annotations

import hashlib
import re
import shlex

from weight_seeder.faults import HopelessError
from weight_seeder.sources import names

NAME = "SHA256SUMS"
MOST_BYTES = 16 << 20
"""More than any list of files of a model; what is larger is not read into memory."""

_LINE = re.compile(r"(\\?)([0-9a-fA-F]{64}) [ *](.+)", re.DOTALL)
_ESCAPED = {r"\\": "\\", r"\n": "\n", r"\r": "\r"}


def command(folder: str) -> str:
    """What makes the list in `folder` and prints the digest that goes into the source."""
    # Hidden files are those of git and of download caches.
    find = f"find . -type f ! -path '*/.*' ! -name {NAME} -exec sha256sum {{}} + > {NAME}"
    return f"cd {shlex.quote(folder)} && {find} && sha256sum {NAME}"


def read(content: bytes, *, expected: str, where: str) -> dict[str, str]:
    """Path and sha256 of each file that the list names.

    Raises:
        HopelessError: if `expected` is not the sha256 of the list, or a line is not one of sha256sum's.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise HopelessError(
            f"checksum mismatch: {where} has the sha256 {found}, the source says {expected}: "
            "it was changed since, or the source is for another one"
        )
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError:
        raise HopelessError(f"{where} has names that are not UTF-8: rename these files, and write it again") from None
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise HopelessError(f"{where}, line {number} is not as sha256sum writes it: <64 hex>, two spaces, path")
        escaped, sha256, path = match.groups()
        if escaped:
            path = re.sub(r"\\[\\nr]", lambda found: _ESCAPED[found[0]], path)
        path = path.removeprefix("./")
        if path in sums:
            raise HopelessError(f"{where}, line {number} names {path!r} a second time")
        sums[path] = sha256.lower()
    names.check([*sums], where)
    return sums
