"""The command line: `weight-seeder seed | check | clean | list`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from weight_seeder import manifest, served
from weight_seeder.console import say, warn
from weight_seeder.faults import SeedError
from weight_seeder.files import Selection
from weight_seeder.lock import Lease
from weight_seeder.options import parser
from weight_seeder.retries import Retries
from weight_seeder.seed import Order, listing, seed
from weight_seeder.source import open_source
from weight_seeder.volume import Place, is_full, no_space, unusable

if TYPE_CHECKING:
    from weight_seeder.clean import Cleaning


def main(argv: Sequence[str] | None = None) -> int:
    """Do as the command line says; returns the exit code, a fault is told in one line.

    0: done; 1: trying again may help; 2: it cannot (argparse ends with it too). The Job that runs this gives up at
    once on 2.
    """
    arguments = parser().parse_args(argv)
    commands = {"seed": _seed, "check": _check, "clean": _clean, "list": _list}
    try:
        commands[arguments.command](arguments)
    except SeedError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        volume = getattr(arguments, "volume", None)
        fault = volume and (no_space(0, volume) if is_full(error) else unusable(error, volume))
        return _fail(str(fault), fault.exit_code) if fault else _fail(str(error), 1)
    return 0


def _seed(arguments: argparse.Namespace) -> None:
    order = Order(
        source=open_source(arguments.source, read_from=arguments.read_from, stall_seconds=arguments.stall_seconds),
        selection=_selection(arguments),
        place=Place(volume=arguments.volume, folder=arguments.folder),
        workers=arguments.workers,
        patience=arguments.patience,
        retry_seconds=arguments.retry_seconds,
        checksums=arguments.checksums,
        metrics_port=arguments.metrics_port,
        volume_size=arguments.volume_size,
    )
    order.place.lock.parent.mkdir(parents=True, exist_ok=True)
    if arguments.in_use:
        _make_room(arguments)
    lease = _lease(arguments, order.place.lock)
    lease.acquire()
    try:
        seed(order, lease)
        if arguments.in_use:
            # The volume of a node: the replica that waits for this starts next.
            served.mark(order.place.published)
    finally:
        lease.release()


def _make_room(arguments: argparse.Namespace) -> None:
    """Clean before seeding; where that fails, the space may do all the same."""
    try:
        _cleaning(arguments).run_unless_another_does()
    except (SeedError, OSError) as error:
        say(f"cleaning is put off: {error}")


def _clean(arguments: argparse.Namespace) -> None:
    cleaning = _cleaning(arguments)
    # It is called after the rollout.
    served.mark(cleaning.place.published)
    cleaning.run(wait=arguments.wait)


def _cleaning(arguments: argparse.Namespace) -> Cleaning:
    # Only where there is an API server: an HTTP client takes its time to load, and a replica waits for its check.
    from weight_seeder import pods  # noqa: PLC0415
    from weight_seeder.clean import Cleaning  # noqa: PLC0415

    asked = pods.parse(arguments.in_use, server=arguments.api_server, account=arguments.service_account)
    return Cleaning(
        place=Place(volume=arguments.volume, folder=arguments.folder),
        keep=arguments.keep,
        in_use=asked.folders_in_use,
        lease=partial(_lease, arguments),
    )


def _lease(arguments: argparse.Namespace, path: Path) -> Lease:
    return Lease(path, seconds=arguments.lease_seconds, on_loss=_end)


def _check(arguments: argparse.Namespace) -> None:
    # The address stands in the manifest as it was asked for: the source's library need not be loaded.
    place = Place(volume=arguments.volume, folder=arguments.folder)
    problem = manifest.problem(place.published, arguments.source, _selection(arguments), checksums=arguments.checksums)
    if problem:
        raise SeedError(f"{place.published} is not what was asked for: {problem}: seed it again")
    say(f"{arguments.source} is in place in {place.published}")


def _list(arguments: argparse.Namespace) -> None:
    source = open_source(arguments.source, read_from=arguments.read_from, stall_seconds=arguments.stall_seconds)
    retries = Retries(patience=arguments.patience, first_seconds=arguments.retry_seconds, say=warn)
    files = sorted(listing(source, _selection(arguments), retries), key=lambda file: file.path)
    content = {"source": source.name, "files": [{"path": file.path, "size": file.size} for file in files]}
    sys.stdout.write(json.dumps(content, indent=2) + "\n")
    sys.stdout.flush()


def _selection(arguments: argparse.Namespace) -> Selection:
    return Selection(include=arguments.include, exclude=arguments.exclude)


def _fail(line: str, code: int) -> int:
    warn(f"error: {' '.join(line.split())}")
    return code


def _end(line: str) -> None:
    """End at once, from whichever thread: the lease is lost, and nothing may be written any more."""
    os.write(2, f"weight-seeder: error: {line}\n".encode())
    os._exit(1)


def _stop(number: int, _frame: object) -> None:
    """End at once: every byte so far is on the volume, and the lock falls with the process."""
    # Not through sys.stdout, which the signal may have found in the middle of a line.
    os.write(1, f"weight-seeder: stopped by {signal.Signals(number).name}: run again to resume\n".encode())
    os._exit(128 + number)


def run() -> None:
    """Run as a program of its own."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        code = main()
    except Exception:  # noqa: BLE001 - a mistake of ours; whatever it is, its downloads end here as well
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    # Not sys.exit, which would wait for the downloads that a fault has made pointless.
    os._exit(code)
