"""`vllm serve MODEL ...`: parse the flags, load the model, serve until a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import FrameType

from . import VERSION, environment, flags, logs, nodes, server, weights

_log = logging.getLogger("vllm")


def main() -> int:
    """Run the simulator with the process's arguments and environment; returns the exit code."""
    # A container's first process has no default handler for SIGTERM: without this one it could not be stopped
    # before it serves.
    signal.signal(signal.SIGTERM, _end_while_loading)
    arguments = flags.parse(sys.argv[1:])
    logs.configure(access_log=arguments.access_log, excluded=arguments.access_log_excluded)
    _log.info("vLLM API server version %s (simulator)", VERSION)
    _log.info("non-default args: %s", arguments.non_default)
    try:
        constants = environment.read(os.environ)
        if arguments.headless:
            load(arguments, constants)
            while True:
                signal.pause()
        # Bound now and listening when loaded: a port in use ends the process at once, and connections are refused
        # until the model is there.
        with closing(_bind(arguments.host, arguments.port)) as listener:
            model, kv_cache_tokens = load(arguments, constants)
            asyncio.run(server.serve(arguments, constants, model, kv_cache_tokens, listener))
    except (ValueError, OSError, weights.LoadError) as error:
        _log.error("Engine core initialization failed: %s", error)
        return 1
    return 0


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


def load(arguments: flags.Arguments, constants: environment.Environment) -> tuple[weights.Model, int]:
    """Check GPUs and model, read the weights, size the KV cache; returns the model and the cache's tokens.

    Over several nodes, wait for the others before.

    Raises:
        LoadError: the engine cannot start.
    """
    gpus = arguments.gpus // arguments.nodes.count
    if constants.visible_gpus is not None and gpus > constants.visible_gpus:
        raise weights.LoadError(
            f"World size ({gpus}) is larger than the number of available GPUs ({constants.visible_gpus})"
            if constants.visible_gpus
            else "No GPU: NVIDIA_VISIBLE_DEVICES lists none, the device plugin has given none to this container"
        )
    nodes.end_with(arguments.nodes.join())
    folder = Path(arguments.model)
    model = weights.inspect(
        folder, max_model_len=arguments.max_model_len, tensor_parallel_size=arguments.tensor_parallel_size
    )
    _log.info("Starting to load model %s...", folder)
    begun = time.monotonic()
    size = weights.load(folder, bytes_per_second=constants.load_bytes_per_second, progress=_show_shards)
    _log.info("Loading weights took %.2f seconds", time.monotonic() - begun)
    _log.info("Model loading took %.4f GiB memory", size / 2**30)

    kv_cache_tokens = _kv_cache_tokens(arguments, constants, model, size)
    if arguments.max_model_len == -1:
        model = replace(model, max_model_len=min(model.max_model_len, kv_cache_tokens))
    if kv_cache_tokens < model.max_model_len:
        raise weights.LoadError(
            f"To serve at least one request with the models's max seq len ({model.max_model_len}), KV cache for as many"
            f" tokens is needed, and there is memory for {kv_cache_tokens}. Try increasing `gpu_memory_utilization` or"
            " decreasing `max_model_len` when initializing the engine."
        )
    concurrency = kv_cache_tokens / model.max_model_len
    _log.info("GPU KV cache size: %s tokens", f"{kv_cache_tokens:,}")
    _log.info("Maximum concurrency for %s tokens per request: %.2fx", f"{model.max_model_len:,}", concurrency)
    time.sleep(constants.startup_seconds)
    _log.info("init engine (profile, create kv cache, warmup model) took %.2f seconds", constants.startup_seconds)
    return model, kv_cache_tokens


def _kv_cache_tokens(
    arguments: flags.Arguments, constants: environment.Environment, model: weights.Model, weight_bytes: int
) -> int:
    """Tokens that the KV cache holds: as told, or what the weights leave of the GPUs' memory."""
    if arguments.num_gpu_blocks_override is not None:
        return arguments.num_gpu_blocks_override * arguments.block_size
    if constants.kv_cache_tokens is not None:
        return constants.kv_cache_tokens
    memory = arguments.gpus * constants.gpu_memory_bytes * arguments.gpu_memory_utilization - weight_bytes
    if arguments.kv_cache_memory_bytes is not None:
        memory = arguments.gpus * arguments.kv_cache_memory_bytes
    if memory <= 0:
        raise weights.LoadError(
            "No available memory for the cache blocks."
            " Try increasing `gpu_memory_utilization` when initializing the engine."
        )
    blocks = int(memory / (model.kv_bytes_per_token * arguments.block_size))
    return blocks * arguments.block_size


def _show_shards(done: int, total: int, seconds: float) -> None:
    _log.info(
        "Loading safetensors checkpoint shards: %3d%% Completed | %d/%d [%.1fs]",
        *(100 * done // total, done, total, seconds),
    )


def _end_while_loading(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
