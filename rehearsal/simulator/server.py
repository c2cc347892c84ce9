"""Serving and stopping: uvicorn over the engine, with vLLM's way of leaving on SIGTERM.

The first SIGTERM or SIGINT starts the drain: running streams go on for up to `--shutdown-timeout` seconds (0: none),
new requests are refused with HTTP 500, then what is left is aborted, and the process ends when the
engine is torn down; `/health` and `/metrics` answer to the end. The second signal ends the process at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from .api import Served, application
from .engine import Engine, Limits
from .environment import Environment
from .flags import Arguments
from .metrics import Metrics
from .weights import Model

_log = logging.getLogger("vllm")
_STATS_SECONDS = 10.0
# For a client that does not read: its connection is cut so that the process can end.
_FLUSH_SECONDS = 5


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers, which would close the port when the drain begins."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    arguments: Arguments, environment: Environment, model: Model, kv_cache_tokens: int, listener: socket.socket
) -> None:
    """Serve on the bound socket until a signal, and return when the drain has ended."""
    name = arguments.served_model_names[0]
    metrics = Metrics(name, max_model_len=model.max_model_len)
    limits = Limits(
        max_num_seqs=arguments.max_num_seqs,
        max_num_batched_tokens=arguments.max_num_batched_tokens,
        max_num_queued_reqs=arguments.max_num_queued_reqs,
        max_num_queued_tokens=arguments.max_num_queued_tokens,
        blocks=kv_cache_tokens // arguments.block_size,
        block_size=arguments.block_size,
    )
    engine = Engine(limits, environment, metrics)
    served = Served(
        models=arguments.served_model_names,
        folder=arguments.model,
        max_model_len=model.max_model_len,
        api_keys=arguments.api_keys,
    )
    config = uvicorn.Config(
        application(served, engine, metrics),
        log_config=None,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_FLUSH_SECONDS,
    )
    server = _Server(config)
    # In one group, so that a fault of the engine ends the process instead of leaving a port that never answers.
    async with asyncio.TaskGroup() as group:
        background = [group.create_task(engine.run())]
        if arguments.log_stats:
            background.append(group.create_task(_log_stats(engine)))

        def stop() -> None:
            group.create_task(_stop(server, engine, arguments.shutdown_timeout, environment.teardown_seconds))

        _on_signals(stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, engine.hang)
        _log.info("Starting vLLM server on http://%s:%d", arguments.host, arguments.port)
        await server.serve(sockets=[listener])
        for task in background:
            task.cancel()


def _on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at the first SIGTERM or SIGINT; the second ends the process."""
    received: list[int] = []

    def receive(number: int) -> None:
        received.append(number)
        if len(received) > 1:
            os._exit(128 + number)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, receive, number)


async def _stop(server: uvicorn.Server, engine: Engine, shutdown_timeout: int, teardown_seconds: float) -> None:
    _log.info("Shutdown: %d requests in flight, draining for up to %d s", engine.in_flight, shutdown_timeout)
    await engine.drain(shutdown_timeout)
    _log.info("Shutdown: no requests in flight, tearing the engine down")
    await asyncio.sleep(teardown_seconds)
    server.should_exit = True


async def _log_stats(engine: Engine) -> None:
    """Log the load every ten seconds, as vLLM does, while there is any."""
    while True:
        await asyncio.sleep(_STATS_SECONDS)
        if engine.in_flight:
            _log.info(
                "Engine 000: Running: %d reqs, Waiting: %d reqs, GPU KV cache usage: %.1f%%",
                engine.running,
                engine.waiting,
                100 * engine.kv_cache_usage,
            )
