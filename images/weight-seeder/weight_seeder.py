#!/usr/bin/env python3
"""Put the weights of one model revision on a volume, verified, and all of them or nothing.

    weight-seeder --source hf://owner/name@<40-hex commit> --target /weights [--include PATTERN] [--exclude PATTERN]

Files are downloaded with the `huggingface_hub` client (HF_ENDPOINT and HF_TOKEN from the environment) into
`<target>/.incoming/`, each is read back and checked against the hub's sha256 or git blob id, a manifest
(`.seeded.json`) is written beside them, and the folder appears as `<target>/<owner>--<name>/<commit>/` by one rename.
A run that was stopped is resumed by the next; a revision that is there already is left alone, and where the manifest
says that this very selection of its files was seeded, the hub is not even asked: a commit never changes.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented, not in its __all__
from huggingface_hub.utils.tqdm import disable_progress_bars

MANIFEST = ".seeded.json"
_READ_BYTES = 1 << 20
_GB = 1e9
_PROGRESS_SECONDS = 5.0


class SeedError(Exception):
    """What stopped the seeding, in one line that says what to do about it."""


class SourceError(SeedError):
    """A mistake in what is asked for: trying again changes nothing."""


_HOPELESS = (SourceError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A model repository at one commit."""

    repository: str
    revision: str

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.revision}"


def parse_source(text: str) -> Source:
    """Read `hf://owner/name@commit`; only a full commit id is taken, since a branch or tag names other files tomorrow.

    Raises:
        SeedError: for any other form.
    """
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)@(\S+)", text)
    if match is None:
        raise SourceError(f"source {text!r} is not of the form hf://owner/name@<40-hex commit>")
    repository, revision = match.groups()
    if not re.fullmatch("[0-9a-f]{40}", revision):
        find = f"git ls-remote {constants.ENDPOINT}/{repository} {revision}"
        raise SourceError(f"revision {revision!r} is not a commit of 40 hex digits: find the commit with `{find}`")
    return Source(repository=repository, revision=revision)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The files that are wanted: those like a pattern of `include` (all when empty) and like none of `exclude`."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def takes(self, path: str) -> bool:
        """Whether a file of the repository is wanted."""
        return (not self.include or _like(path, self.include)) and not _like(path, self.exclude)

    def listed(self) -> dict[str, list[str]]:
        """What the manifest has of it."""
        return {"include": sorted(self.include), "exclude": sorted(self.exclude)}


def _like(path: str, patterns: Sequence[str]) -> bool:
    """As in a shell, a pattern without a slash is for files at the top; fnmatch alone would let `*` match folders."""
    return any(fnmatch(path, pattern) and ("/" in pattern or "/" not in path) for pattern in patterns)


