"""Each alert on invented series: it fires when it should, not a minute before, and not just below its threshold.

The numbers are written out here, and not taken from the table that makes the rules.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.timing import timing
from tests.components.prometheus import WATCHED, Rules, always, histogram, rising, rules, rules_of
from tests.components.samples import SOURCES, changed, chat

__all__ = ["rules"]

pytestmark = pytest.mark.engine

TARGET = 'namespace="inference",model="chat",pod="chat-7d9c5b6f4-x2vqk",container="engine"'
VLLM = f'{TARGET},model_name="chat",engine="0"'
HTTP = f'{TARGET},handler="/v1/chat/completions",method="POST"'
STATE = 'namespace="inference",pod="chat-7d9c5b6f4-x2vqk",container="engine"'
JOB = 'namespace="inference",job_name="chat-seed-4d7c825a",condition="true"'
SCALED = 'namespace="inference",scaledObject="chat"'

UP = f"up{{{TARGET}}}"
RUNNING = f"vllm:num_requests_running{{{VLLM}}}"
WAITING = f"vllm:num_requests_waiting{{{VLLM}}}"
KV_CACHE = f"vllm:kv_cache_usage_perc{{{VLLM}}}"
TOKENS = f"vllm:generation_tokens_total{{{VLLM}}}"
GOOD = f'http_requests_total{{{HTTP},status="2xx"}}'
BAD = f'http_requests_total{{{HTTP},status="5xx"}}'
BROKEN = f'vllm:request_success_total{{{VLLM},finished_reason="error"}}'
RESTARTS = f"kube_pod_container_status_restarts_total{{{STATE}}}"
SEEDER_RESTARTS = f"kube_pod_init_container_status_restarts_total{{{STATE}}}"
FAILED_JOB = f"kube_job_failed{{{JOB}}}"
SCALER_ERRORS = f"keda_scaled_object_errors_total{{{SCALED}}}"
KEDA_UP = 'up{namespace="keda",job="inference/keda-operator"}'


def ttft(within: float, of: float = 1000) -> dict[str, str]:
    """So many of the requests of a minute have their first token within half a second, all within one."""
    return histogram("vllm:time_to_first_token_seconds", VLLM, {"0.5": within, "1.0": of, "+Inf": of})


def tpot(within: float, of: float = 1000) -> dict[str, str]:
    """So many of the answers of a minute take at most 50 ms a token, all at most 75."""
    return histogram("vllm:request_time_per_output_token_seconds", VLLM, {"0.05": within, "0.075": of, "+Inf": of})


WELL = {
    UP: always(1),
    RUNNING: always(8),
    WAITING: always(0),
    KV_CACHE: always(0.5),
    TOKENS: rising(6000),
    GOOD: rising(1000),
    BAD: rising(0),
    BROKEN: rising(0),
    RESTARTS: always(0),
    SEEDER_RESTARTS: always(0),
    FAILED_JOB: always(0),
    SCALER_ERRORS: always(0),
    KEDA_UP: always(1),
    **ttft(1000),
    **tpot(1000),
}


def test_nothing_fires_while_all_is_well(rules: Rules) -> None:
    assert rules.firing([1, 10, 59, 400], WELL) == [{}, {}, {}, {}]


@pytest.mark.parametrize(
    ("series", "minute", "expected"),
    [
        pytest.param({UP: always(0), SCALER_ERRORS: rising(4)}, 8, {"InferenceNoReplica": "critical"}, id="no replica"),
        pytest.param({RESTARTS: "0 0 0 1+0x500"}, 3, {"InferenceReplicaRestarts": "warning"}, id="a restart"),
        pytest.param({FAILED_JOB: "0 0 0 1+0x500"}, 3, {"InferenceSeedingFailed": "critical"}, id="a Job gives up"),
        pytest.param(
            {SEEDER_RESTARTS: "0 0 0 1 2 3+0x500"},
            4,
            {"InferenceSeedingFailed": "critical"},
            id="a seeder that restarts",
        ),
        pytest.param(ttft(989), 11, {"InferenceSlowFirstToken": "warning"}, id="slow first tokens"),
        pytest.param(tpot(989), 11, {"InferenceSlowTokens": "warning"}, id="slow tokens"),
        pytest.param({WAITING: always(101)}, 5, {"InferenceQueue": "warning"}, id="a queue"),
        pytest.param({KV_CACHE: always(0.86)}, 10, {"InferenceKvCacheFilling": "warning"}, id="a filling KV cache"),
        pytest.param({KV_CACHE: always(0.96)}, 2, {"InferenceKvCacheFull": "critical"}, id="a full KV cache"),
        pytest.param({TOKENS: always(6000)}, 3, {"InferenceStuck": "critical"}, id="a hung engine"),
        pytest.param(
            {SCALER_ERRORS: rising(4)}, 6, {"InferenceScalerFailing": "critical"}, id="a scaler that cannot read"
        ),
        pytest.param({KEDA_UP: always(0)}, 5, {"InferenceScalerAway": "critical"}, id="no KEDA"),
        pytest.param(
            {BAD: rising(15)},
            3,
            {"InferenceErrorBudgetBurnsFast": "critical", "InferenceErrorBudgetBurns": "warning"},
            id="errors that use the budget up fast",
        ),
        pytest.param(
            {BROKEN: rising(15)},
            3,
            {"InferenceErrorBudgetBurnsFast": "critical", "InferenceErrorBudgetBurns": "warning"},
            id="streams that break",
        ),
        pytest.param({BAD: rising(7)}, 3, {"InferenceErrorBudgetBurns": "warning"}, id="errors that use it up slowly"),
        pytest.param({RUNNING: always(0)}, 60, {"InferenceGpusIdle": "info"}, id="an hour without a request"),
    ],
)
def test_an_alert_fires_and_no_other_and_not_a_minute_before(
    rules: Rules, series: dict[str, str], minute: int, expected: dict[str, str]
) -> None:
    assert rules.firing([minute - 1, minute], WELL | series) == [{}, expected]


@pytest.mark.parametrize(
    "series",
    [
        pytest.param({UP: "0 0 0 0 0 0 0 1+0x500"}, id="a replica that has loaded in seven minutes"),
        pytest.param({RESTARTS: always(3)}, id="restarts of long ago"),
        pytest.param({SEEDER_RESTARTS: "0 0 0 1+0x500"}, id="a seeder that had to try once more"),
        pytest.param(ttft(990), id="99 of 100 first tokens in time"),
        pytest.param(tpot(990), id="99 of 100 answers in time"),
        pytest.param({WAITING: always(100)}, id="a queue of a hundred"),
        pytest.param({WAITING: "101 101 101 101 101 0+0x500"}, id="a queue of four minutes"),
        pytest.param({KV_CACHE: always(0.85)}, id="a KV cache as full as it may be"),
        pytest.param({RUNNING: always(0), WAITING: always(1), TOKENS: always(6000)}, id="no token where nothing runs"),
        pytest.param({SCALER_ERRORS: always(7)}, id="errors of the scaler of long ago"),
        pytest.param({BAD: rising(5.9)}, id="errors within the budget"),
        pytest.param({GOOD: always(1000), BAD: always(500)}, id="errors of long ago"),
        pytest.param({RUNNING: "0+0x50 1+0x4 0+0x58"}, id="a request in an hour"),
    ],
)
def test_it_does_not_fire_just_below(rules: Rules, series: dict[str, str]) -> None:
    assert rules.firing([3, 30, 75], WELL | series) == [{}, {}, {}]


def test_the_scaler_may_fail_as_long_as_no_replica_has_loaded(rules: Rules) -> None:
    loading = WELL | {UP: "0+0x7 1+0x500", SCALER_ERRORS: "0+4x8 32+0x500"}
    assert rules.firing([7, 9, 11, 13, 15], loading) == [{}] * 5


def test_two_failures_of_the_scaler_are_no_fallback_yet_and_three_are(rules: Rules) -> None:
    """As many as `scaling.fallback.failureThreshold` says."""
    assert rules.firing([11, 13, 15], WELL | {SCALER_ERRORS: "0+0x9 2+0x500"}) == [{}] * 3
    assert rules.firing([13], WELL | {SCALER_ERRORS: "0+0x9 3+0x500"}) == [{"InferenceScalerFailing": "critical"}]


def test_a_model_without_a_replica_that_is_asked_for_and_does_not_come_wakes_somebody(tmp_path: Path) -> None:
    from_zero = changed(WATCHED, "models.chat.replicas", {"min": 0, "max": 4}) | {"autoscaling": {"httpAddOn": {}}}
    rules = rules_of(from_zero, tmp_path)
    wanted = 'kube_deployment_spec_replicas{namespace="inference",deployment="chat"}'
    deadline = timing(chat(from_zero)).progress_deadline
    asleep, pending = WELL | {UP: "_", wanted: always(0)}, WELL | {UP: "_", wanted: always(1)}
    assert rules.firing([deadline // 60 + 5], asleep) == [{}]
    assert rules.firing([deadline // 60], pending) == [{}]
    assert rules.firing([deadline // 60 + 2], pending) == [{"InferenceNotWoken": "critical"}]
    assert rules.firing([deadline // 60 + 5], pending | {UP: always(1)}) == [{}]


def test_an_outage_of_prometheus_itself_shows_when_it_is_back(rules: Rules) -> None:
    outage = {name: f"{values.split('x')[0]}x10 _x3 {values}" for name, values in WELL.items() if "0x" in values}
    back = rules.firing([15], WELL | outage | {SCALER_ERRORS: "0+0x10 _x3 16+0x500"})
    assert back == [{"InferenceScalerFailing": "critical"}]


def test_errors_that_have_stopped_are_nobodys_alarm_although_the_hour_was_bad(rules: Rules) -> None:
    stopped = WELL | {BAD: "0+100x30 3000+0x500"}
    during, soon, later = rules.firing([30, 40, 65], stopped)
    assert set(during) == {"InferenceErrorBudgetBurnsFast", "InferenceErrorBudgetBurns"}
    assert set(soon) == {"InferenceErrorBudgetBurns"}
    assert later == {}


@pytest.mark.parametrize("label", ["namespace", "model", "pod"])
def test_what_is_another_models_fires_none_of_this_one(rules: Rules, label: str) -> None:
    """Neither a namespace nor a model whose name goes on like this one's."""
    ours = {"namespace": "inference", "model": "chat", "pod": "chat-7d9c5b6f4-x2vqk"}[label]
    theirs = {"namespace": "others", "model": "chat-large", "pod": "chat-large-7d9c5b6f4-x2vqk"}[label]
    broken = {WAITING: always(500), KV_CACHE: always(1), BAD: rising(500)} if label != "pod" else {}
    broken |= {} if label == "model" else {RESTARTS: rising(1), SEEDER_RESTARTS: rising(1)}
    elsewhere = {name.replace(f'{label}="{ours}"', f'{label}="{theirs}"'): each for name, each in broken.items()}
    assert elsewhere.keys().isdisjoint(WELL)
    assert rules.firing([30], WELL | elsewhere) == [{}]


