"""What an engine must do for the rest of the system: asked of the simulator, and by `make calibrate` of the real vLLM.

Each engine is started three times, since the real one takes a minute or more for it: a first one with keys from a file
and limits, which ends in a drain; a second one without; and what does not start.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.figures import CONTRACT, FIGURES
from tests.simulator import engines
from tests.simulator.engines import KEY, MODEL, Engine, Kind, Reply

# The real engine's start is part of its first test, and may be slow beside other work.
pytestmark = pytest.mark.timeout(1800)

PROMPT = "Why does a surge rollout cut no stream?"
LONG = 400
ENDLESS = 3000
"""Tokens of a stream that is to end in another way than by its length, however slow the test's own process is."""


SECOND_KEY = "second-key-of-the-tests"
ENVIRONMENTS_KEY = "key-of-the-environment"
IN_FLIGHT = 6


@dataclass(frozen=True, kw_only=True)
class Started:
    """The first engine, and what its `/health` answered until it was loaded (0: the connection was refused)."""

    engine: Engine
    answers: tuple[int, ...]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, id=kind.name, marks=() if kind is engines.SIMULATOR else pytest.mark.vllm)
        for kind in engines.installed()
    ],
)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture(autouse=True)
def counted(kind: Kind) -> None:
    FIGURES[f"{CONTRACT}{kind.name}"] += 1


@pytest.fixture(scope="module")
def started(kind: Kind, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("engine")
    keys = folder / "config.yaml"
    # As the program writes it: JSON is YAML too.
    keys.write_text(json.dumps({"api-key": [KEY, SECOND_KEY]}))
    flags = ("--max-model-len=512", "--max-num-seqs", "2", f"--max-num-queued-reqs={IN_FLIGHT}")
    more = ("--shutdown-timeout=300", "--config", str(keys))
    slow = {"SIMULATOR_LOAD_MBPS": "20", "VLLM_API_KEY": ENVIRONMENTS_KEY}
    engine = engines.spawn(model_folder, folder / "log", *flags, *more, port=engines.free_port(), kind=kind, **slow)
    with engines.ended(engine):
        yield Started(engine=engine, answers=tuple(engines.while_starting(engine)))


@pytest.fixture(scope="module")
def engine(started: Started) -> Engine:
    return started.engine


def test_connections_are_refused_until_the_model_is_loaded(started: Started) -> None:
    assert started.answers.count(0) > 1
    assert set(started.answers) == {0, httpx.codes.OK}


def test_a_stream_has_as_many_tokens_as_asked_for_and_says_so(engine: Engine) -> None:
    reply = engine.stream(PROMPT, tokens=8)

    assert (reply.finish_reason, reply.tokens) == ("length", 8)
    assert reply.text


def test_the_first_event_names_the_assistant_and_the_last_one_counts_the_tokens(engine: Engine) -> None:
    chunks = list(engine.open_stream(PROMPT, tokens=3))

    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    usage = chunks[-1].usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert {chunk.model for chunk in chunks} == {MODEL}


def test_the_whole_answer_is_the_streamed_one(engine: Engine) -> None:
    whole = engine.client().chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": PROMPT}],
        max_completion_tokens=12,
        temperature=0,
        extra_body={"ignore_eos": True},
    )

    assert whole.choices[0].message.content == engine.stream(PROMPT, tokens=12).text
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 12


def test_a_stop_string_ends_the_answer_in_front_of_it(engine: Engine) -> None:
    answer = engine.stream(PROMPT, tokens=30).text
    stop = answer[len(answer) // 2 :][:6]
    client = engine.client()

    stopped = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": PROMPT}],
        max_tokens=60,
        temperature=0,
        stop=[stop],
        extra_body={"ignore_eos": True},
    )

    assert stopped.choices[0].message.content == answer[: answer.index(stop)]
    assert stopped.choices[0].finish_reason == "stop"


def test_a_text_completion_streams_too(engine: Engine) -> None:
    events = engine.client().completions.create(
        model=MODEL, prompt=PROMPT, max_tokens=5, temperature=0, stream=True, extra_body={"ignore_eos": True}
    )

    reasons = [choice.finish_reason for event in events for choice in event.choices]
    assert reasons[-1] == "length"
    assert set(reasons[:-1]) <= {None}


def test_the_model_is_listed_with_its_context_length(engine: Engine) -> None:
    (card,) = engine.client().models.list().data

    assert card.id == MODEL
    assert card.model_dump()["max_model_len"] == 512


def test_another_model_is_not_found(engine: Engine) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        engine.client().chat.completions.create(model="other", messages=[{"role": "user", "content": PROMPT}])


def test_a_prompt_beyond_the_context_is_refused(engine: Engine) -> None:
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        engine.stream("word " * 600, tokens=1)


