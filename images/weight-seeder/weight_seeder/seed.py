"""Seeding: bring a selection of a source to its folder, verified, and all of it or nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from weight_seeder import manifest, progress, served, space, volume
from weight_seeder.console import amount, say
from weight_seeder.download import Fetching
from weight_seeder.faults import HopelessError
from weight_seeder.fetch import fetch_all
from weight_seeder.files import File, Selection
from weight_seeder.known import link_known
from weight_seeder.lock import Lease
from weight_seeder.publish import prepare, publish, withdraw
from weight_seeder.retries import Retries
from weight_seeder.source import Source
from weight_seeder.tally import Tally
from weight_seeder.volume import Place

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be seeded, where to, and how; times in seconds."""

    source: Source
    selection: Selection
    place: Place
    workers: int
    patience: float
    retry_seconds: float
    checksums: bool
    volume_size: int = 0
    """Bytes that the volume has, or will have once it has grown; 0: nobody says."""
    metrics_port: int


def seed(order: Order, lease: Lease) -> None:
    """Bring the files to their place; the lease on it is held.

    Raises:
        SeedError: the source or the volume has not what it takes.
    """
    source, place = order.source, order.place
    problem = manifest.problem(place.published, source.name, order.selection, checksums=order.checksums)
    if problem is None:
        # "Wanted just now", by which cleaning goes.
        manifest.touch(place.published)
        found = manifest.read(place.published)
        say(f"{source.name} is in place: {len(found.files) if found else 0} files, nothing to do")
        return
    if place.published.exists():
        say(f"{place.folder} is repaired: {problem}")
        found = manifest.read(place.published)
        if found is None or found.source == source.name:
            # No reader is to trust it from now on, even if the source cannot be asked.
            withdraw(place, lease)
    retries = Retries(patience=order.patience, first_seconds=order.retry_seconds, say=say)
    files = listing(source, order.selection, retries)
    withdraw(place, lease)
    with lease.critical():
        prepare(place, files, usurped=lease.usurped)
        linked = link_known(place, files)
    if linked:
        say(f"{linked} files are those of another revision on this volume: linked")
    tally = _counted(place, files)
    space.ensure(place.volume, tally, promised=order.volume_size, patience=order.patience)
    retries.progressed()
    fetching = Fetching(
        source=source,
        place=place,
        lease=lease,
        tally=tally,
        retries=retries,
        slots=threading.Semaphore(order.workers),
    )
    server = _metrics(tally, source.name, order.metrics_port) if order.metrics_port else None
    try:
        with progress.reported(tally), space.fault_told(place.volume, tally):
            sha256s = fetch_all(fetching, files, workers=order.workers)
    finally:
        if server:
            server.shutdown()
            server.server_close()

    def mark(folder: Path) -> None:
        manifest.write(
            folder,
            source=source.name,
            revision=source.revision,
            selection=order.selection,
            files=files,
            sha256s=sha256s,
        )

    with space.fault_told(place.volume, tally):
        publish(place, files, mark, lease)
    say(f"{source.name} is in place: {len(files)} files, {amount(tally.expected_bytes)}")


def _metrics(tally: Tally, source: str, port: int) -> WSGIServer | None:
    # Only where somebody asks, and the source has been asked already: its library takes a while to load.
    from weight_seeder import metrics  # noqa: PLC0415

    return metrics.serve(tally, source, port=port)


def listing(source: Source, selection: Selection, retries: Retries) -> list[File]:
    """The source's list of the files that are selected.

    Raises:
        HopelessError: there are none, or one has a name that is not to be trusted.
    """
    files = retries.until_answered(lambda: source.files(selection), what="list of files")
    if not files:
        raise HopelessError(f"no file of {source.name} matches {selection}: nothing to seed")
    parts = {f"{file.path}{volume.PART}" for file in files}
    for path in (PurePosixPath(file.path) for file in files):
        # The source is not trusted with where a file goes.
        odd = path.is_absolute() or ".." in path.parts or path.name.startswith((manifest.NAME, served.NAME))
        odd = odd or "\0" in str(path)
        if odd or not path.parts or str(path) in parts:
            raise HopelessError(
                f"{source.name} holds a file with the name {str(path)!r}, which has no place in the folder"
            )
    return files


def _counted(place: Place, files: Sequence[File]) -> Tally:
    """A tally of what is on the volume before the first byte."""
    tally = Tally(files)
    for file in files:
        path = place.work / file.path
        sizes = [volume.size_of(each) for each in (path, place.published / file.path)]
        begun = volume.size_of(volume.part(path)) or 0
        tally.here(file.path, file.size if file.size in sizes else min(begun, file.size))
    return tally
