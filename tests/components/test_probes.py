"""Probes of a replica: what they ask, and what becomes of that on an engine that loads, is full, or wants a key."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components import probes
from components.engines import ENGINES, ask
from components.settings import Model
from components.timing import timing
from tests.components.samples import SMALLEST, changed, chat
from tests.simulator.conftest import model_folder
from tests.simulator.engines import MODEL, Engine, free_port, healthy, running, spawn

__all__ = ["model_folder"]


def model(**values: Any) -> Model:
    return chat(changed(SMALLEST, "models.chat.probes", values))


def startup(**values: Any) -> Any:
    given = model(**values)
    return probes.startup("chat", given, timing(given))


def readiness(**values: Any) -> Any:
    return probes.readiness("chat", model(readiness=values))


def test_startup_asks_for_a_token_for_as_long_as_the_load_may_take() -> None:
    probe = startup()
    assert probe.exec_.command == list(ENGINES["vllm"].first_token("chat", model(), 10))
    assert (probe.period_seconds, probe.timeout_seconds, probe.failure_threshold) == (10, 10, 48)
    slow = startup(firstTokenSeconds=60)
    assert (slow.period_seconds, slow.timeout_seconds, slow.failure_threshold) == (60, 60, 8)


def test_an_attempt_never_outlasts_its_period_so_that_the_budget_is_what_it_says() -> None:
    for seconds in (2, 10, 300):
        probe = startup(firstTokenSeconds=seconds)
        budget = timing(model(firstTokenSeconds=seconds)).startup_budget
        assert probe.timeout_seconds <= probe.period_seconds
        assert probe.period_seconds * probe.failure_threshold == budget
        assert float(probe.exec_.command[5]) <= probe.timeout_seconds


def test_readiness_asks_for_the_health_and_by_setting_for_a_token_behind_the_answers_that_run() -> None:
    health = readiness()
    assert (health.http_get.path, health.http_get.port, health.timeout_seconds) == ("/health", "http", 5)
    assert health.exec_ is None
    token = readiness(kind="inference")
    assert token.http_get is None
    assert token.exec_.command[:2] == ["python3", "-c"]
    assert token.timeout_seconds == 300 + 5
    assert float(token.exec_.command[5]) == 300 + 4
    longer = readiness(kind="inference", timeoutSeconds=900)
    assert longer.timeout_seconds == 900


@pytest.mark.parametrize("kind", ["health", "inference"])
def test_liveness_never_asks_the_model(kind: str) -> None:
    probe: Any = probes.liveness(model(readiness={"kind": kind}))
    assert probe.tcp_socket.port == "http"
    assert (probe.exec_, probe.http_get) == (None, None)


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_is_asked_for_a_token_from_inside_without_a_key_in_the_command(name: str) -> None:
    command = ENGINES[name].first_token("chat", model(), 10)
    assert command[0] in ("python3", "bash")
    assert not any("Bearer ey" in word or "sk-" in word for word in command)


def asked(engine: Engine, seconds: int, *, name: str = MODEL, key_file: Path | None = None) -> tuple[int, str, float]:
    """The probe's own command against an engine of the test's: its exit code, what it said, and how long it took."""
    port = int(engine.url.rsplit(":", 1)[1])
    *command, key = ask.completion(name, port, "/v1/completions", seconds)
    begun = time.monotonic()
    done = subprocess.run([*command, str(key_file or key)], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stderr.strip(), time.monotonic() - begun


@contextmanager
def busy(engine: Engine, *, streams: int, tokens: int) -> Iterator[None]:
    """So many streams, each of so many tokens, that have been asked for and are read to their end."""
    ended = [
        threading.Thread(target=engine.stream, args=("one two",), kwargs={"tokens": tokens}) for _ in range(streams)
    ]
    for each in ended:
        each.start()
    try:
        yield
    finally:
        for each in ended:
            each.join()


def test_a_model_that_serves_gives_its_token(model_folder: Path, tmp_path: Path) -> None:
    with running(model_folder, tmp_path / "log") as engine:
        assert asked(engine, 10)[:2] == (0, "")
        code, said, took = asked(engine, 3, name="another")
        assert (code, said) == (1, "no token yet: HTTP Error 404: Not Found")
        assert took < 6


def test_a_model_that_loads_is_found_to_serve_within_the_attempt_in_which_it_does(
    model_folder: Path, tmp_path: Path
) -> None:
    engine = spawn(model_folder, tmp_path / "log", port=free_port(), SIMULATOR_STARTUP_SECONDS="3")
    try:
        code, said, took = asked(engine, 2)
        assert (code, took < 4) == (1, True)
        assert "refused" in said
        code, _, took = asked(engine, 20)
        assert (code, took < 15) == (0, True)
        assert healthy(engine)
    finally:
        engine.process.kill()
        engine.process.wait()


def test_a_key_is_read_where_it_is_mounted(model_folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "config.yaml"
    keys.write_text(json.dumps({"api-key": ["first", "second"]}))
    with running(model_folder, tmp_path / "log", "--api-key", "first", "second") as engine:
        assert asked(engine, 2)[1] == "no token yet: HTTP Error 401: Unauthorized"
        assert asked(engine, 10, key_file=keys)[0] == 0


def test_on_a_saturated_replica_a_token_does_not_come_in_time_while_the_health_is_good(
    model_folder: Path, tmp_path: Path
) -> None:
    """Why readiness by a token is not the default: it would take a replica out that is merely busy.

    Two at a time, each answer some 4 s. A full replica answers within the time of one answer; one with a longer queue
    than it has places does not, and neither /health nor the port minds.
    """
    within_one_answer = 8
    with running(model_folder, tmp_path / "log", "--max-num-seqs", "2", SIMULATOR_STEP_MS="40") as engine:
        with busy(engine, streams=2, tokens=100):
            engine.wait_for_requests(running=2, waiting=0)
            assert asked(engine, within_one_answer)[0] == 0
        with busy(engine, streams=8, tokens=100):
            engine.wait_for_requests(running=2, waiting=6)
            code, said, _ = asked(engine, within_one_answer)
            assert (code, said) == (1, "no token yet: timed out")
            assert healthy(engine)
            port = int(engine.url.rsplit(":", 1)[1])
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