def test_every_pod_of_a_replica_on_several_nodes_counts(tmp_path: Path) -> None:
    config = changed(changed(WATCHED, "models.chat.nodesPerReplica", 2), "models.chat.replicas", {"min": 1, "max": 1})
    groups = rules_of(config, tmp_path)
    for pod in ("chat-group-1a2b3c4d-0", "chat-group-1a2b3c4d-0-1"):
        series = {RESTARTS.replace("chat-7d9c5b6f4-x2vqk", pod): "0 0 0 1+0x500"}
        assert groups.firing([3], WELL | series) == [{"InferenceReplicaRestarts": "warning"}]


def test_objectives_of_the_settings_are_those_of_the_alerts(tmp_path: Path) -> None:
    config = changed(
        WATCHED,
        "models.chat.objectives",
        {"kind": "rag", "tpotP99Millis": 80, "queue": 10, "kvCache": {"warning": 0.6, "critical": 0.7}},
    )
    own = rules_of(config, tmp_path)
    assert own.firing([30], WELL | ttft(900) | tpot(0)) == [{}]
    late = histogram(
        "vllm:time_to_first_token_seconds", VLLM, {"0.5": 0, "1.0": 0, "5.0": 989, "7.5": 1000, "+Inf": 1000}
    )
    busy = late | {WAITING: always(11), KV_CACHE: always(0.65)}
    (found,) = own.firing([30], WELL | busy)
    assert set(found) == {"InferenceSlowFirstToken", "InferenceQueue", "InferenceKvCacheFilling"}


@pytest.mark.parametrize(
    ("config", "absent"),
    [
        pytest.param(changed(WATCHED, "models.chat.replicas", {"min": 1, "max": 1}), "InferenceScaler", id="no scaler"),
        pytest.param(SOURCES["image"] | {"monitoring": {}}, "InferenceSeeding", id="nothing to seed"),
    ],
)
def test_there_is_no_alert_on_what_there_is_not(config: dict[str, Any], absent: str, tmp_path: Path) -> None:
    names = "".join(file.read_text() for file in rules_of(config, tmp_path).files)
    assert "InferenceQueue" in names
    assert absent not in names


def test_prometheus_takes_the_rules(rules: Rules) -> None:
    checked = rules.check()
    assert (checked.returncode, checked.stderr) == (0, "")