def seed(source: Source, target: Path, selection: Selection, *, workers: int) -> None:
    """Bring the selected files of `source` to their place below `target`.

    Raises:
        SeedError: when the selection is empty, the volume is too small or the hub's bytes are not what it announced.
        HfHubHTTPError, httpx2.HTTPError, OSError: from the hub, the network or the volume.
    """
    folder = source.repository.replace("/", "--")
    published = target / folder / source.revision
    incoming = target / ".incoming" / f"{folder}-{source.revision}"
    incoming.parent.mkdir(parents=True, exist_ok=True)
    with _lock(incoming.with_name(f"{incoming.name}.lock")):
        manifest, listed = _read_manifest(published)
        here = _sizes(published, listed)
        if here == listed and manifest.get("selection") == selection.listed():
            _say(f"{source} is in place: {len(listed)} files, nothing to do")
            return
        files = _listing(source, selection, already=listed)
        if all(here.get(file.path) == file.size for file in files):
            # Other patterns for files that are all here: written down, so that the next run need not ask the hub.
            _write_manifest(published, manifest | {"selection": selection.listed()})
            _say(f"{source} is in place: {len(files)} files, nothing to do")
            return
        incoming.mkdir(exist_ok=True)
        _take_over(published, incoming, files)
        _check_space(files, incoming)
        sha256s = _fetch_all(source, files, incoming, workers=workers)
        _write_manifest(incoming, _manifest(source, selection, files, sha256s))
        _publish(incoming, published)
    _say(f"{source} is in place: {len(files)} files, {_amount(sum(file.size for file in files))}")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Keep other seeders of this revision out; the kernel lets go of the lock when its holder dies."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another seeder is at work on this revision: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read_manifest(published: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The manifest and the sizes by path that it lists; both empty where there is none, or one that cannot be read."""
    try:
        manifest = json.loads((published / MANIFEST).read_bytes())
        return manifest, {file["path"]: file["size"] for file in manifest["files"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}, {}


def _sizes(published: Path, paths: Iterable[str]) -> dict[str, int]:
    """Size by path of those files that are there."""
    return {path: (published / path).stat().st_size for path in paths if (published / path).is_file()}


def _listing(source: Source, selection: Selection, *, already: dict[str, int]) -> list[RepoFile]:
    """The hub's list of the files that are wanted: those selected, and those that an earlier selection has seeded."""
    entries = HfApi().list_repo_tree(source.repository, revision=source.revision, recursive=True)
    files = [entry for entry in entries if isinstance(entry, RepoFile)]
    selected = {file.path for file in files if selection.takes(file.path)}
    if not selected:
        left_out = f" and not {', '.join(selection.exclude)}" if selection.exclude else ""
        raise SourceError(
            f"no file of {source} matches {', '.join(selection.include) or '*'}{left_out}: nothing to seed"
        )
    for path in map(PurePosixPath, selected):
        # The hub is not trusted with where a file goes.
        if path.is_absolute() or ".." in path.parts or path.name == MANIFEST:
            raise SourceError(f"{source} holds a file with the name {str(path)!r}, which has no place in the folder")
    return [file for file in files if file.path in selected or file.path in already]


def _take_over(published: Path, incoming: Path, files: Sequence[RepoFile]) -> None:
    """Link what an incomplete published folder holds into `incoming`, so that it is checked and not downloaded."""
    for file in files:
        old, new = published / file.path, incoming / file.path
        if old.is_file() and not new.exists():
            new.parent.mkdir(parents=True, exist_ok=True)
            new.hardlink_to(old)


def _check_space(files: Sequence[RepoFile], incoming: Path) -> None:
    needed = sum(file.size for file in files) - _bytes_in(files, incoming)
    free = shutil.disk_usage(incoming).free
    if needed > free:
        raise SeedError(f"no space: {needed} bytes are still to come and {free} are free on {incoming}: enlarge it")


def _fetch_all(source: Source, files: Sequence[RepoFile], incoming: Path, *, workers: int) -> list[str]:
    """Fetch the files in parallel, largest first, with a line of progress now and then; the first fault ends it."""
    done = threading.Event()
    reporter = threading.Thread(target=_report, args=(files, incoming, done), daemon=True)
    reporter.start()
    pool = ThreadPoolExecutor(workers)
    try:
        futures = {
            file.path: pool.submit(_fetch, source, file, incoming)
            for file in sorted(files, key=lambda file: file.size, reverse=True)
        }
        for future in wait(futures.values(), return_when=FIRST_EXCEPTION).done:
            future.result()
        return [futures[file.path].result() for file in files]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        done.set()
        reporter.join()


def _fetch(source: Source, file: RepoFile, incoming: Path) -> str:
    """Fetch one file, from where an earlier run has stopped, and check it on the volume; returns its sha256."""
    path = incoming / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    expected = file.lfs.sha256 if file.lfs else file.blob_id
    # A second time from the start, if what an earlier run had left turns out to be damaged.
    for resumed in (path.exists(), False):
        if path.exists() and path.stat().st_size > file.size:
            path.unlink()
        # Unbuffered: what has come in is on the volume when this process is killed.
        with path.open("ab", buffering=0) as stream:
            http_get(
                hf_hub_url(source.repository, file.path, revision=source.revision),
                stream,
                resume_size=stream.tell(),
                headers=build_hf_headers(library_name="weight-seeder"),
                expected_size=file.size,
            )
            os.fsync(stream.fileno())
        sha256, blob_id = _digests(path)
        found = sha256 if file.lfs else blob_id
        if found == expected:
            return sha256
        path.unlink()
        if not resumed:
            break
    raise SeedError(f"checksum mismatch: {file.path} is {found}, the hub announced {expected}: removed, run again")


def _digests(path: Path) -> tuple[str, str]:
    """The two names that the hub may know a content by: sha256 and git blob id, in hex."""
    sha256 = hashlib.sha256()
    blob_id = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(_READ_BYTES):
            sha256.update(chunk)
            blob_id.update(chunk)
    return sha256.hexdigest(), blob_id.hexdigest()


def _manifest(
    source: Source, selection: Selection, files: Sequence[RepoFile], sha256s: Sequence[str]
) -> dict[str, Any]:
    return {
        "source": str(source),
        "revision": source.revision,
        "selection": selection.listed(),
        "files": [
            {"path": file.path, "size": file.size, "sha256": sha256}
            for file, sha256 in zip(files, sha256s, strict=True)
        ],
        "seededAt": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest as a whole: a run that is killed leaves the old one, or none."""
    new = folder / f"{MANIFEST}.new"
    with new.open("w") as stream:
        stream.write(json.dumps(manifest, indent=2) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(folder / MANIFEST)
    _sync(folder)


def _publish(incoming: Path, published: Path) -> None:
    """Rename the finished folder into place, after everything in it is on the disk."""
    for folder in filter(Path.is_dir, (incoming, *incoming.rglob("*"))):
        _sync(folder)
    published.parent.mkdir(parents=True, exist_ok=True)
    # A folder with content cannot be renamed over. Readers of the old one keep their open files.
    replaced = incoming.with_name(f"{incoming.name}.replaced")
    if published.exists():
        published.rename(replaced)
    incoming.rename(published)
    _sync(published.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _report(files: Sequence[RepoFile], incoming: Path, done: threading.Event) -> None:
    """Print bytes, rate and estimate until `done`; also once at the start, where a resumed run shows what it found."""
    total = sum(file.size for file in files)
    begun, found = time.monotonic(), _bytes_in(files, incoming)
    _say(f"{len(files)} files, {_amount(total)}, of which {_amount(found)} are here already")
    while not done.wait(_PROGRESS_SECONDS):
        here = _bytes_in(files, incoming)
        rate = (here - found) / (time.monotonic() - begun)
        left = f"about {(total - here) / rate:.0f} s left" if rate else "waiting for the hub"
        _say(f"{_amount(here)} of {_amount(total)} ({100 * here // max(total, 1)} %), {_amount(rate)}/s, {left}")


def _bytes_in(files: Sequence[RepoFile], incoming: Path) -> int:
    paths = [incoming / file.path for file in files]
    return sum(path.stat().st_size for path in paths if path.exists())


def _amount(size: float) -> str:
    return f"{size / _GB:.2f} GB" if size >= _GB else f"{size / 1e6:.2f} MB"


def _say(line: str) -> None:
    sys.stdout.write(f"weight-seeder: {line}\n")
    sys.stdout.flush()


def _explain(error: Exception, source: str) -> str:
    """One line for a fault that is not the program's own; what the client says takes several."""
    match error:
        case GatedRepoError():
            return f"{source} is gated: accept its terms on the hub and give a token that may read it in HF_TOKEN"
        case RepositoryNotFoundError():
            return f"{source}: no such repository, or a private one: check the name, and HF_TOKEN"
        case RevisionNotFoundError():
            return f"{source}: the repository has no such revision"
        case HfHubHTTPError():
            return f"the hub answered {error.response.status_code} to {error.response.request.url}"
        case httpx2.HTTPError():
            return f"{constants.ENDPOINT} cannot be reached: {error}"
    return " ".join(str(error).split())


def main(argv: Sequence[str] | None = None) -> int:
    """Seed as the command line says; returns the exit code, a fault is told in one line.

    0: the weights are in place; 1: trying again may help; 2: it cannot (argparse ends with it too). The Job that runs
    this gives up at once on 2.
    """
    parser = argparse.ArgumentParser(prog="weight-seeder", description="Seed model weights onto a volume")
    parser.add_argument("--source", required=True, help="hf://owner/name@<40-hex commit>")
    parser.add_argument("--target", required=True, type=Path, help="mount point of the volume")
    parser.add_argument("--include", action="append", default=[], metavar="PATTERN", help="only files like this")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="no files like this")
    parser.add_argument("--max-workers", type=int, default=4, help="parallel downloads (default: 4)")
    arguments = parser.parse_args(argv)
    disable_progress_bars()
    constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        source = parse_source(arguments.source)
        selection = Selection(include=arguments.include, exclude=arguments.exclude)
        seed(source, arguments.target, selection, workers=arguments.max_workers)
    except (SeedError, httpx2.HTTPError, OSError) as error:
        sys.stderr.write(f"weight-seeder: error: {_explain(error, arguments.source)}\n")
        return 2 if isinstance(error, _HOPELESS) else 1
    return 0


def _stop(number: int, _frame: object) -> None:
    """End at once: every byte so far is on the volume, and the lock falls with the process."""
    # Not through sys.stdout, which the signal may have found in the middle of a line.
    os.write(1, f"weight-seeder: stopped by {signal.Signals(number).name}: run again to resume\n".encode())
    os._exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    code = main()
    # Not sys.exit, which would wait for the downloads that a fault has made pointless.
    os._exit(code)
