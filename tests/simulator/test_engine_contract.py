"""What an engine must do for the rest of the system: asked of the simulator here, and of the real vLLM elsewhere.

Set ENGINE_COMMAND to another engine's command line (`vllm serve --dtype float32 --enforce-eager`) to ask that one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import httpx
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.simulator import engines
from tests.simulator.engines import MODEL, Engine

PROMPT = "Why does a surge rollout cut no stream?"
LONG = 400
ENDLESS = 3000
"""Tokens of a stream that is to end in another way than by its length, however slow the test's own process is."""


@pytest.fixture(scope="module")
def engine(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    log = tmp_path_factory.mktemp("engine") / "log"
    with engines.running(model_folder, log, "--max-model-len=512", "--max-num-seqs", "2") as started:
        yield started


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


def test_a_body_that_is_no_request_is_refused(engine: Engine) -> None:
    for body in (b"{", b"[]", b"{}", b'{"messages": 1}'):
        reply = httpx.post(f"{engine.url}/v1/chat/completions", content=body)
        assert reply.status_code == httpx.codes.BAD_REQUEST, body


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
    before = engine.metric("vllm:request_success_total", finished_reason="length")
    address = httpx.URL(engine.url)

    with closing(HTTPConnection(address.host, address.port)) as client:
        client.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        # Only then: a request that has not arrived has no place to free.
        engine.wait_for("vllm:num_requests_running", 1)

    engine.wait_for("vllm:num_requests_running", 0)
    assert engine.metric("vllm:request_success_total", finished_reason="length") == before


def test_the_metrics_that_scaling_and_dashboards_read_are_there(engine: Engine) -> None:
    engine.stream(PROMPT, tokens=4)
    text = engine.get("/metrics").text
    samples = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}

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
        "vllm:e2e_request_latency_seconds_bucket",
        "vllm:request_queue_time_seconds_bucket",
    ):
        assert samples[name].labels["model_name"] == MODEL
        assert samples[name].labels["engine"] == "0"


def test_tokens_are_counted(engine: Engine) -> None:
    before = engine.metric("vllm:generation_tokens_total")

    engine.stream(PROMPT, tokens=7)

    engine.wait_for("vllm:generation_tokens_total", before + 7)


def test_connections_are_refused_until_the_model_is_loaded(model_folder: Path, tmp_path: Path) -> None:
    engine = engines.spawn(model_folder, tmp_path / "log", port=engines.free_port(), SIMULATOR_LOAD_MBPS="20")
    answers = []
    try:
        while httpx.codes.OK not in answers:
            assert engine.process.poll() is None, engine.log.read_text()
            try:
                answers.append(engine.get("/health").status_code)
            except httpx.ConnectError:
                answers.append(0)
            time.sleep(0.02)
    finally:
        engine.process.kill()
        engine.process.wait()

    assert answers.count(0) > 1
    assert set(answers) == {0, httpx.codes.OK}


def test_sigterm_aborts_every_stream_when_there_is_no_shutdown_timeout(model_folder: Path, tmp_path: Path) -> None:
    with (
        engines.running(model_folder, tmp_path / "log", "--max-num-seqs=2") as engine,
        ThreadPoolExecutor(3) as clients,
    ):
        replies = [clients.submit(engine.stream, PROMPT, tokens=ENDLESS) for _ in range(3)]
        engine.wait_for_requests(running=2, waiting=1)

        assert engine.terminate() == 0

        ended = [reply.result() for reply in replies]
    assert {reply.finish_reason for reply in ended} == {"abort"}
    assert all(reply.tokens is not None and reply.tokens < ENDLESS for reply in ended)


def test_sigterm_lets_running_streams_end_within_the_shutdown_timeout(model_folder: Path, tmp_path: Path) -> None:
    with (
        engines.running(model_folder, tmp_path / "log", "--shutdown-timeout=60") as engine,
        ThreadPoolExecutor(2) as clients,
    ):
        replies = [clients.submit(engine.stream, PROMPT, tokens=LONG) for _ in range(2)]
        engine.wait_for("vllm:num_requests_running", 2)
        engine.process.terminate()

        # Until the drain begins new requests are served, from then on they are refused.
        while not _refused(engine):
            assert engine.process.poll() is None
        engine.wait_for("vllm:num_requests_running", 2)
        assert engines.healthy(engine)

        assert {(reply.result().finish_reason, reply.result().tokens) for reply in replies} == {("length", LONG)}
        assert engine.process.wait(timeout=60) == 0


def _refused(engine: Engine) -> bool:
    """Whether a new request gets no answer: HTTP 500 from vLLM 0.32, an aborted stream from 0.33."""
    try:
        return engine.stream(PROMPT, tokens=1).finish_reason == "abort"
    except openai.InternalServerError:
        return True


def test_a_folder_without_a_model_ends_the_process(tmp_path: Path) -> None:
    engine = engines.spawn(tmp_path, tmp_path / "log", port=engines.free_port())

    assert engine.process.wait(timeout=engines.START_SECONDS) == 1


def test_an_unknown_flag_ends_the_process(model_folder: Path, tmp_path: Path) -> None:
    engine = engines.spawn(model_folder, tmp_path / "log", "--max-num-sequences=8", port=engines.free_port())

    assert engine.process.wait(timeout=engines.START_SECONDS) == 2
    assert "unrecognized arguments: --max-num-sequences=8" in engine.log.read_text()
