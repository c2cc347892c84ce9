"""Whether the scaler asks for what the engine counts, gets one number, and can reach the most replicas."""

from __future__ import annotations

from typing import Any

import pytest

from claims import scales
from claims.claim import Verdict
from claims.one_number import is_one_number, metrics_in
from claims.scales import claims
from components.engines import ENGINES, queries
from components.settings import Settings
from tests.claims.one import chat_with, claim_on, line, scaled
from tests.components.samples import AWS_ATTACHED, SUM, changed, settings

SELECTED = '{model="chat",model_name="chat",namespace="inference"}'
DEMAND = (
    f"sum(vllm:num_requests_waiting{SELECTED}) + sum(vllm:num_requests_running{SELECTED}) or 0 * "
    'sum(up{container="engine",model="chat",namespace="inference"} == 1)'
)
EVERYTHING: dict[str, Any] = {
    "ttft": {"seconds": 2},
    "kvCache": {"share": 0.8},
    "schedules": [{"start": "30 7 * * 1-5", "end": "0 18 * * 1-5", "replicas": 2}],
}


def test_metrics_query_target_and_pace_are_told() -> None:
    claim = claim_on(claims, scaled())
    assert (claim.verdict, claim.change, claim.proof) == (Verdict.PROVED, None, None)
    assert claim.sentence == "its replicas follow the requests in flight, from 1 to 2"
    assert claim.arithmetic == (
        "metric vllm:num_requests_waiting of vLLM 0.31",
        "metric vllm:num_requests_running of vLLM 0.31",
        f"demand: {DEMAND} is one number",
        "target: 25 requests a replica <= concurrency 32",
        "replica 2 comes with 28 requests in flight: 25 x 1 x 1.1 + 1",
        "pace: 4 replicas or 100 % a 60 s: from 1 to 2 in 1 step, 1 min and the load of a replica",
    )


def test_a_model_without_a_scaler_claims_nothing() -> None:
    assert list(claims(settings(AWS_ATTACHED))) == []


def test_every_trigger_is_looked_at() -> None:
    claim = claim_on(claims, scaled(scaling=EVERYTHING))
    assert claim.verdict is Verdict.PROVED
    assert line(claim, "metric vllm:time_to_first_token_seconds")
    assert line(claim, "ttft: histogram_quantile(0.95, sum by (le) (rate(").endswith("is one number")
    assert line(claim, "kv-cache: avg(").endswith("is one number")
    assert line(claim, "schedule-0") == "schedule-0: cron, which asks no Prometheus"


def test_a_query_that_is_not_summed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the settings makes one: the claim is read off what the program makes."""
    monkeypatch.setattr(queries, "in_flight", lambda *_, **__: f"vllm:num_requests_waiting{SELECTED}")
    claim = claim_on(claims, scaled())
    assert (claim.verdict, claim.change) == (
        Verdict.REFUSED,
        "a sum over the replicas in the query of demand",
    )
    assert line(claim, "demand").endswith("is a number for each replica")


def test_a_target_above_the_concurrency_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings refuse one that is given; the claim holds what the program makes of them against it."""
    monkeypatch.setattr(scales, "target_of", lambda _: 33)
    claim = claim_on(claims, scaled())
    assert (claim.verdict, claim.change) == (Verdict.REFUSED, "inference:models.chat.scaling.target 32")


@pytest.mark.parametrize(
    ("image", "scaling", "verdict"),
    [
        pytest.param("docker.io/vllm/vllm-openai:v0.18.0", {}, Verdict.PROVED, id="older than the profile"),
        pytest.param("docker.io/vllm/vllm-openai:v0.9.2", {}, Verdict.PROVED, id="the queue has long been counted"),
        pytest.param(
            "docker.io/vllm/vllm-openai:v0.9.2",
            {"kvCache": {"share": 0.8}},
            Verdict.REFUSED,
            id="the KV cache under its old name",
        ),
        pytest.param(
            "docker.io/vllm/vllm-openai:v0.10.0",
            {"kvCache": {"share": 0.8}},
            Verdict.PROVED,
            id="the KV cache under its new name",
        ),
        pytest.param("docker.io/vllm/vllm-openai:v0.40.0", {}, Verdict.UNPROVEN, id="newer than what was read"),
        pytest.param(f"registry.example.com/vllm@sha256:{SUM}", {}, Verdict.UNPROVEN, id="of no version"),
    ],
)
def test_the_engine_is_of_a_version_with_these_metrics(image: str, scaling: dict[str, Any], verdict: Verdict) -> None:
    claim = claim_on(claims, scaled(image=image, cuda="12.8", scaling=scaling))
    assert claim.verdict is verdict
    if verdict is Verdict.REFUSED:
        assert line(claim, "metric vllm:kv") == "metric vllm:kv_cache_usage_perc of vLLM 0.9: is newer"
        assert claim.change == "inference:models.chat.image of a newer version, by its digest"
    if verdict is Verdict.UNPROVEN:
        assert "curl http://chat:8000/metrics" in (claim.proof or "")


