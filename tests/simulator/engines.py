"""Start an engine as a process of its own and talk to it as its users do."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import openai
from prometheus_client.parser import text_string_to_metric_families

MODEL = "chat"
START_SECONDS = 180
# Another engine for the contract tests, for example `vllm serve --dtype float32 --enforce-eager`.
COMMAND = shlex.split(os.environ.get("ENGINE_COMMAND", f"{sys.executable} -m rehearsal.simulator serve"))
# Quick enough for tests, and slow enough that a stream of 400 tokens is still running when a signal arrives.
FAST = {
    "SIMULATOR_WITHOUT_GPU": "1",
    "SIMULATOR_STARTUP_SECONDS": "0",
    "SIMULATOR_TEARDOWN_SECONDS": "0.2",
    "SIMULATOR_STEP_MS": "3",
    "SIMULATOR_STEP_MS_PER_SEQ": "0.5",
}
# Shared, since making a client means loading the certificates of the world.
_HTTP = httpx.Client(timeout=60)


@cache
def _client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A streamed answer, as its client has put it together."""

    text: str
    finish_reason: str | None
    tokens: int | None


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A running engine."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def client(self) -> openai.OpenAI:
        """The official client, without retries, so that every refusal shows."""
        return _client(self.url)

    def get(self, path: str) -> httpx.Response:
        """What the engine answers to a GET."""
        return _HTTP.get(f"{self.url}{path}")

    def stream(self, prompt: str, *, tokens: int) -> Reply:
        """Stream a chat completion of exactly `tokens` tokens, unless something ends it before."""
        text, reason, counted = "", None, None
        for chunk in self.open_stream(prompt, tokens=tokens):
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reason = choice.finish_reason or reason
            counted = chunk.usage.completion_tokens if chunk.usage else counted
        return Reply(text=text, finish_reason=reason, tokens=counted)

    def open_stream(self, prompt: str, *, tokens: int) -> openai.Stream[openai.types.chat.ChatCompletionChunk]:
        """The events of that stream."""
        return self.client().chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": prompt}],
            max_tokens=tokens,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True},
        )

    def metric(self, name: str, **labels: str) -> float:
        """The value of a sample, summed over the labels that are not given."""
        return self._metrics(name, **labels)[0]

    def _metrics(self, *names: str, **labels: str) -> tuple[float, ...]:
        """Values of one and the same moment."""
        families = text_string_to_metric_families(self.get("/metrics").text)
        samples = [each for family in families for each in family.samples if labels.items() <= each.labels.items()]
        return tuple(sum(each.value for each in samples if each.name == name) for name in names)

    def wait_for(self, name: str, value: float, **labels: str) -> None:
        """Wait until the sample has this value; the test fails when it never comes."""
        deadline = time.monotonic() + 20
        while (last := self.metric(name, **labels)) != value:
            assert time.monotonic() < deadline, f"{name} is {last}, not {value}"
            time.sleep(0.01)

    def wait_for_requests(self, *, running: int, waiting: int) -> None:
        """Wait until so many run while so many wait: either number comes earlier, in an engine that fills up."""
        deadline = time.monotonic() + 20
        while (last := self._metrics("vllm:num_requests_running", "vllm:num_requests_waiting")) != (running, waiting):
            assert time.monotonic() < deadline, f"{last} run and wait, not {(running, waiting)}"
            time.sleep(0.01)

    def terminate(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def free_port() -> int:
    """A port of the loopback that is free right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def spawn(model: Path, log: Path, *flags: str, port: int, **environment: str) -> Engine:
    """Start an engine and do not wait for it."""
    command = [*COMMAND, str(model), "--host=127.0.0.1", f"--port={port}", f"--served-model-name={MODEL}", *flags]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | FAST | environment)
    return Engine(url=f"http://127.0.0.1:{port}", process=process, log=log)


@contextmanager
def running(model: Path, log: Path, *flags: str, **environment: str) -> Iterator[Engine]:
    """An engine that has loaded its model; it is killed at the end."""
    engine = spawn(model, log, *flags, port=free_port(), **environment)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not healthy(engine):
            assert engine.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield engine
    finally:
        engine.process.kill()
        engine.process.wait()


def healthy(engine: Engine) -> bool:
    """Whether the engine answers its health check; a refused connection is a no."""
    try:
        return engine.get("/health").status_code == httpx.codes.OK
    except httpx.ConnectError:
        return False
