"""Counts of the web server, as vLLM's instrumentator keeps them: what was asked, and what came of it."""

from __future__ import annotations

from prometheus_client import Counter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_UNCOUNTED = frozenset({"/metrics", "/health", "/load", "/ping", "/version", "/server_info"})
_NO_HANDLER = "none"


class Counting:
    """Counts a reply when it has ended, a stream with its last event; by the class of its status, such as 5xx."""

    def __init__(self, app: ASGIApp, requests: Counter, handlers: frozenset[str]) -> None:
        self._app = app
        self._requests = requests
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it."""
        if scope["type"] != "http" or scope["path"] in _UNCOUNTED:
            await self._app(scope, receive, send)
            return
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            handler = scope["path"] if scope["path"] in self._handlers else _NO_HANDLER
            self._requests.labels(handler, f"{status // 100}xx", scope["method"]).inc()