def test_requests_beyond_the_concurrency_wait_and_are_all_served(engine: Engine) -> None:
    with ThreadPoolExecutor(5) as clients:
        replies = [clients.submit(engine.stream, PROMPT, tokens=LONG) for _ in range(5)]
        engine.wait_for_requests(running=2, waiting=3)

    assert {(reply.result().finish_reason, reply.result().tokens) for reply in replies} == {("length", LONG)}
    assert len({reply.result().text for reply in replies}) == 1
    engine.wait_for("vllm:num_requests_running", 0)


def test_a_client_that_leaves_frees_its_place(engine: Engine) -> None:
    before = engine.metric("vllm:request_success_total", finished_reason="length")
    streams = [engine.open_stream(PROMPT, tokens=LONG) for _ in range(2)]
    for stream in streams:
        next(iter(stream))
    engine.wait_for("vllm:num_requests_running", 2)

    for stream in streams:
        stream.close()

    engine.wait_for("vllm:num_requests_running", 0)
    assert engine.metric("vllm:request_success_total", finished_reason="length") == before


def test_a_client_that_does_not_stream_and_leaves_frees_its_place_too(engine: Engine) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": LONG, "ignore_eos": True}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    before = engine.metric("vllm:request_success_total", finished_reason="length")
    address = httpx.URL(engine.url)

    with closing(HTTPConnection(address.host, address.port)) as client:
        client.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        # Only then: a request that has not arrived has no place to free.
        engine.wait_for("vllm:num_requests_running", 1)

    engine.wait_for("vllm:num_requests_running", 0)
    assert engine.metric("vllm:request_success_total", finished_reason="length") == before


def test_the_metrics_that_scaling_and_dashboards_read_are_there(engine: Engine) -> None:
    engine.stream(PROMPT, tokens=4)
    samples = {sample.name: sample for family in engine.families() for sample in family.samples}

    for name in (
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:num_preemptions_total",
        "vllm:prompt_tokens_total",
        "vllm:generation_tokens_total",
        "vllm:request_success_total",
        "vllm:time_to_first_token_seconds_bucket",
        "vllm:inter_token_latency_seconds_bucket",
        "vllm:request_time_per_output_token_seconds_bucket",
        "vllm:e2e_request_latency_seconds_bucket",
        "vllm:request_queue_time_seconds_bucket",
    ):
        assert samples[name].labels["model_name"] == MODEL
        assert samples[name].labels["engine"] == "0"


def test_what_is_asked_of_the_api_is_counted_by_the_class_of_its_status(engine: Engine) -> None:
    def counted(handler: str, status: str, method: str = "POST") -> float:
        return engine.metric("http_requests_total", handler=handler, status=status, method=method)

    chat, nowhere = "/v1/chat/completions", "none"
    before = counted(chat, "2xx"), counted(chat, "4xx"), counted(chat, "5xx"), counted(nowhere, "4xx", "GET")
    without_key = counted("/v1/models", "4xx", "GET")

    engine.stream(PROMPT, tokens=3)
    engine.chat(max_tokens=0)
    engine.get("/v1/nothing")
    engine.get("/v1/models", None)
    engine.get("/health")

    engine.wait_for("http_requests_total", before[0] + 1, handler=chat, status="2xx", method="POST")
    assert counted(chat, "4xx") == before[1] + 1
    assert counted(chat, "5xx") == before[2]
    assert counted(nowhere, "4xx", "GET") == before[3] + 1
    assert counted("/v1/models", "4xx", "GET") == without_key
    assert engine.metric("http_requests_total", handler="/health") == 0


def test_tokens_are_counted(engine: Engine) -> None:
    before = engine.metric("vllm:generation_tokens_total")

    engine.stream(PROMPT, tokens=7)

    engine.wait_for("vllm:generation_tokens_total", before + 7)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {KEY}", 200),
        (f"Bearer {SECOND_KEY}", 200),
        (f"bearer {KEY}", 200),
        (None, 401),
        (KEY, 401),
        ("Bearer", 401),
        (f"Bearer  {KEY}", 401),
        (f"Basic {KEY}", 401),
        (f"Bearer {KEY}x", 401),
        (f"Bearer {ENVIRONMENTS_KEY}", 401),
    ],
)
def test_each_key_of_the_configuration_file_lets_in_and_nothing_else_does(
    engine: Engine, authorization: str | None, status: int
) -> None:
    reply = engine.get("/v1/models", authorization)

    assert reply.status_code == status
    assert status == httpx.codes.OK or reply.json() == {"error": "Unauthorized"}


