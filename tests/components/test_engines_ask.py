"""The probes' commands, run against a server."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.engines import ask


@dataclass
class Asked:
    """An engine that loads for some seconds when it is first asked, and starts over if whoever asked has gone."""

    load_seconds: float = 0
    status: int = 200
    port: int = 0
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    loads: int = 0
    loaded: bool = False


@pytest.fixture
def engine() -> Iterator[Asked]:
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.requests.append((self.command, self.path, dict(self.headers), body))
            if not asked.loaded:
                asked.loads += 1
                end = time.monotonic() + asked.load_seconds
                self.connection.settimeout(0.05)
                while time.monotonic() < end:
                    try:
                        if not self.connection.recv(1):
                            return
                    except TimeoutError:
                        continue
                asked.loaded = True
            self.send_response(asked.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = _answer  # noqa: N815 - names of the base class

        def log_message(self, *_: object) -> None:
            """Nothing to stderr."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Whoever asked may have gone."""

    server = Server(("127.0.0.1", 0), Handler)
    asked.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()


SOON = 2
LATE = 20
KILLED = 137


def run(command: tuple[str, ...], home: Path, seconds: int = 2 * LATE) -> tuple[int, str]:
    """Status and message of a probe; the kubelet kills one that lasts longer, but not what it has started."""
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(home)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=variables)
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return KILLED, ""
    return process.returncode, said


COMMANDS = {"python": ask.completion, "shell": ask.shell_completion}


def asked(kind: str, port: int, home: Path, seconds: int = LATE) -> tuple[int, str]:
    return run(COMMANDS[kind]("chat", port, "/v1/completions", seconds), home)


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_token_is_asked_of_the_model_by_its_name(kind: str, engine: Asked, tmp_path: Path) -> None:
    assert asked(kind, engine.port, tmp_path) == (0, "")
    method, path, headers, body = engine.requests[-1]
    assert (method, path, headers["Content-Type"]) == ("POST", "/v1/completions", "application/json")
    assert json.loads(body) == {"model": "chat", "prompt": "1", "max_tokens": 1}
    assert "Authorization" not in headers


@pytest.mark.parametrize("kind", COMMANDS)
def test_an_engine_that_answers_with_an_error_has_not_started(kind: str, engine: Asked, tmp_path: Path) -> None:
    engine.status = 503
    status, said = asked(kind, engine.port, tmp_path, SOON)
    assert status == 1
    assert said.startswith("no token")
    assert said.count("\n") == 1


@pytest.mark.parametrize("kind", COMMANDS)
def test_an_engine_that_is_not_there_has_not_started(kind: str, tmp_path: Path) -> None:
    status, said = asked(kind, 1, tmp_path, SOON)
    assert status == 1
    assert said.startswith("no token")


def test_a_question_of_the_engines_own_is_a_get(engine: Asked, tmp_path: Path) -> None:
    assert run(ask.get(engine.port, "/health_generate", LATE), tmp_path) == (0, "")
    assert [(method, path, body) for method, path, _, body in engine.requests] == [("GET", "/health_generate", b"")]


def test_a_load_that_lasts_longer_than_a_probe_is_not_given_up(engine: Asked, tmp_path: Path) -> None:
    engine.load_seconds = 3 * SOON
    probe = ask.shell_completion("chat", engine.port, "/v1/completions", SOON)
    results = [run(probe, tmp_path, SOON)[0]]
    end = time.monotonic() + 3 * LATE
    while results[-1] and time.monotonic() < end:
        results.append(run(probe, tmp_path, SOON)[0])
    assert results[0] != 0
    assert results[-1] == 0
    assert engine.loads == 1, "the first who asked has gone, and the load with them"


def test_each_probe_after_the_load_asks_for_itself(engine: Asked, tmp_path: Path) -> None:
    assert asked("shell", engine.port, tmp_path) == (0, "")
    engine.status = 500
    assert asked("shell", engine.port, tmp_path)[0] == 1


def test_what_an_earlier_start_of_the_container_left_behind_means_nothing(engine: Asked, tmp_path: Path) -> None:
    (tmp_path / ".first-token-1").mkdir()
    assert asked("shell", engine.port, tmp_path) == (0, "")
    assert engine.loads == 1
