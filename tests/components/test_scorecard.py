"""What is recorded of each engine in its own words, and what it is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.components.prometheus import LABEL, WATCHED, Rules, always, histogram, rising, rules, rules_of
from tests.components.samples import SMALLEST, changed
from tests.components.test_alerts import KV_CACHE, TARGET, UP, VLLM, WAITING, WELL, tpot, ttft

__all__ = ["rules"]

pytestmark = pytest.mark.engine

# What each engine's own code calls them, with all the labels that it gives them.
SGLANG = f'{TARGET},model_name="chat",engine_type="unified",tp_rank="0",pp_rank="0"'
SGLANG_HTTP = f'{TARGET},endpoint="/v1/chat/completions",method="POST"'
TRITON = f'{TARGET},exported_model="tensorrt_llm",version="1"'
ENGINES: dict[str, dict[str, str]] = {
    "vllm": WELL | {WAITING: always(5), KV_CACHE: always(0.4)} | ttft(1000) | tpot(1000),
    "nim": WELL | {WAITING: always(5), KV_CACHE: always(0.4)} | ttft(1000) | tpot(1000),
    "sglang": {
        UP: always(1),
        f"sglang:num_queue_reqs{{{SGLANG}}}": always(5),
        f"sglang:num_running_reqs{{{SGLANG}}}": always(8),
        f"sglang:token_usage{{{SGLANG}}}": always(0.4),
        f'sglang:generation_tokens_total{{{SGLANG},is_streaming="true"}}': rising(6000),
        f'sglang:realtime_tokens_total{{{SGLANG},mode="decode"}}': rising(6000),
        f'sglang:http_responses_total{{{SGLANG_HTTP},status_code="200"}}': rising(1000),
        f'sglang:http_responses_total{{{SGLANG_HTTP},status_code="503"}}': rising(0),
        f'sglang:http_responses_total{{{TARGET},endpoint="/health",method="GET",status_code="503"}}': rising(900),
        **histogram("sglang:time_to_first_token_seconds", SGLANG, {"0.4": 1000, "+Inf": 1000}),
        **histogram("sglang:inter_token_latency_seconds", SGLANG, {"0.04": 1000, "+Inf": 1000}),
    },
    "tgi": {
        UP: always(1),
        f"tgi_queue_size{{{TARGET}}}": always(5),
        f"tgi_batch_current_size{{{TARGET}}}": always(8),
        f"tgi_request_generated_tokens_sum{{{TARGET}}}": rising(6000),
        f'tgi_batch_inference_count{{{TARGET},method="decode"}}': rising(900),
        f"tgi_request_count{{{TARGET}}}": rising(1000),
        f'tgi_request_failure{{{TARGET},err="generation"}}': rising(0),
        f'tgi_request_failure{{{TARGET},err="validation"}}': rising(300),
        f'tgi_request_failure{{{TARGET},err="dropped"}}': rising(300),
        **histogram("tgi_request_mean_time_per_token_duration", TARGET, {"0.04": 1000, "+Inf": 1000}),
    },
    "tensorrt-llm": {
        UP: always(1),
        f'nv_trt_llm_request_metrics{{{TRITON},request_type="waiting"}}': always(5),
        f'nv_trt_llm_request_metrics{{{TRITON},request_type="scheduled"}}': always(8),
        f'nv_trt_llm_request_metrics{{{TRITON},request_type="max"}}': always(512),
        f'nv_trt_llm_kv_cache_block_metrics{{{TRITON},kv_cache_block_type="fraction"}}': always(0.4),
        f'nv_trt_llm_kv_cache_block_metrics{{{TRITON},kv_cache_block_type="max"}}': always(6239),
    },
}
EXPECTED: dict[str, float] = {
    "model:inference_replicas:sum": 1,
    "model:inference_running:sum": 8,
    "model:inference_waiting:sum": 5,
    "model:inference_in_flight:sum": 13,
    "model:inference_kv_cache:max": 0.4,
    "model:inference_tokens:rate5m": 100,
    "model:inference_errors:ratio_rate1h": 0,
}
LACKS = {
    "tgi": {"model:inference_kv_cache:max"},
    "tensorrt-llm": {"model:inference_tokens:rate5m", "model:inference_errors:ratio_rate1h"},
}
RECORDED = f'{{__name__=~"{"|".join(EXPECTED)}",model="chat",namespace="inference"}}'


def served_by(engine: str) -> dict[str, Any]:
    """A watched model of this engine."""
    model: dict[str, Any] = {"engine": engine, "probes": {"startupSeconds": 600}}
    if engine in {"tgi", "nim", "tensorrt-llm"}:
        model |= {"image": "registry.example.com/engine:1"}
    if engine == "nim":
        model |= {"ngcKeySecret": "ngc"}
    if engine == "tensorrt-llm":
        model |= {"triton": True}
    return changed(SMALLEST, "models.chat", SMALLEST["models"]["chat"] | model) | {"monitoring": {}}


@pytest.mark.parametrize("engine", ENGINES)
def test_each_engine_is_recorded_under_the_same_names(engine: str, tmp_path: Path) -> None:
    own = rules_of(served_by(engine), tmp_path)
    assert own.check().returncode == 0
    (found,) = own.at([20], RECORDED, ENGINES[engine])
    values = {dict(LABEL.findall(name))["__name__"]: value for name, value in found.items()}
    assert values == pytest.approx(
        {name: value for name, value in EXPECTED.items() if name not in LACKS.get(engine, set())}
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_no_engine_that_is_well_raises_an_alert(engine: str, tmp_path: Path) -> None:
    assert rules_of(served_by(engine), tmp_path).firing([20, 120], ENGINES[engine]) == [{}, {}]


def test_an_engine_that_counts_nothing_is_watched_from_outside(tmp_path: Path) -> None:
    config = served_by("tensorrt-llm")
    config["models"]["chat"].pop("triton")
    config["models"]["chat"].pop("image")
    text = rules_of(config, tmp_path).files[0].read_text()
    assert "InferenceReplicaRestarts" in text
    assert "model:" not in text


def score(rules: Rules, signal: str, series: dict[str, str]) -> float | None:
    """What the signal is worth twenty minutes on."""
    (found,) = rules.at([20], f'model:inference_score:ratio{{signal="{signal}",model="chat"}}', WELL | series)
    return next(iter(found.values()), None)


@pytest.mark.parametrize(
    ("signal", "met", "between", "severe", "beyond"),
    [
        ("queue", {WAITING: always(100)}, {WAITING: always(150)}, {WAITING: always(200)}, {WAITING: always(900)}),
        (
            "kv_cache",
            {KV_CACHE: always(0.85)},
            {KV_CACHE: always(0.9)},
            {KV_CACHE: always(0.95)},
            {KV_CACHE: always(1)},
        ),
    ],
)
def test_a_signal_is_worth_one_at_its_target_and_nothing_from_the_severe_breach_on(
    rules: Rules,
    signal: str,
    met: dict[str, str],
    between: dict[str, str],
    severe: dict[str, str],
    beyond: dict[str, str],
) -> None:
    found = [score(rules, signal, each) for each in (met, between, severe, beyond)]
    assert found == pytest.approx([1, 0.5, 0, 0], abs=1e-9)


def test_latencies_are_worth_less_the_later_they_are(rules: Rules) -> None:
    """Targets are 0.5 s and 50 ms, and three times that is severe; in a bucket, p99 is taken to be at 99 % of it."""

    def first(bucket: str) -> dict[str, str]:
        bounds = ("0.5", "1.0", "2.5", "+Inf")
        counts = {bound: 1000 if float(bound) >= float(bucket) else 0 for bound in bounds}
        return histogram("vllm:time_to_first_token_seconds", VLLM, counts)

    assert [score(rules, "ttft_p99", first(bucket)) for bucket in ("0.5", "1.0", "2.5")] == pytest.approx([1, 0.505, 0])
    assert [score(rules, "tpot_p99", tpot(within)) for within in (1000, 0)] == pytest.approx([1, 0.7525])


def test_a_model_that_nobody_asks_has_no_latency_and_no_bad_one(rules: Rules) -> None:
    quiet = {name: always(0) for name in [*ttft(1000), *tpot(1000)]} | {
        name: always(0) for name in WELL if name.startswith("http_requests")
    }
    scores = [score(rules, signal, quiet) for signal in ("ttft_p99", "tpot_p99", "errors_1h")]
    assert scores == [None, None, None]
    assert worst(rules, quiet) == 1


def worst(rules: Rules, series: dict[str, str]) -> float:
    """What the worst signal is worth."""
    (found,) = rules.at([20], 'model:inference_score:min{model="chat",namespace="inference"}', WELL | series)
    (value,) = found.values()
    return value


def test_the_worst_signal_is_that_of_the_model(rules: Rules) -> None:
    assert worst(rules, {}) == 1
    assert worst(rules, {WAITING: always(150), KV_CACHE: always(0.9)}) == pytest.approx(0.5)
    assert worst(rules, {WAITING: always(175), KV_CACHE: always(0.9)}) == pytest.approx(0.25)


def test_a_model_without_a_replica_is_worth_nothing(rules: Rules) -> None:
    assert score(rules, "replicas", {UP: always(0)}) == 0
    assert worst(rules, {UP: always(0)}) == 0


def test_half_of_the_wanted_replicas_are_worth_half(tmp_path: Path) -> None:
    two = rules_of(changed(WATCHED, "models.chat.replicas", {"min": 2, "max": 4}), tmp_path)
    assert score(two, "replicas", {}) == 0.5
    three = WELL | {UP.replace("x2vqk", each): always(1) for each in ("aaaaa", "bbbbb")}
    assert score(two, "replicas", three) == 1
