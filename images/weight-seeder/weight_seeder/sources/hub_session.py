"""The hub client's HTTP session, with faults that the seeder knows how to wait for."""

from __future__ import annotations

from typing import Any

import httpx2
from huggingface_hub import constants
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented
    logging,
    parse_ratelimit_headers,
    set_client_factory,
)

from weight_seeder import answers
from weight_seeder.faults import Transient


class UnansweredError(Exception):
    """A request that got no answer, for the reason that is its cause; the client knows it not, and leaves it to us."""


class _Client(httpx2.Client):
    """Without it the client would ask again by itself, five times and without a word."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            return super().send(request, **options)
        except httpx2.TransportError as error:
            raise UnansweredError from error


def configure(*, stall_seconds: float) -> None:
    """Let every request of the client end after a silence of `stall_seconds`, and leave trying again to the seeder."""
    constants.HF_HUB_DISABLE_TELEMETRY = True
    # Its warnings about every try would stand beside our own lines.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    timeout = httpx2.Timeout(stall_seconds).as_dict()

    def limit(request: httpx2.Request) -> None:
        # The client's listing asks without any limit.
        request.extensions["timeout"] = timeout

    def client() -> httpx2.Client:
        return _Client(event_hooks={"request": [limit], "response": [_raise_transient]}, follow_redirects=True)

    set_client_factory(client)


def answer(response: httpx2.Response) -> str:
    """What the hub answered, in a line; without the query, in which a storage has its signature."""
    return f"the hub answered {response.status_code} to {response.request.url.copy_with(query=None)}"


def _raise_transient(response: httpx2.Response) -> None:
    if not answers.passes(response.status_code):
        return
    limit = parse_ratelimit_headers(response.headers)
    reset = float(limit.reset_in_seconds) if limit and not limit.remaining else None
    asked = answers.retry_after(response.headers)
    raise Transient(answer(response), retry_after=reset if asked is None else asked)
