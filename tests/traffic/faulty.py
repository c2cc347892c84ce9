"""A server that answers like an engine, but for the fault that a stream's number names."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from rehearsal.simulator import answer

HEAD = (
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    "transfer-encoding: chunked\r\nx-simulator-host: pod-1\r\n\r\n"
)
BUSY = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"
PAUSE_S = 0.5
CUT_AT = 3
"""Tokens after which what goes wrong goes wrong."""


@contextmanager
def serving(faults: Mapping[int, str]) -> Iterator[str]:
    """The base URL of a server with this fault for each stream of that number; others are answered well."""
    loop, stop, started, ports = asyncio.new_event_loop(), asyncio.Event(), threading.Event(), []

    async def serve() -> None:
        server = await asyncio.start_server(lambda reader, writer: _serve(reader, writer, faults), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        started.set()
        await stop.wait()
        server.close()
        # Those of streams that were given up still pause.
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
        # Closed connections take the loop's next turn to close.
        await asyncio.sleep(0.01)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait()
    try:
        yield f"http://127.0.0.1:{ports[0]}/v1"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Mapping[int, str]) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = re.search(r"content-length: (\d+)", head)
    body = json.loads(await reader.readexactly(int(length[1]) if length else 0))
    prompt = body["messages"][0]["content"]
    fault = faults.get(int(prompt.split()[1]), "")
    if fault == "busy":
        writer.write(BUSY.encode())
    elif fault != "reset before the answer":
        await _answer(writer, script(prompt, body["max_tokens"], fault), whole=fault != "connection lost")
    if fault in ("connection lost", "reset before the answer"):
        writer.transport.abort()
    writer.close()


async def _answer(writer: asyncio.StreamWriter, events: list[str | float], *, whole: bool) -> None:
    writer.write(HEAD.encode())
    for event in events:
        if isinstance(event, float):
            await asyncio.sleep(event)
        else:
            writer.write(f"{len(event):x}\r\n{event}\r\n".encode())
    writer.write(b"0\r\n\r\n" if whole else b"")
    # What was written last shall arrive before the connection breaks.
    await asyncio.sleep(0.05)


def script(prompt: str, tokens: int, fault: str) -> list[str | float]:
    """The stream's events, and pauses between them."""
    *words, last = islice(answer.tokens(prompt), tokens)
    events = [_chunk(word) for word in words]
    before, after = events[:CUT_AT], events[CUT_AT:]
    finish, done, abort = _choice({"content": last}, "length"), "data: [DONE]\n\n", _choice({}, "abort")
    usage, one_less = (_data({"choices": [], "usage": {"completion_tokens": each}}) for each in (tokens, tokens - 1))
    end = [finish, usage, done]
    scripts: dict[str, list[str | float]] = {
        "": [*events, *end],
        "token skipped": [*before, *after[1:], *end],
        "token doubled": [*before, after[0], *after, *end],
        "another's token": [*before, _chunk(" elsewhere-4"), *after[1:], *end],
        "one token less": [*events, _choice({}, "length"), one_less, done],
        "late first token": [PAUSE_S, *events, *end],
        "gap": [*before, PAUSE_S, *after, *end],
        "abort at once": [abort, done],
        "abort": [*before, abort, done],
        "error": [*before, _data({"error": {"message": "EngineCore died", "code": 500}}), done],
        "connection lost": [*before],
        "ended without a word": [*before],
        "no finish reason": [*events, _chunk(last), usage, done],
        "no [DONE]": [*events, finish, usage],
        "words after [DONE]": [*events, *end, _chunk(" more")],
    }
    return scripts[fault]


def _chunk(word: str) -> str:
    return _choice({"content": word}, None)


def _choice(delta: dict[str, str], reason: str | None) -> str:
    return _data({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


def _data(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"