def test_a_bounded_queue_that_never_asks_for_another_replica_is_refused() -> None:
    """32 requests at a replica are within a tenth of 30: the autoscaler does nothing, and all others get 503."""
    bounded = scaled(scaling={"target": 30}, engineArgs=["--max-num-queued-reqs=0"])
    claim = claim_on(claims, bounded)
    assert (claim.verdict, claim.change) == (Verdict.REFUSED, "inference:models.chat.scaling.target 29")
    assert line(claim, "replica 2") == (
        "replica 2 comes with 34 requests in flight: 30 x 1 x 1.1 + 1 > 1 x (32 + 0 of --max-num-queued-reqs) = 32"
    )
    for target in (29, 30):
        room = scaled(scaling={"target": target}, engineArgs=["--max-num-queued-reqs", str(2 if target == 30 else 0)])
        assert claim_on(claims, room).verdict is Verdict.PROVED


def test_slow_steps_are_counted() -> None:
    config = scaled(replicas={"min": 1, "max": 4}, scaling={"scaleUp": {"pods": 1, "percent": 1}})
    claim = claim_on(claims, changed(config, "gpuPools.l40s.max", 5))
    assert "from 1 to 4 in 3 steps, 3 min and" in line(claim, "pace")


@pytest.mark.parametrize(
    ("key", "proof"),
    [
        pytest.param("autoscaling.keda", "kubectl get crd scaledobjects.keda.sh", id="KEDA"),
        pytest.param(
            "monitoring.prometheus",
            "promtool query instant http://prometheus-operated.monitoring.svc.cluster.local:9090 "
            '\'up{namespace="inference",model="chat",container="engine"}\' answers 1',
            id="Prometheus",
        ),
    ],
)
def test_what_is_there_already_has_to_be_looked_at(key: str, proof: str) -> None:
    claim = claim_on(claims, changed(scaled(), key, {"install": False}))
    assert (claim.verdict, claim.proof) == (Verdict.UNPROVEN, proof)


@pytest.mark.parametrize(
    ("query", "one"),
    [
        (DEMAND, True),
        (f"sum(rate(a{SELECTED}[5m])) / sum(b{SELECTED})", True),
        (f"histogram_quantile(0.95, sum by (le) (rate(a_bucket{SELECTED}[120s])))", True),
        (f"sum by (le) (rate(a_bucket{SELECTED}[120s]))", False),
        (f"sum by (pod) (a{SELECTED})", False),
        (f"sum(a{SELECTED}) + b{SELECTED}", False),
        (f"max(a{SELECTED}) or vector(0)", True),
        (f"a{SELECTED}", False),
        (f"rate(a{SELECTED}[5m])", False),
        ("d", False),
        ("rate(x_total[5m])", False),
        ("sum(a) + d", False),
        ("sum(a) by (pod)", False),
        ("sum(a)[5m:]", False),
        ("histogram_quantile(0.9, sum(a)) + sum by (le) (b)", False),
        ('sum(a{b="("}) or d', False),
        ("clamp_min(sum(rate(x_total[5m])), 1e3) / 0.5", True),
    ],
)
def test_a_query_is_one_number_where_all_that_it_reads_is_aggregated(query: str, one: bool) -> None:  # noqa: FBT001 - a parameter
    assert is_one_number(query) is one


@pytest.mark.parametrize("name", [name for name, engine in ENGINES.items() if engine.metrics is not None])
def test_the_queries_of_every_engine_are_one_number(name: str) -> None:
    metrics = ENGINES[name].metrics
    assert metrics is not None
    query = queries.in_flight(metrics, "chat", {"namespace": "inference"})
    assert is_one_number(query)
    assert metrics_in(query) == [metrics.waiting.partition("{")[0], *([metrics.running] if name != "other" else [])]


def test_a_scaler_that_counts_in_front_asks_no_engine() -> None:
    loaded: Settings = settings(
        scaled(
            {**AWS_ATTACHED},
            engine="ollama",
            source=f"ollama://llama3.1:8b@sha256:{SUM}",
        )
        | {
            "autoscaling": {"keda": {"install": True}, "httpAddOn": {"install": True}},
        }
    )
    (claim,) = claims(loaded)
    assert claim.verdict is Verdict.PROVED
    assert claim.arithmetic[0] == "held: external-push, which asks no Prometheus"


def test_a_fixed_number_beside_a_scaled_one_claims_nothing() -> None:
    config = chat_with(scaled(), replicas={"min": 2, "max": 2})
    assert list(claims(settings(config))) == []
