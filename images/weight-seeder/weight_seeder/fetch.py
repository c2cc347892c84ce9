"""Fetching files in parallel: each is downloaded and verified, and put in its place when it is right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from weight_seeder import volume
from weight_seeder.console import say
from weight_seeder.download import Fetching, download, remove
from weight_seeder.faults import HopelessError, WrongContent
from weight_seeder.files import File
from weight_seeder.known import distrust_links
from weight_seeder.trailing import Trailing

_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28,}\b")


def fetch_all(fetching: Fetching, files: Sequence[File], *, workers: int) -> dict[str, str]:
    """Fetch and verify the files, largest first; returns their sha256 by path. The first fault ends it all."""
    # Twice as many threads as downloads: while the end of one file is read back, the next one comes in.
    pool = ThreadPoolExecutor(2 * workers, thread_name_prefix="fetch")
    try:
        futures = {
            file.path: pool.submit(fetch, fetching, file)
            for file in sorted(files, key=lambda file: file.size, reverse=True)
        }
        for future in wait(futures.values(), return_when=FIRST_EXCEPTION).done:
            future.result()
        return {path: future.result() for path, future in futures.items()}
    finally:
        fetching.retries.stop()
        pool.shutdown(wait=False, cancel_futures=True)


def fetch(fetching: Fetching, file: File) -> str:
    """Bring one file to its place, unless it is there; returns its sha256.

    Raises:
        HopelessError: its content was wrong twice, or the volume is full.
    """
    place = fetching.place
    path = place.work / file.path
    for already in (path, place.published / file.path):
        sha256 = _whole(fetching, file, already)
        if sha256 is not None:
            return sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    for last in (False, True):
        try:
            sha256 = download(fetching, file, volume.part(path))
        except WrongContent as fault:
            remove(fetching, volume.part(path))
            if last:
                raise HopelessError(f"{fault}: fetched twice, and removed") from fault
            _note_wrong(fetching, str(fault))
            continue
        # No critical moment, in which nobody could take over: the next one hashes whatever has this name.
        fetching.lease.renew()
        volume.part(path).rename(path)
        fetching.tally.done(file.path)
        return sha256
    raise AssertionError  # the loop ends by one or the other


def _whole(fetching: Fetching, file: File, path: Path) -> str | None:
    """The sha256 of a file that is there and right, which is not taken for granted; a wrong one in work is removed."""
    if volume.size_of(path) != file.size:
        return None
    with Trailing(path, file, fetching.tally) as trailing:
        trailing.written(file.size)
        digests = trailing.digests()
    if digests[file.digest.kind] == file.digest.value:
        fetching.tally.here(file.path, file.size)
        fetching.tally.done(file.path)
        return digests["sha256"]
    found, announced = digests[file.digest.kind], file.digest.value
    where = "in the published folder" if path.is_relative_to(fetching.place.published) else "of an earlier run"
    _note_wrong(
        fetching, f"{file.path} {where} has the {file.digest.kind} {found}, and the source announced {announced}"
    )
    distrust_links(fetching.place, path, digests["sha256"])
    if path.is_relative_to(fetching.place.work):
        remove(fetching, path)
    fetching.tally.here(file.path, 0)
    return None


def _note_wrong(fetching: Fetching, line: str) -> None:
    """Say and count what was wrong and is fetched again; of a digest, what tells it from others."""
    fetching.tally.found_wrong()
    say(f"{_DIGEST.sub(lambda found: f'{found[1]}...', line)}: fetched again")
