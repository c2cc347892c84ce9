"""What the command line takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def at_least(least: float, most: float = float("inf")) -> Callable[[str], float]:
    """What argparse reads a number with that is no smaller, and no larger than `most`."""

    def number(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"{text} is not allowed: {least:g} or more" + (f", {most:g} at most" * (most < float("inf")))
            )
        return value

    return number


def count(least: int, most: float = float("inf")) -> Callable[[str], int]:
    """As `at_least`, for whole numbers."""

    def number(text: str) -> int:
        at_least(least, most)(text)
        return int(text)

    return number


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="weight-seeder", description="Model weights on a volume: verified, all or nothing"
    )
    commands = top.add_subparsers(dest="command", required=True)

    seed = commands.add_parser("seed", help="bring the files of a source to a folder of the volume")
    _source(seed)
    _asking(seed)
    _folder(seed)
    _deep(seed)
    seed.add_argument("--workers", type=count(1, 64), default=4, help="parallel downloads (default: 4)")
    seed.add_argument(
        "--volume-size",
        type=count(0),
        default=0,
        metavar="BYTES",
        help="what its claim asks for: wait until it has grown",
    )
    _cleaning(seed, required=False)
    seed.add_argument(
        "--metrics-port", type=count(0, 65535), default=9110, help="port of the metrics (default: 9110); 0: none"
    )

    check = commands.add_parser("check", help="end with 0 if a folder is published and whole")
    _source(check)
    _folder(check)
    _deep(check)

    clean = commands.add_parser("clean", help="remove folders that nobody reads any more")
    _folder(clean)
    _cleaning(clean, required=True)
    clean.add_argument("--wait", type=at_least(0), default=0, metavar="SECONDS", help="for pods that end (default: 0)")

    listing = commands.add_parser("list", help="print the source's files as JSON")
    _source(listing)
    _asking(listing)
    return top


def _source(to: argparse.ArgumentParser) -> None:
    to.add_argument("--source", required=True, help="hf://..., s3://..., oci://... or file://..., pinned")
    to.add_argument("--include", action="append", default=[], metavar="PATTERN", help="only files like this")
    to.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="no files like this")


def _asking(to: argparse.ArgumentParser) -> None:
    to.add_argument("--read-from", type=Path, help="where the volume of a file:// source is mounted")
    to.add_argument(
        "--patience", type=at_least(0), default=900, help="seconds without a byte after which to give up (default: 900)"
    )
    to.add_argument(
        "--retry-seconds", type=at_least(0), default=1, help="the first pause before another try (default: 1)"
    )
    to.add_argument(
        "--stall-seconds",
        type=at_least(0.01),
        default=30,
        help="silence after which a connection is broken off (default: 30)",
    )


def _folder(to: argparse.ArgumentParser) -> None:
    to.add_argument("--volume", required=True, type=Path, help="mount point of the volume")
    to.add_argument("--folder", required=True, metavar="SLUG/REVISION-SELECTION", help="the folder on the volume")


def _cleaning(to: argparse.ArgumentParser, *, required: bool) -> None:
    to.add_argument("--keep", type=count(0), required=required, default=1, help="other folders that stay, served last")
    to.add_argument(
        "--in-use",
        required=required,
        metavar="NAMESPACE/LABEL-SELECTOR",
        help="pods whose annotation inference/weights names a folder; for seed: clean before",
    )
    to.add_argument("--api-server", metavar="URL", help="default: that of the pod's cluster")
    to.add_argument("--service-account", type=Path, default=_ACCOUNT, help=f"token and ca.crt (default: {_ACCOUNT})")
    to.add_argument(
        "--lease-seconds", type=at_least(0.01), default=30, help="a holder of the lock is lost after (default: 30)"
    )


def _deep(to: argparse.ArgumentParser) -> None:
    to.add_argument("--checksums", action="store_true", help="do not trust sizes: read every byte")
