"""An engine over several nodes: its processes wait for each other, and none of them outlives another.

As PyTorch's processes find each other at `--master-addr`; what they would compute together is left out.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from dataclasses import dataclass

_log = logging.getLogger("vllm")
_PATIENCE_SECONDS = 600.0
_AGAIN_SECONDS = 0.5
_CONNECT_SECONDS = 2.0
"""The name may still be that of a pod that has gone, which answers nothing."""


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Which process of how many this is, and where the first of them waits for the others."""

    count: int
    rank: int
    address: str
    port: int

    def join(self) -> tuple[socket.socket, ...]:
        """Connections to the others, once all are there; a process besides the first has one, to that.

        Raises:
            OSError: the first of them could not be found in ten minutes.
        """
        if self.rank:
            return (self._connect(),)
        if self.count == 1:
            return ()
        with socket.create_server(("", self.port)) as listener:
            return tuple(listener.accept()[0] for _ in range(1, self.count))

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                connection = socket.create_connection((self.address, self.port), timeout=_CONNECT_SECONDS)
            except OSError:
                # Its name is known, and its port open, some time after this process has begun.
                if time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_SECONDS)
            else:
                connection.settimeout(None)
                return connection


def end_with(others: tuple[socket.socket, ...]) -> None:
    """End this process as soon as one of the others has ended."""
    for each in others:
        threading.Thread(target=_end_with, args=(each,), daemon=True).start()


def _end_with(other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        other.recv(1)
    _log.error("A process on another node has ended: shutting down")
    # From a thread there is no other way that ends what the main one waits for.
    os._exit(1)