@pytest.mark.parametrize(
    ("path", "without", "with_key"),
    [
        ("/health", 200, 200),
        ("/ping", 200, 200),
        ("/version", 200, 200),
        ("/metrics", 200, 200),
        ("/nothing", 404, 404),
        ("/v1/nothing", 401, 404),
        ("/v1/chat/completions", 401, 405),
    ],
)
def test_a_key_is_asked_for_below_v1_and_nowhere_else(engine: Engine, path: str, without: int, with_key: int) -> None:
    assert (engine.get(path, None).status_code, engine.get(path).status_code) == (without, with_key)


def test_a_head_request_is_not_served_where_a_get_is(engine: Engine) -> None:
    assert httpx.head(f"{engine.url}/health").status_code == httpx.codes.METHOD_NOT_ALLOWED


@pytest.mark.parametrize(
    ("fields", "status", "kind_of_error", "words"),
    [
        ({"max_tokens": 0}, 400, "BadRequestError", "max_tokens must be at least 1, got 0."),
        ({"max_tokens": "many"}, 400, "Bad Request", "Input should be a valid integer"),
        ({"max_tokens": 1.5}, 400, "Bad Request", "Input should be a valid integer"),
        ({"max_tokens": 600}, 400, "BadRequestError", "max_tokens=600 cannot be greater than max_model_len=512."),
        ({"min_tokens": 2}, 400, "BadRequestError", "min_tokens must be less than or equal to max_tokens=1, got 2."),
        ({"temperature": -1}, 400, "BadRequestError", "temperature must be"),
        ({"temperature": 3}, 400, "BadRequestError", "temperature must be in [0, 2], got 3"),
        ({"top_p": 2}, 400, "BadRequestError", "top_p must be in (0, 1], got 2"),
        ({"stop": ""}, 400, "BadRequestError", "stop cannot contain an empty string."),
        ({"stop": ["a", "e", "i", "o", "u"]}, 400, "Bad Request", "at most 4 items"),
        ({"stop": 3}, 400, "Bad Request", "Input should be a valid string"),
        ({"stream_options": {"include_usage": True}}, 400, "BadRequestError", "only be defined when `stream=True`."),
        ({"messages": []}, 400, "BadRequestError", ""),
        ({"messages": ["x"]}, 400, "Bad Request", ""),
        ({"messages": [{"content": "x"}]}, 400, "Bad Request", ""),
        ({"messages": [{"role": "user", "content": None}]}, 400, "Bad Request", ""),
        ({"messages": [{"role": "user", "content": 3}]}, 400, "Bad Request", ""),
        ({"model": "other"}, 404, "NotFoundError", "The model `other` does not exist. Valid aliases: chat."),
    ],
)
def test_a_request_that_cannot_be_served_is_refused_with_the_reason(
    engine: Engine, fields: dict[str, Any], status: int, kind_of_error: str, words: str
) -> None:
    reply = engine.chat(**fields)

    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["type"]) == (status, status, kind_of_error)
    assert words in error["message"]
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": "1"},
        {"max_tokens": 512, "stop": ["a", "e", "i", "o"], "max_completion_tokens": 1},
        {"max_tokens": 2, "max_completion_tokens": 1},
        {"model": ""},
        {"nonsense": 1},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]},
    ],
)
def test_what_may_be_said_in_another_way_is_served(engine: Engine, fields: dict[str, Any]) -> None:
    reply = engine.chat(**fields)

    assert reply.status_code == httpx.codes.OK
    assert reply.json()["usage"]["completion_tokens"] == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'"x"', b'{"messages": 1}'])
def test_a_body_that_is_no_request_is_refused(engine: Engine, body: bytes) -> None:
    assert engine.post("/v1/chat/completions", body).status_code == httpx.codes.BAD_REQUEST


def test_a_body_that_is_not_said_to_be_json_is_refused(engine: Engine) -> None:
    body = b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": 1}'

    assert engine.post("/v1/chat/completions", body, "application/json; charset=utf-8").status_code == httpx.codes.OK
    assert engine.post("/v1/chat/completions", body, "text/plain").status_code == httpx.codes.BAD_REQUEST


def test_a_refusal_comes_before_a_stream_begins(engine: Engine) -> None:
    assert engine.chat(stream=True, max_tokens=600).status_code == httpx.codes.BAD_REQUEST


def test_a_stream_is_server_sent_events_of_which_the_last_names_the_server(engine: Engine) -> None:
    reply = engine.chat(stream=True, max_tokens=2, stream_options={"include_usage": True})
    lines = [line for line in reply.text.split("\n\n") if line]
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]

    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert lines[-1] == "data: [DONE]"
    assert {said(event) for event in events[:-1]} == {("choices", "created", "id", "model", "object")}
    assert said(events[-1]) == ("choices", "created", "id", "model", "object", "system_fingerprint", "usage")
    assert said(events[0]["choices"][0]) == ("delta", "index")
    assert said(events[-2]["choices"][0]) == ("delta", "finish_reason", "index")


