"""The HTTP API: OpenAI's endpoints as vLLM serves them, health, version and metrics."""

from __future__ import annotations

import asyncio
import hmac
import json
import math
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from . import VERSION, answer, engine, protocol
from .counting import Counting
from .metrics import Metrics
from .stops import StopFilter

# Beyond vLLM, so that a lost stream can be laid to the replica that lost it.
_FROM = {"x-simulator-host": socket.gethostname()}
_REFUSALS: dict[type[Exception], tuple[int, str]] = {
    engine.QueueOverflowError: (503, "Service Unavailable"),
    engine.ShutDownError: (500, "InternalServerError"),
}
_GUARDED = ("/v1", "/v2", "/inference", "/cohere")
_FINGERPRINT = {"system_fingerprint": f"vllm-{VERSION}-simulator"}
_PERMISSION = {
    "id": "modelperm-simulator",
    "object": "model_permission",
    **dict.fromkeys(("allow_create_engine", "allow_search_indices", "allow_fine_tuning", "is_blocking"), False),
    **dict.fromkeys(("allow_sampling", "allow_logprobs", "allow_view"), True),
    "organization": "*",
    "group": None,
}


@dataclass(frozen=True, kw_only=True)
class Served:
    """What is served: names of the model (the first is its own), its folder, its context, and who may ask."""

    models: tuple[str, ...]
    folder: str
    max_model_len: int
    api_keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Format:
    """How one endpoint words its replies: object names and the choice that carries text."""

    id_prefix: str
    whole: str
    chunk: str
    message: Callable[[str], dict[str, Any]]
    delta: Callable[[str], dict[str, Any]]
    opening: dict[str, Any] | None


_CHAT = _Format(
    id_prefix="chatcmpl-",
    whole="chat.completion",
    chunk="chat.completion.chunk",
    message=lambda text: {"message": {"role": "assistant", "content": text}},
    delta=lambda text: {"delta": {"content": text}},
    opening={"delta": {"role": "assistant", "content": ""}},
)
_COMPLETION = _Format(
    id_prefix="cmpl-",
    whole="text_completion",
    chunk="text_completion",
    message=lambda text: {"text": text},
    delta=lambda text: {"text": text},
    opening=None,
)


def application(served: Served, running: engine.Engine, counted: Metrics) -> Starlette:
    """The API as an ASGI application over an engine, with the metrics of both."""

    async def ok(_: Request) -> Response:
        return Response()

    async def version(_: Request) -> Response:
        return JSONResponse({"version": VERSION})

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(counted.registry), media_type=CONTENT_TYPE_LATEST)

    async def models(_: Request) -> Response:
        facts = {"object": "model", "created": begun, "owned_by": "vllm", "root": served.folder, "parent": None}
        more = {"max_model_len": served.max_model_len, "permission": [_PERMISSION | {"created": begun}]}
        cards = [{"id": name, **facts, **more} for name in served.models]
        return JSONResponse({"object": "list", "data": cards})

    def endpoint(
        read: Callable[..., protocol.Generation], form: _Format
    ) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handle(request: Request) -> Response:
            body = protocol.parse(await request.body(), request.headers.get("content-type", ""))
            wanted = read(body, models=served.models, max_model_len=served.max_model_len)
            queued = _request(wanted)
            try:
                running.submit(queued)
            except tuple(_REFUSALS) as error:
                raise protocol.ApiError(*_REFUSALS[type(error)], str(error)) from None
            outputs = running.outputs(queued)
            if wanted.stream:
                events = _events(outputs, wanted, form)
                return StreamingResponse(events, headers=_FROM, media_type="text/event-stream")
            return JSONResponse(await _unless_gone(request, _whole(outputs, wanted, form)))

        return handle

    begun = int(time.time())
    routes = [
        _route("/health", ok, "GET"),
        _route("/ping", ok, "GET", "POST"),
        _route("/version", version, "GET"),
        _route("/metrics", metrics, "GET"),
        _route("/v1/models", models, "GET"),
        _route("/v1/chat/completions", endpoint(protocol.chat, _CHAT), "POST"),
        _route("/v1/completions", endpoint(protocol.completion, _COMPLETION), "POST"),
    ]
    handlers = frozenset(route.path for route in routes)
    return Starlette(
        routes=routes,
        middleware=[
            # Who shows no key is refused before anything is counted.
            *([Middleware(_Authentication, keys=served.api_keys)] if served.api_keys else []),
            Middleware(Counting, requests=counted.http_requests, handlers=handlers),
        ],
        exception_handlers={
            protocol.ApiError: _refused,
            HTTPException: _not_served,
            ClientDisconnect: _gone,
        },
    )


