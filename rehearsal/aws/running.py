"""moto's server as a process of its own, for as long as a block runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rehearsal.fault import Fault
from rehearsal.places import CHECKOUT
from rehearsal.plugins.aws_guard import ENDPOINT, KEY, MADE_UP, real_credentials, without_aws

STOP_S = 5.0


def refuse_real_credentials(environment: Mapping[str, str]) -> None:
    """Fault if an AWS SDK might find real credentials in the environment."""
    if name := real_credentials(environment):
        raise Fault(
            f"{name}: set, and might lead to a real account, which a rehearsal must never reach; "
            f"run: env -u {name} make rehearse-aws"
        )


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
