"""S3 as moto's server speaks it, as a process, and objects in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rehearsal.aws import running as running_aws
from rehearsal.plugins.aws_guard import MADE_UP, without_aws
from rehearsal.serving import serving

REGION = "us-east-1"


@contextmanager
def running(
    folder: Path, *, host: str = "127.0.0.1", port: int = 0, within: Sequence[str | Path] = ()
) -> Iterator[str]:
    """The server's URL; with port 0 it takes a free one. `within` is a command that runs another (nsenter ...)."""
    folder.mkdir(parents=True, exist_ok=True)
    command = (*within, sys.executable, "-m", "moto.server", "-H", host, "-p", str(port))
    environment = {**without_aws(os.environ), **MADE_UP}
    with serving(command, folder / "log", listens=r"Running on (http://\S+)", environment=environment) as url:
        yield url


def client(url: str) -> Any:
    """AWS's SDK on the server, whatever the environment says."""
    return running_aws.client(url, "s3", REGION)
