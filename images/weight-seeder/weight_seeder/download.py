"""The bytes of one file: resumed, tried again, and followed by their verification."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from weight_seeder import volume
from weight_seeder.faults import RangeIgnored, Transient, WrongContent
from weight_seeder.files import File
from weight_seeder.lock import Lease
from weight_seeder.retries import Retries
from weight_seeder.source import Source
from weight_seeder.tally import Tally
from weight_seeder.trailing import Trailing
from weight_seeder.volume import Place


@dataclass(frozen=True, kw_only=True)
class Fetching:
    """What the downloads of one seeding share; `slots` has one for each download that may run at a time."""

    source: Source
    place: Place
    lease: Lease
    tally: Tally
    retries: Retries
    slots: threading.Semaphore


def download(fetching: Fetching, file: File, part: Path) -> str:
    """Download the rest of a file, as often as it takes, and verify it; returns its sha256.

    Raises:
        WrongContent: the source sends another size or checksum than it has announced.
    """
    furthest, failures = 0, 0
    if (volume.size_of(part) or 0) > file.size:
        remove(fetching, part)
    while True:
        part.touch()
        offset = part.stat().st_size
        with Trailing(part, file, fetching.tally) as trailing:
            trailing.written(offset)
            while offset < file.size:
                furthest = max(furthest, offset)
                try:
                    # What the source asks for is heeded before the next one gets the slot.
                    with fetching.slots, fetching.retries.heeded():
                        fetching.lease.check()
                        fetching.retries.wait_for_gate()
                        offset = _append(fetching, file, part, trailing, furthest)
                except RangeIgnored:
                    break
                except Transient as fault:
                    offset = part.stat().st_size
                    failures = 1 if offset > furthest else failures + 1
                    fetching.tally.retried()
                    fetching.retries.pause(fault, failures=failures, what=file.path)
            else:
                return _verified(file, trailing)
        # The source sends files from their start only.
        remove(fetching, part)


def _append(fetching: Fetching, file: File, part: Path, trailing: Trailing, furthest: int) -> int:
    """Write what the source sends behind what is there, until its end; returns the size then."""
    # Unbuffered: what has come in is on the volume when this process is killed.
    with part.open("ab", buffering=0) as stream:
        size = stream.tell()
        with fetching.source.read(file, size) as chunks:
            for chunk in chunks:
                if size + len(chunk) > file.size:
                    raise WrongContent(f"{file.path}: the source sends more than the {file.size} bytes announced")
                fetching.lease.check()
                _write(stream.fileno(), chunk)
                size += len(chunk)
                fetching.tally.here(file.path, size)
                if size > furthest:
                    fetching.retries.progressed()
                trailing.written(size)
    if size < file.size:
        raise Transient(f"the source ended after {size} of {file.size} bytes")
    return size


def _write(descriptor: int, chunk: bytes | memoryview) -> None:
    written = os.write(descriptor, chunk)
    while written < len(chunk):
        written += os.write(descriptor, memoryview(chunk)[written:])


def _verified(file: File, trailing: Trailing) -> str:
    digests = trailing.digests()
    found = digests[file.digest.kind]
    if found != file.digest.value:
        raise WrongContent(
            f"checksum mismatch: {file.path} has the {file.digest.kind} {found}, the source announced"
            f" {file.digest.value}"
        )
    return digests["sha256"]


def remove(fetching: Fetching, path: Path) -> None:
    """Remove a file of the work folder."""
    fetching.lease.renew()
    path.unlink(missing_ok=True)
