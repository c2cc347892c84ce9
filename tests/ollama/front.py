"""What stands in front of a registry: it sends whoever wants a blob to another host, as Ollama's own registry does."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

PIECE = 1 << 16
PASSED_ON = ("Accept", "Range")
PASSED_BACK = ("Content-Length", "Content-Range", "Content-Type", "Docker-Content-Digest")


@dataclass(kw_only=True)
class Front:
    """A running one."""

    address: str
    rate: float | None = None
    """Bytes a second of each answer; None for as fast as can be."""


@contextmanager
def standing(registry: str, *, authority: Path, certificate: Path, key: Path) -> Iterator[Front]:
    """The front of the registry at that address, on a free port of loopback, for as long as the block runs.

    It has two names: 127.0.0.1, which knows where the blobs are, and localhost, which has them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=authority)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.command == "GET" and "/blobs/" in self.path and self.headers["Host"] == front.address:
                self.send_response(httpx.codes.TEMPORARY_REDIRECT)
                self.send_header("Location", f"https://localhost:{server.server_port}{self.path}")
                self.end_headers()
                return
            # A client that is killed hangs up.
            with contextlib.suppress(OSError):
                self._pass_on()

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def _pass_on(self) -> None:
            headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
            with behind.stream(self.command, self.path, headers={**headers, "Accept-Encoding": "identity"}) as answer:
                self.send_response(answer.status_code)
                for name in PASSED_BACK:
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.end_headers()
                for piece in answer.iter_raw(PIECE):
                    self.wfile.write(piece)
                    if front.rate:
                        time.sleep(len(piece) / front.rate)

        def log_message(self, *_: Any) -> None:
            """The registry has a log of its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    front = Front(address=f"127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    with httpx.Client(base_url=f"https://{registry}", verify=trusting, timeout=60) as behind:
        thread.start()
        try:
            yield front
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