def test_a_whole_answer_says_what_a_real_one_says(engine: Engine) -> None:
    answer = engine.chat(max_tokens=2).json()

    assert said(answer) == ("choices", "created", "id", "model", "object", "system_fingerprint", "usage")
    assert said(answer["choices"][0]) == ("finish_reason", "index", "message")
    assert said(answer["choices"][0]["message"]) == ("content", "role")
    assert said(answer["usage"]) == ("completion_tokens", "prompt_tokens", "total_tokens")


def said(fields: dict[str, Any]) -> tuple[str, ...]:
    """Names of the fields that have a value: to a client null is the same as nothing."""
    return tuple(sorted(name for name, value in fields.items() if value is not None))


def test_requests_in_flight_beyond_the_limit_are_refused_with_503(engine: Engine) -> None:
    streams = [engine.open_stream(PROMPT, tokens=LONG) for _ in range(IN_FLIGHT)]
    engine.wait_for_requests(running=2, waiting=IN_FLIGHT - 2)

    refused = engine.chat()

    for stream in streams:
        stream.close()
    error = refused.json()["error"]
    assert (refused.status_code, error["type"]) == (httpx.codes.SERVICE_UNAVAILABLE, "Service Unavailable")
    assert error["message"].startswith("The engine is currently busy and cannot accept new requests.")
    engine.wait_for("vllm:num_requests_running", 0)


def test_sigterm_lets_all_streams_end_within_the_shutdown_timeout_and_takes_no_new_ones(engine: Engine) -> None:
    # The last one that is asked of the first engine.
    with ThreadPoolExecutor(IN_FLIGHT - 1) as clients:
        replies = [clients.submit(engine.stream, PROMPT, tokens=LONG) for _ in range(IN_FLIGHT - 1)]
        engine.wait_for_requests(running=2, waiting=IN_FLIGHT - 3)
        engine.process.terminate()
        # Not by asking: what arrives before the signal is let in, and would wait until all streams have ended.
        engine.wait_for_drain()

        failed = engine.metric("http_requests_total", status="5xx")
        refused = engine.chat()
        assert engines.healthy(engine)
        assert engine.metric("vllm:num_requests_running") > 0
        assert engine.metric("http_requests_total", status="5xx") == failed + 1

        assert {(reply.result().finish_reason, reply.result().tokens) for reply in replies} == {("length", LONG)}
    assert refused.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    assert refused.json()["error"]["message"] == "cannot schedule new futures after shutdown"
    assert engine.process.wait(timeout=300) == 0


def end_of(reply: Future[Reply]) -> str:
    """How a stream has ended: its finish reason, or cut where the engine was gone before it had said one."""
    try:
        return reply.result().finish_reason or "cut"
    except (openai.APIError, httpx.TransportError):
        return "cut"


def test_without_a_shutdown_timeout_sigterm_ends_every_stream_early_and_a_key_may_come_from_the_environment(
    kind: Kind, model_folder: Path, tmp_path: Path
) -> None:
    with (
        engines.running(model_folder, tmp_path / "log", "--max-num-seqs=2", kind=kind, VLLM_API_KEY=KEY) as engine,
        ThreadPoolExecutor(3) as clients,
    ):
        assert engine.get("/v1/models", None).status_code == httpx.codes.UNAUTHORIZED
        replies = [clients.submit(engine.stream, PROMPT, tokens=ENDLESS) for _ in range(3)]
        engine.wait_for_requests(running=2, waiting=1)

        # The real one kills the process that makes the tokens at once. Whether that one can still say so is chance.
        # Where it can't, the server waits for the connections of its streams without an end; a kubelet does not.
        ended = engine.end_within(10)

        ends = {end_of(reply) for reply in replies}
    if kind is engines.SIMULATOR:
        assert (ended, ends) == (0, {"abort"})
    else:
        assert ended in {0, -signal.SIGKILL}
        assert ends <= {"abort", "cut"}


def test_what_cannot_be_started_ends_with_the_exit_code_of_its_reason(
    kind: Kind, model_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()

    def spawn(name: str, folder: Path, *flags: str) -> Engine:
        return engines.spawn(folder, tmp_path / name, *flags, port=engines.free_port(), kind=kind)

    without_model = spawn("without-model", tmp_path / "empty")
    unknown_flag = spawn("unknown-flag", model_folder, "--max-num-sequences=8")

    assert unknown_flag.process.wait(timeout=engines.START_SECONDS) == 2
    assert "unrecognized arguments: --max-num-sequences=8" in unknown_flag.log.read_text()
    assert without_model.process.wait(timeout=engines.START_SECONDS) == 1
