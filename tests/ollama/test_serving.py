"""The real `ollama serve` as a replica runs it: the profile's environment, over weights that it can only read."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest

from components.engines.ollama import ENGINE, PORT
from components.engines.profile import USER, Drain
from tests.ollama.conftest import Pushed
from tests.ollama.seeding import Job, settings
from tests.ollama.tool import Tool
from tests.simulator.engines import MODEL, Engine, free_port

pytestmark = [pytest.mark.ollama, pytest.mark.timeout(900)]

PROMPT = "Why does a surge rollout cut no stream?"
CONTEXT = 4096
LONG = 3000
PARALLEL = 2
PROBE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Replica:
    """A folder like a container's: the weights that were seeded, read-only, and a home."""

    tool: Tool
    job: Job
    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @contextmanager
    def serving(self) -> Iterator[Engine]:
        """The engine with just what the profile gives it, but for a port that is free."""
        port = free_port()
        model = settings(self.job.location, self.job.revision, concurrency=PARALLEL, context=CONTEXT)
        variables = dict(ENGINE.environment(MODEL, model, str(self.job.published), str(self.home)))
        assert variables["OLLAMA_HOST"] == f"0.0.0.0:{PORT}"
        variables |= {"OLLAMA_HOST": f"127.0.0.1:{port}", "PATH": os.environ["PATH"]}
        user = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups") if os.geteuid() == 0 else ()
        with self.tool.serving(variables, self.root / "log", port=port, within=user) as engine:
            yield engine

    def probe(self, engine: Engine, name: str, seconds: int) -> subprocess.CompletedProcess[str]:
        """The startup probe's command, as the kubelet runs it in the container."""
        model = settings(self.job.location, self.job.revision)
        port = engine.url.rpartition(":")[2]
        words = [port if word == str(PORT) else word for word in ENGINE.first_token(name, model, seconds)]
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    def weights(self) -> Mapping[Path, tuple[int, int, int]]:
        """What would tell of a change: size, mode and time of each file and folder."""
        found = (self.job.published, *self.job.published.rglob("*"))
        return {path: ((stat := path.stat()).st_size, stat.st_mode, stat.st_mtime_ns) for path in found}


@pytest.fixture(scope="module")
def replica(tool: Tool, pushed: Pushed) -> Iterator[Replica]:
    # Not below pytest's own folder, which no other user may enter.
    with tempfile.TemporaryDirectory(prefix="ollama-") as name:
        root = Path(name)
        root.chmod(0o755)
        job = Job(tool=tool, volume=root / "volume", location=pushed.location, revision=pushed.pin)
        assert job.run() == 0, job.said
        shutil.rmtree(job.home)
        for path in (*job.volume.rglob("*"), job.volume):
            path.chmod(0o555 if path.is_dir() else 0o444)
        job.home.mkdir()
        if os.geteuid() == 0:
            os.chown(job.home, USER, USER)
        program = Path(shutil.copy(tool.program, root / "ollama"))
        yield Replica(tool=Tool(program=program, authority=tool.authority), job=job, root=root)
        for path in (job.volume, *job.volume.rglob("*")):
            path.chmod(0o755)


@pytest.fixture(scope="module")
def before(replica: Replica) -> Mapping[Path, tuple[int, int, int]]:
    return replica.weights()


@pytest.fixture(scope="module")
def engine(replica: Replica, before: Mapping[Path, tuple[int, int, int]]) -> Iterator[Engine]:
    with replica.serving() as engine:
        yield engine


def streamed(engine: Engine, seen: threading.Event, stop: threading.Event, tokens: int) -> int:
    """Read a stream until its end, or until it is to stop; gives the number of its events."""
    events = 0
    with engine.open_stream(PROMPT, tokens=tokens) as stream:
        for _ in stream:
            events += 1
            seen.set()
            if stop.is_set():
                break
    return events


def test_the_health_path_answers_and_names_the_model_before_it_is_loaded(engine: Engine, replica: Replica) -> None:
    answer = engine.get(ENGINE.health_path)
    assert answer.status_code == httpx.codes.OK
    assert {model["name"] for model in answer.json()["models"]} == {f"{MODEL}:latest", replica.job.location}
    assert engine.get("/api/ps").json()["models"] == []


def test_the_probe_has_the_model_loaded_and_succeeds(engine: Engine, replica: Replica) -> None:
    probed = replica.probe(engine, MODEL, PROBE_SECONDS)
    assert (probed.returncode, probed.stderr) == (0, "")
    (loaded,) = engine.get("/api/ps").json()["models"]
    assert (loaded["name"], loaded["context_length"]) == (f"{MODEL}:latest", CONTEXT)


def test_the_probe_of_a_model_that_there_is_not_fails(engine: Engine, replica: Replica) -> None:
    # A start of its own has no mark that it has answered.
    for mark in replica.home.glob(".first-token-*"):
        mark.unlink()
    probed = replica.probe(engine, "nothing", 3)
    assert (probed.returncode, probed.stderr) == (1, "no token yet\n")


def test_it_answers_to_the_settings_key_and_streams_to_the_end(engine: Engine) -> None:
    reply = engine.stream(PROMPT, tokens=20)
    assert (reply.finish_reason, reply.tokens) == ("length", 20)
    assert engine.chat(model="nothing").status_code == httpx.codes.NOT_FOUND


def test_as_many_as_are_set_run_at_a_time_and_the_next_waits_for_its_turn(engine: Engine) -> None:
    stop, waits = threading.Event(), threading.Event()
    seen = [threading.Event() for _ in range(PARALLEL)]
    with ThreadPoolExecutor(PARALLEL + 1) as clients:
        running = [clients.submit(streamed, engine, each, stop, LONG) for each in seen]
        assert all(each.wait(60) for each in seen)
        next_one = clients.submit(streamed, engine, waits, threading.Event(), 5)
        came_early = waits.wait(0.5)
        still_running = not any(each.done() for each in running)
        stop.set()
        assert next_one.result(60)
    assert still_running
    assert not came_early


def test_it_has_written_nothing_beside_the_weights(
    engine: Engine, replica: Replica, before: Mapping[Path, tuple[int, int, int]]
) -> None:
    assert replica.weights() == before


def test_sigterm_cuts_running_streams_and_ends_it_within_the_time_of_the_profile(replica: Replica) -> None:
    assert ENGINE.drain is Drain.NOT_AT_ALL
    with replica.serving() as engine, ThreadPoolExecutor(1) as clients:
        seen = threading.Event()
        stream = clients.submit(streamed, engine, seen, threading.Event(), LONG)
        assert seen.wait(60)
        begun = time.monotonic()
        engine.process.send_signal(signal.SIGTERM)
        assert engine.process.wait(ENGINE.exit_seconds) == 0
        took = time.monotonic() - begun
        with pytest.raises((httpx.TransportError, openai.APIConnectionError)):
            stream.result(60)
    assert took < ENGINE.exit_seconds
