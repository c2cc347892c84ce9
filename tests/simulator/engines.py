"""Start an engine as a process of its own and talk to it as its users do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import openai
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from rehearsal import vllm
from rehearsal.places import Places

MODEL = "chat"
KEY = "key-of-the-tests"
"""What every request bears, whether the engine asks for one or not."""
START_SECONDS = 900
"""For the real engine on a machine that has other work."""
# Quick enough for tests, and slow enough that a stream of 400 tokens is still running when a signal arrives.
FAST = {
    "SIMULATOR_WITHOUT_GPU": "1",
    "SIMULATOR_STARTUP_SECONDS": "0",
    "SIMULATOR_TEARDOWN_SECONDS": "0.2",
    "SIMULATOR_STEP_MS": "3",
    "SIMULATOR_STEP_MS_PER_SEQ": "0.5",
}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An engine that can be asked: how it is started, and the environment that it needs on top of ours."""

    name: str
    command: tuple[str, ...]
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str]


SIMULATOR = Kind(name="the simulator", command=(sys.executable, "-m", "rehearsal.simulator", "serve"), environment=FAST)


def installed() -> tuple[Kind, ...]:
    """The simulator, and the real vLLM where `make calibrate` has put it into the cache."""
    places = Places.of_user()
    if not vllm.installed(places):
        return (SIMULATOR,)
    command, environment = vllm.command(places)
    name = f"vLLM {vllm.version()}"
    real = Kind(name=name, command=(*command, "serve"), flags=vllm.FLAGS, environment=environment)
    return (SIMULATOR, real)


# Shared, since making a client means loading the certificates of the world.
# No connection is used twice: a server closes an idle one after five seconds, in the middle of the next request.
_HTTP = httpx.Client(timeout=120, limits=httpx.Limits(max_keepalive_connections=0))


@cache
def _client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=120)


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

    def get(self, path: str, authorization: str | None = f"Bearer {KEY}") -> httpx.Response:
        """What the engine answers to a GET."""
        return _HTTP.get(f"{self.url}{path}", headers={"Authorization": authorization} if authorization else {})

    def post(self, path: str, body: bytes | dict[str, Any], content_type: str = "application/json") -> httpx.Response:
        """What the engine answers to a POST."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": content_type}
        return _HTTP.post(f"{self.url}{path}", content=content, headers=headers)

    def chat(self, **fields: Any) -> httpx.Response:
        """What it answers to a chat completion: one greedy token, unless `fields` say otherwise."""
        messages = [{"role": "user", "content": "Hello"}]
        body = {"model": MODEL, "messages": messages, "max_tokens": 1, "temperature": 0, "ignore_eos": True}
        return self.post("/v1/chat/completions", {**body, **fields})

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
        families = self.families()
        samples = [each for family in families for each in family.samples if labels.items() <= each.labels.items()]
        return tuple(sum(each.value for each in samples if each.name == name) for name in names)

    def families(self) -> list[Metric]:
        """All metrics, parsed."""
        return list(text_string_to_metric_families(self.get("/metrics").text))

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

    def wait_for_drain(self) -> None:
        """Wait until its log says that it drains, from when on it takes no request."""
        deadline = time.monotonic() + 60
        while "draining" not in self.log.read_text():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)

    def terminate(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def end_within(self, seconds: float) -> int:
        """End it as a kubelet does, by SIGTERM and after `seconds` by SIGKILL, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout=seconds)
        self.process.kill()
        return self.process.wait()


def free_port() -> int:
    """A port of the loopback that is free right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def spawn(model: Path, log: Path, *flags: str, port: int, kind: Kind = SIMULATOR, **environment: str) -> Engine:
    """Start an engine and do not wait for it."""
    ours = ("--host=127.0.0.1", f"--port={port}", f"--served-model-name={MODEL}")
    # The kernel ends it with the test run, however that ends.
    bound = ("setpriv", "--pdeathsig", "TERM")
    command = [*bound, *kind.command, str(model), *ours, *kind.flags, *flags]
    # What it keeps in its home is this test's.
    variables = {**os.environ, "HOME": str(log.parent), **kind.environment, **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=variables)
    return Engine(url=f"http://127.0.0.1:{port}", process=process, log=log)


@contextmanager
def running(model: Path, log: Path, *flags: str, kind: Kind = SIMULATOR, **environment: str) -> Iterator[Engine]:
    """An engine that has loaded its model; it is killed at the end."""
    engine = spawn(model, log, *flags, port=free_port(), kind=kind, **environment)
    with ended(engine):
        for status in while_starting(engine):
            if status == httpx.codes.OK:
                break
        yield engine


@contextmanager
def ended(engine: Engine) -> Iterator[None]:
    """Ends the engine's process with the block, however it ends."""
    try:
        yield
    finally:
        # The real one has children, which end by themselves when it ends in order.
        engine.process.terminate()
        if engine.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                engine.process.wait(60)
        engine.process.kill()
        engine.process.wait()


def while_starting(engine: Engine) -> Iterator[int]:
    """What `/health` answers until it is 200, which comes last; 0 for a connection that is refused."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert engine.process.poll() is None, engine.log.read_text()
        assert time.monotonic() < deadline, engine.log.read_text()
        try:
            status = engine.get("/health").status_code
        except httpx.ConnectError:
            status = 0
        yield status
        if status == httpx.codes.OK:
            return
        time.sleep(0.02)


def healthy(engine: Engine) -> bool:
    """Whether the engine answers its health check; a refused connection is a no."""
    try:
        return engine.get("/health").status_code == httpx.codes.OK
    except httpx.ConnectError:
        return False
