"""moto's server as a process of its own, for as long as a block runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from rehearsal.fault import Fault
from rehearsal.places import CHECKOUT
from rehearsal.plugins.aws_guard import ENDPOINT, KEY, MADE_UP, real_credentials, without_aws

STOP_S = 5.0
FOLDER = "rehearse-aws-"
"""What the folder of a rehearsal is called, before the pid of its process."""


def refuse_real_credentials(environment: Mapping[str, str], stack: str) -> None:
    """Fault if an AWS SDK might find real credentials in the environment, with the command that leaves them out."""
    if names := real_credentials(environment):
        raise Fault(
            f"{', '.join(names)}: set, and might lead to a real account, which a rehearsal must never reach; "
            f"run: env {' '.join(f'-u {name}' for name in names)} make rehearse-aws STACK={stack}"
        )


@contextmanager
def own_folder(root: Path) -> Iterator[Path]:
    """A folder below `root` for as long as the block runs; those of processes that were killed go first."""
    for path in root.glob(f"{FOLDER}*"):
        pid = path.name.removeprefix(FOLDER).partition("-")[0]
        if pid.isdecimal() and _ended(int(pid), path):
            shutil.rmtree(path, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{FOLDER}{os.getpid()}-", dir=root, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _ended(pid: int, folder: Path) -> bool:
    """Whether the process that made the folder has ended; one with its pid that started later is another."""
    with suppress(psutil.NoSuchProcess, FileNotFoundError):
        return psutil.Process(pid).create_time() > folder.stat().st_mtime
    return True


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Fault for Ctrl-C and SIGTERM in the block, after what it opened was closed."""

    def leave(*_: Any) -> None:
        raise KeyboardInterrupt

    # Ctrl-C as well: what a script starts in the background ignores it, and so would its children.
    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        raise Fault("interrupted: nothing is left running; run the same command again") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def server(log: Path) -> Iterator[str]:
    """The server's address on loopback; it is stopped at the end, and stops by itself if this process is killed."""
    environment = {**without_aws(os.environ), **MADE_UP}
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "rehearsal.aws.server"],
            cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
            start_new_session=True,
        )  # fmt: skip
    try:
        address = process.stdout.readline().strip() if process.stdout else ""
        if not address:
            last = " | ".join(log.read_text().strip().splitlines()[-3:])
            raise Fault(f"moto's server did not start: {last}; run: make setup, and again")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def environment(address: str, base: Mapping[str, str]) -> dict[str, str]:
    """`base` with nothing of AWS but the server's address and made-up keys, and with no proxy before it."""
    local = {name: ",".join(filter(None, [base.get(name), "127.0.0.1"])) for name in ("NO_PROXY", "no_proxy")}
    return {**without_aws(base), **MADE_UP, **local, ENDPOINT: address}


def client(address: str, service: str, region: str) -> Any:
    """AWS's SDK on the server, whatever the environment says."""
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - half a second, which other commands do not have to wait
    from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415

    plain = Config(proxies={}, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": KEY, "region_name": region}
    return boto3.session.Session().client(service, endpoint_url=address, config=plain, **keys)
