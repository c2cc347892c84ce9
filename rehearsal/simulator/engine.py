"""Continuous batching as vLLM schedules it, with sleeps where the forward passes are.

Every step gives one token to each running request and takes

    step + step_per_sequence x running + (prompt tokens admitted in this step) / prefill rate

so that time per output token (TPOT) grows with the batch and with others' prompts, and time to first token (TTFT) with
the prompt and with the queue. Requests run up to `max_num_seqs` and as long as the KV cache has blocks for them, the
others wait in order of arrival. When running requests outgrow the cache, the last one is preempted: it loses its
blocks, waits at the head of the queue and is prefilled again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from .environment import Environment
from .metrics import Metrics
from .stops import StopFilter

_ELSEWHERE = "Please try again later or on a different instance."


class QueueOverflowError(Exception):
    """The engine holds as many requests, or tokens of prompts, as its flags allow."""


class ShutDownError(Exception):
    """The engine takes no more requests, since it is to end."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Capacity of the scheduler; `max_num_queued_reqs` counts running requests too, as vLLM's flag does."""

    max_num_seqs: int
    max_num_batched_tokens: int
    max_num_queued_reqs: int | None
    max_num_queued_tokens: int | None
    blocks: int
    block_size: int


@dataclass(frozen=True, kw_only=True)
class Output:
    """Text that became final with one token; `finish_reason` (stop, length, abort) comes with the last one."""

    text: str
    finish_reason: str | None
    tokens: int
    """Tokens generated so far."""


@dataclass(eq=False, kw_only=True)
class Request:
    """One generation: at most `max_tokens` tokens, fewer if `natural_length` or a stop string comes first."""

    prompt_tokens: int
    tokens: Iterator[str]
    max_tokens: int
    natural_length: float
    stops: StopFilter
    generated: int = 0
    arrived: float = field(default_factory=time.monotonic)
    started: float | None = None
    first_token: float | None = None
    latest_token: float = 0.0
    outputs: asyncio.Queue[Output] = field(default_factory=asyncio.Queue)
    finished: bool = False