def _route(path: str, handle: Callable[[Request], Coroutine[Any, Any, Response]], *methods: str) -> Route:
    made = Route(path, handle, methods=list(methods))
    # Starlette adds HEAD to GET; FastAPI, and so vLLM, does not.
    made.methods = set(methods)
    return made


def _request(wanted: protocol.Generation) -> engine.Request:
    natural_length = math.inf if wanted.ignore_eos else max(answer.length(wanted.prompt), wanted.min_tokens)
    return engine.Request(
        prompt_tokens=wanted.prompt_tokens,
        tokens=answer.tokens(wanted.prompt),
        max_tokens=wanted.max_tokens,
        natural_length=natural_length,
        stops=StopFilter(wanted.stops),
    )


async def _events(
    outputs: AsyncIterator[engine.Output], wanted: protocol.Generation, form: _Format
) -> AsyncIterator[str]:
    """The reply as server-sent events: one a token, the last with the finish reason, then usage if asked, `[DONE]`."""
    head = _head(form, wanted, form.chunk)

    def event(choice: dict[str, Any], finish_reason: str | None, more: dict[str, Any]) -> str:
        choices = [{"index": 0, **choice, "logprobs": None, "finish_reason": finish_reason}]
        return _event(head | {"choices": choices} | more)

    tokens = 0
    opening = form.opening
    async for output in outputs:
        tokens = output.tokens
        if opening is not None:
            # With the first token and not before: the first event is what clients measure TTFT by.
            yield event(opening, None, {})
            opening = None
        # The last event, whichever it is, names the server.
        last = _FINGERPRINT if output.finish_reason and not wanted.include_usage else {}
        yield event(form.delta(output.text), output.finish_reason, last)
    if wanted.include_usage:
        yield _event(head | {"choices": [], "usage": _usage(wanted, tokens)} | _FINGERPRINT)
    yield "data: [DONE]\n\n"


async def _whole(outputs: AsyncIterator[engine.Output], wanted: protocol.Generation, form: _Format) -> dict[str, Any]:
    received = [output async for output in outputs]
    text = "".join(output.text for output in received)
    choice = {"index": 0, **form.message(text), "logprobs": None, "finish_reason": received[-1].finish_reason}
    usage = _usage(wanted, received[-1].tokens)
    return _head(form, wanted, form.whole) | {"choices": [choice], "usage": usage} | _FINGERPRINT


async def _unless_gone(request: Request, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Do the work for as long as the client is there, so that a closed connection frees its place in the batch."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        watching.cancel()
        working.cancel()


def _head(form: _Format, wanted: protocol.Generation, kind: str) -> dict[str, Any]:
    reply_id = f"{form.id_prefix}{uuid.uuid4().hex}"
    return {"id": reply_id, "object": kind, "created": int(time.time()), "model": wanted.model}


def _usage(wanted: protocol.Generation, tokens: int) -> dict[str, int]:
    total = wanted.prompt_tokens + tokens
    return {"prompt_tokens": wanted.prompt_tokens, "total_tokens": total, "completion_tokens": tokens}


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, separators=(',', ':'))}\n\n"


class _Authentication:
    """Lets in the bearer of one of the keys; without one, whatever begins like the API is refused, served or not."""

    def __init__(self, app: ASGIApp, keys: tuple[str, ...]) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_GUARDED) and scope["method"] != "OPTIONS":
            scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
            matching = [hmac.compare_digest(given.encode(), key) for key in self._keys]
            if scheme.lower() != "bearer" or not any(matching):
                await JSONResponse({"error": "Unauthorized"}, status_code=401)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _refused(_: Request, error: Exception) -> Response:
    refusal = cast("protocol.ApiError", error)
    return JSONResponse(refusal.body, status_code=refusal.status, headers=_FROM)


async def _gone(_: Request, _error: Exception) -> Response:
    """For the access log; nobody reads it."""
    return Response(status_code=499)


async def _not_served(_: Request, error: Exception) -> Response:
    fault = cast("HTTPException", error)
    return JSONResponse({"detail": fault.detail}, status_code=fault.status_code, headers=fault.headers)
