"""A hub whose answers are broken as a plan says.

- `PUT /rehearsal/faults`: a plan (`faults.Plan`) as JSON; it replaces the one before, and what was counted
- `GET /rehearsal/faults`: `{"plan", "injected": {kind or status: number}, "requests": [{"at", "path", "range",
  "status", "sent", "notBefore"}]}` since then: times in seconds since the epoch, `notBefore` from the Retry-After of
  the answer, `sent` in bytes
"""

from __future__ import annotations

import math
import re
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .faults import Corrupt, Cut, IgnoreRange, Plan, Status, Throttle
from .schedule import Pace, Schedule

PATH = "/rehearsal/faults"


class Ended(Exception):
    """The answer was broken off: there is nothing more to send."""


class Injector:
    """The ASGI application around the hub's that carries out the plan; `/healthz` is spared."""

    def __init__(self, hub: ASGIApp, plan: Plan) -> None:
        self._hub = hub
        self._schedule = Schedule(plan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] == "/healthz":
            await self._hub(scope, receive, send)
        elif scope["path"] == PATH:
            response = await self._control(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        hub, schedule, asked = self._hub, self._schedule, Headers(scope=scope).get("range")
        request = {"at": time.time(), "path": scope["path"], "range": asked, "status": None, "sent": 0}
        schedule.requests.append(request)
        if fault := schedule.hit(Status, scope["path"]):
            hub = _refusal(fault, request)
        elif asked and schedule.hit(IgnoreRange, scope["path"]):
            scope = {**scope, "headers": [header for header in scope["headers"] if header[0] != b"range"]}
        try:
            await hub(scope, receive, _Answer(schedule, request, scope, receive, send).send)
        except Ended:
            return  # The server closes the connection of an answer that is not complete.

    async def _control(self, request: Request) -> Response:
        if request.method == "PUT":
            try:
                plan = Plan.model_validate_json(await request.body())
            except ValidationError as error:
                return PlainTextResponse(str(error), status_code=HTTPStatus.UNPROCESSABLE_ENTITY)
            self._schedule.over = True
            self._schedule = Schedule(plan)
        return JSONResponse(self._schedule.facts())


class _Answer:
    """One answer on its way out."""

    def __init__(self, schedule: Schedule, request: dict[str, Any], scope: Scope, receive: Receive, send: Send) -> None:
        self._schedule, self._request = schedule, request
        self._scope, self._receive, self._send = scope, receive, send
        self._throttle: Throttle | None = None
        self._cut: Cut | None = None
        self._corrupt: Corrupt | None = None
        self._first = 0
        self._pace = Pace()

    async def send(self, message: Message) -> None:
        """Pass on what the hub sends, as far as the faults let it. Raises Ended where they end it."""
        if message["type"] == "http.response.start":
            await self._start(message)
        else:
            await self._pass_on(message["body"], more=message.get("more_body", False))

    async def _start(self, message: Message) -> None:
        self._request["status"] = message["status"]
        headers, path = MutableHeaders(raw=message["headers"]), self._scope["path"]
        if self._scope["method"] == "GET" and message["status"] in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            length = int(headers["content-length"])
            self._first = int(re.split("[ -]", headers.get("content-range", "bytes 0-"))[1])
            sent = range(self._first, self._first + length)
            self._cut = self._schedule.hit(Cut, path, lambda fault: (fault.after or 0) < length)
            self._corrupt = self._schedule.hit(Corrupt, path, lambda fault: fault.offset in sent)
            self._throttle = self._schedule.hit(Throttle, path)
        if self._cut and self._cut.kind == "truncate":
            headers["content-length"] = str(self._cut.after or 0)
        elif self._cut and self._cut.kind == "stall" and self._cut.after is None:
            await self._end(self._cut)
        await self._send(message)

    async def _pass_on(self, data: bytes, *, more: bool) -> None:
        if self._corrupt and 0 <= (at := self._corrupt.offset - self._first - self._request["sent"]) < len(data):
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        if self._cut is None:
            await self._pieces(data, more=more)
            return
        room = (self._cut.after or 0) - self._request["sent"]
        await self._pieces(data[:room], more=True)
        if len(data) >= room:
            await self._end(self._cut)

    async def _pieces(self, data: bytes, *, more: bool) -> None:
        """Send, at the speed of the throttle until another plan is there."""
        left = True
        while left:
            throttle = None if self._schedule.over else self._throttle
            size = len(data) if throttle is None else throttle.piece
            part, data = data[:size], data[size:]
            if throttle:
                await self._schedule.pace.take(len(part), throttle.rate)
                await self._pace.take(len(part), throttle.each)
            self._request["sent"] += len(part)
            left = bool(data)
            await self._send({"type": "http.response.body", "body": part, "more_body": more or left})

    async def _end(self, cut: Cut) -> None:
        if cut.kind == "truncate":
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        while cut.kind == "stall" and (await self._receive())["type"] != "http.disconnect":
            pass
        raise Ended


def _refusal(fault: Status, request: dict[str, Any]) -> Response:
    """The error, and in `request` when the client may ask again."""
    if fault.retry_after is None:
        return Response(status_code=fault.code)
    until = request["at"] + fault.retry_after
    if not fault.dated:
        request["notBefore"] = until
        return Response(status_code=fault.code, headers={"Retry-After": str(fault.retry_after)})
    # A date has no fractions of a second.
    request["notBefore"] = math.ceil(until)
    return Response(status_code=fault.code, headers={"Retry-After": formatdate(request["notBefore"], usegmt=True)})