class Engine:
    """The scheduler and its queue; `run` must be running for requests to go on."""

    def __init__(self, limits: Limits, environment: Environment, metrics: Metrics) -> None:
        self._limits = limits
        self._environment = environment
        self._metrics = metrics
        self._running: list[Request] = []
        self._waiting: deque[Request] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._hung = environment.hung
        metrics.watch(
            running=lambda: len(self._running),
            waiting=lambda: len(self._waiting),
            kv_cache_usage=lambda: self.kv_cache_usage,
        )

    @property
    def running(self) -> int:
        """Requests in the batch."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """Requests in the batch and in the queue."""
        return len(self._running) + len(self._waiting)

    @property
    def kv_cache_usage(self) -> float:
        """Share of the KV cache's blocks in use, from 0 to 1."""
        held = [request.prompt_tokens + request.generated for request in self._running]
        return sum(map(self._blocks, held)) / self._limits.blocks

    def submit(self, request: Request) -> None:
        """Queue the request; its `outputs` must then be read.

        Raises:
            ShutDownError: the engine drains.
            QueueOverflowError: a limit on queued requests would be passed, or that on tokens is reached.
        """
        if self._draining:
            # vLLM's own words: the threads that tokenize end first.
            raise ShutDownError("cannot schedule new futures after shutdown")
        limits = self._limits
        if limits.max_num_queued_reqs is not None and self.in_flight >= limits.max_num_queued_reqs:
            raise QueueOverflowError(f"The engine is currently busy and cannot accept new requests. {_ELSEWHERE}")
        queued = sum(each.prompt_tokens for each in self._waiting)
        if limits.max_num_queued_tokens is not None and queued >= limits.max_num_queued_tokens:
            raise QueueOverflowError(f"The engine has reached its prefill token backlog limit. {_ELSEWHERE}")
        self._metrics.max_tokens.observe(request.max_tokens)
        self._waiting.append(request)
        self._idle.clear()
        self._wake.set()

    async def outputs(self, request: Request) -> AsyncIterator[Output]:
        """The request's outputs; a caller that stops listening aborts it and frees its place."""
        try:
            while not request.finished or not request.outputs.empty():
                yield await request.outputs.get()
        finally:
            self._finish(request, "abort")

    async def run(self) -> None:
        """Step for ever."""
        while True:
            if not self.in_flight:
                self._wake.clear()
                await self._wake.wait()
            prefilled = self._schedule()
            environment = self._environment
            await asyncio.sleep(
                environment.step_seconds
                + environment.step_seconds_per_sequence * len(self._running)
                + prefilled / environment.prefill_tokens_per_second
            )
            # Its queue and its metrics go on: only that nothing moves tells.
            for request in () if self._hung else list(self._running):
                self._advance(request)

    def hang(self) -> None:
        """Make no token from now on, as an engine whose GPU is stuck; called again: go on."""
        self._hung = not self._hung

    async def drain(self, seconds: float) -> None:
        """Take no more requests, let those in flight go on for up to `seconds`, then abort what is left."""
        self._draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), timeout=seconds)
        except TimeoutError:
            for request in (*self._running, *self._waiting):
                self._finish(request, "abort")

    def _schedule(self) -> int:
        """Make room for the next token of the batch, then fill up from the queue; returns prompt tokens to process."""
        while len(self._running) > 1 and self._next_blocks() > self._limits.blocks:
            self._waiting.appendleft(self._running.pop())
            self._metrics.preemptions.inc()
        prefilled = 0
        while self._waiting and len(self._running) < self._limits.max_num_seqs:
            request = self._waiting[0]
            tokens = request.prompt_tokens + request.generated
            free = self._limits.blocks - self._next_blocks()
            # The first prompt of a step may be longer than the budget: it is processed in chunks, which takes as long.
            over_budget = prefilled and prefilled + tokens > self._limits.max_num_batched_tokens
            if over_budget or self._blocks(tokens + 1) > free:
                break
            self._running.append(self._waiting.popleft())
            prefilled += tokens
            self._start(request)
        return prefilled

    def _start(self, request: Request) -> None:
        if request.started is None:
            request.started = time.monotonic()
            self._metrics.queue_time.observe(request.started - request.arrived)
            self._metrics.prompt_tokens.inc(request.prompt_tokens)

    def _next_blocks(self) -> int:
        """Blocks of the KV cache for what the batch holds and the next token of each."""
        return sum(self._blocks(request.prompt_tokens + request.generated + 1) for request in self._running)

    def _blocks(self, tokens: int) -> int:
        return math.ceil(tokens / self._limits.block_size)

    def _advance(self, request: Request) -> None:
        """Give the request its next token, and finish it if that was the last."""
        now = time.monotonic()
        request.generated += 1
        self._metrics.generation_tokens.inc()
        if request.first_token is None:
            request.first_token = now
            self._metrics.time_to_first_token.observe(now - request.arrived)
        else:
            self._metrics.inter_token_latency.observe(now - request.latest_token)
        request.latest_token = now

        text = request.stops.feed(next(request.tokens))
        if request.stops.stopped or request.generated >= request.natural_length:
            self._finish(request, "stop", text)
        elif request.generated >= request.max_tokens:
            self._finish(request, "length", text)
        else:
            request.outputs.put_nowait(Output(text=text, finish_reason=None, tokens=request.generated))

    def _finish(self, request: Request, reason: str, text: str = "") -> None:
        """Take the request out of the engine, once; its last output holds what the stop filter has kept back."""
        if request.finished:
            return
        request.finished = True
        last = Output(text=text + request.stops.flush(), finish_reason=reason, tokens=request.generated)
        request.outputs.put_nowait(last)
        if request in self._running:
            self._running.remove(request)
        else:
            self._waiting.remove(request)
        if not self.in_flight:
            self._idle.set()
        self._observe_finished(request, reason)

    def _observe_finished(self, request: Request, reason: str) -> None:
        now = time.monotonic()
        metrics = self._metrics
        metrics.finished[reason].inc()
        metrics.e2e_latency.observe(now - request.arrived)
        metrics.prompt_length.observe(request.prompt_tokens)
        metrics.answer_length.observe(request.generated)
        if request.started is not None:
            metrics.inference_time.observe(now - request.started)
        if request.first_token is not None and request.generated > 1:
            decoding = request.latest_token - request.first_token
            metrics.time_per_output_token.observe(decoding / (request.generated - 1))
