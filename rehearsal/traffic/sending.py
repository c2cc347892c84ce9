"""Streams over HTTP: each due at its time, and read to its end."""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count

import aiohttp

from rehearsal.fault import Fault
from rehearsal.traffic.load import Asked, Load, arrivals, asked
from rehearsal.traffic.outcome import Ending, Outcome, ending
from rehearsal.traffic.reading import Reading
from rehearsal.traffic.result import Result, result

POD_HEADER = "x-simulator-host"
"""By which the simulator says who answers; another engine has no such header."""
_SPARE_FILES = 64


@dataclass(kw_only=True)
class Tally:
    """What can be seen while streams are under way."""

    open: int = 0
    most_open: int = 0
    endings: Counter[Ending] = field(default_factory=Counter)


async def send(load: Load, tally: Tally, going: Callable[[], bool] = lambda: False) -> Result:
    """Send `load.streams` streams, and more at the same rate for as long as `going` says so; gives what became of them.

    Raises Fault where this process may not open as many connections.
    """
    _allow_files(load.concurrency + _SPARE_FILES)
    turns = asyncio.Semaphore(load.concurrency)
    connector = aiohttp.TCPConnector(limit=0, force_close=not load.keep_alive)
    headers = {"Authorization": f"Bearer {load.api_key}"} if load.api_key else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=load.patience_s, sock_read=load.patience_s)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
        begun, tasks = time.monotonic(), []
        async with asyncio.TaskGroup() as group:
            for number, due in zip(count(), arrivals(load.rate, load.seed), strict=False):
                await asyncio.sleep(begun + due - time.monotonic())
                if number >= load.streams and not going():
                    break
                one = _one(session, load, asked(load, number), begun, due, turns, tally)
                tasks.append(group.create_task(one))
    return result(load, (task.result() for task in tasks), most_open=tally.most_open)


async def _one(
    session: aiohttp.ClientSession,
    load: Load,
    ask: Asked,
    begun: float,
    due: float,
    turns: asyncio.Semaphore,
    tally: Tally,
) -> Outcome:
    read, broke, opened, silent, pod = Reading(), None, False, False, None
    async with turns:
        lag = time.monotonic() - begun - due
        tally.open += 1
        tally.most_open = max(tally.most_open, tally.open)
        try:
            async with session.post(f"{load.base_url}/chat/completions", json=ask.body) as response:
                pod = response.headers.get(POD_HEADER)
                opened = response.status == HTTPStatus.OK
                if opened:
                    async for data in response.content.iter_any():
                        read.feed(data, time.monotonic())
                else:
                    broke = f"HTTP {response.status}: {(await response.text())[:120]}"
        except aiohttp.ConnectionTimeoutError:
            broke = f"no connection within {load.patience_s:g} s"
        except TimeoutError:
            silent, broke = True, f"silence for {load.patience_s:g} s after {read.events} tokens"
        except (aiohttp.ClientError, OSError) as error:
            broke = f"{type(error).__name__}: {error}"
        finally:
            tally.open -= 1
    how, detail = ending(ask, read, broke, opened=opened, silent=silent)
    tally.endings[how] += 1
    first, last = read.first_token_at, read.last_token_at
    return Outcome(
        number=ask.number,
        ending=how,
        detail=detail,
        pod=pod,
        due=due,
        lag=lag,
        total=time.monotonic() - begun - due,
        first_token=None if first is None else first - begun - due,
        per_token=(last - first) / (read.tokens - 1) if first and last and read.tokens > 1 else None,
        longest_gap=read.longest_gap,
        tokens=read.tokens,
    )


def _allow_files(needed: int) -> None:
    """A connection is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise Fault(f"traffic: --concurrency needs {needed} open files; allowed: {hard}; raise it: ulimit -Hn {needed}")
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
