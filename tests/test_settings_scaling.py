"""Scaling that cannot work: refused with the numbers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.samples import AWS_ATTACHED, SMALLEST, SUM, changed, chat, settings, without
from tests.test_settings import mistakes

CHAT = "inference:models.chat"
SET = "set it with: pulumi config set --path"
PEAK = {"start": "30 7 * * 1-5", "end": "0 18 * * 1-5", "replicas": 3}
OLLAMA: dict[str, Any] = {"engine": "ollama", "source": f"ollama://llama3.1:8b@sha256:{SUM}"}
HELD = {"httpAddOn": {"install": True}}


def scaled(autoscaling: dict[str, Any] | None = None, **model: Any) -> dict[str, Any]:
    """The smallest sample with a scaler of 1 to 4 replicas, or what the model's further values say."""
    config = changed(changed(SMALLEST, "autoscaling", autoscaling or {}), "monitoring", {})
    return changed(config, "models.chat", {**config["models"]["chat"], "replicas": {"min": 1, "max": 4}, **model})


def with_scaling(**values: Any) -> dict[str, Any]:
    return scaled(scaling=values)


@pytest.mark.parametrize(
    ("config", "line"),
    [
        pytest.param(
            with_scaling(target=33),
            f"{CHAT}.scaling.target: 33 is more than the 32 requests that a replica runs at a time: 1 would wait at "
            f"each before another one comes; allowed: an integer from 1 to 32; {SET} '{CHAT}.scaling.target' 25",
            id="a target above the concurrency",
        ),
        pytest.param(
            scaled(replicas={"min": 0, "max": 4}),
            f"{CHAT}.replicas.min: 0 leaves no replica, and nothing holds the requests until there is one; allowed: an "
            f"integer from 1 to replicas.max, or 0 with inference:autoscaling.httpAddOn; {SET} '{CHAT}.replicas.min' 1",
            id="no replica, and nothing that holds requests",
        ),
        pytest.param(
            changed(SMALLEST, "models.chat.replicas", {"min": 0, "max": 4}),
            f"{CHAT}.replicas.min: 0 leaves no replica, and nothing holds the requests until there is one; allowed: an "
            f"integer from 1 to replicas.max, or 0 with inference:autoscaling.httpAddOn; {SET} '{CHAT}.replicas.min' 1",
            id="no replica, and nothing that scales",
        ),
        pytest.param(
            {
                **scaled(HELD, replicas={"min": 0, "max": 4}),
                "gateway": {"kind": "gateway", "name": "edge", "host": "llm.example.com"},
                "networkPolicy": {"enabled": False},
            },
            "inference:gateway: leads past what counts the requests of model chat and holds them; allowed: none with a "
            "replicas.min of 0, or with a scaler of an engine that counts nothing; take it out, or have chat in a "
            "stack of its own whose clients ask inside the cluster",
            id="no replica behind a gateway",
        ),
        pytest.param(
            scaled(replicas={"min": 5, "max": 4}),
            f"{CHAT}.replicas.max: 4 is less than min 5; allowed: an integer of at least replicas.min; "
            f"{SET} '{CHAT}.replicas.max' 5",
            id="max below min",
        ),
        pytest.param(
            changed(scaled(), "gpuPools.l4.nodes", 4),
            "inference:gpuPools.l4.nodes: 4 nodes have 1 GPU each; model chat takes 4 and 1 more for the surge of a "
            f"rollout; allowed: at least 5, or a smaller replicas.max; {SET} 'inference:gpuPools.l4.nodes' 5",
            id="more replicas and surge than the pool's nodes hold",
        ),
        pytest.param(
            changed(
                changed(changed(AWS_ATTACHED, "autoscaling", {}), "monitoring", {}), "models.chat.replicas", {"max": 2}
            ),
            "inference:gpuPools.l40s.max: 2 nodes have 1 GPU each; model chat takes 2 and 1 more for the surge of a "
            f"rollout; allowed: at least 3, or a smaller replicas.max; {SET} 'inference:gpuPools.l40s.max' 3",
            id="more replicas and surge than the pool grows to",
        ),
        pytest.param(
            without(scaled(), "monitoring"),
            "inference:monitoring: is missing, and the scalers of inference:autoscaling ask its Prometheus; allowed: "
            "monitoring.prometheus with install true, or with the address of one that is there; set it with: pulumi "
            "config set --path inference:monitoring.prometheus.install true",
            id="nobody to ask",
        ),
        pytest.param(
            without(with_scaling(target=8), "autoscaling"),
            f"{CHAT}.scaling: is given, and nothing in this stack scales; allowed: none without inference:autoscaling; "
            "take it out, or have KEDA installed: pulumi config set --path inference:autoscaling.keda.install true",
            id="scaling without a scaler",
        ),
        pytest.param(
            scaled(scaling={"target": 8}, replicas={"min": 4, "max": 4}),
            f"{CHAT}.scaling: is given, and replicas.min 4 is replicas.max: there is nothing to scale; allowed: none, "
            "or replicas.max above replicas.min; take it out, or raise replicas.max",
            id="scaling without room",
        ),
        pytest.param(
            scaled(**OLLAMA),
            f"{CHAT}.replicas.max: 4 asks for a scaler, and Ollama does not count the requests that wait; allowed: "
            "replicas.min, an engine that counts (vllm, sglang, tgi, nim), or inference:autoscaling.httpAddOn, which "
            f"counts in front of it; {SET} '{CHAT}.replicas.max' 1",
            id="an engine that counts nothing",
        ),
        pytest.param(
            scaled(HELD, **OLLAMA, scaling={"ttft": {"seconds": 2}}),
            f"{CHAT}.scaling.ttft: is given, and Ollama has no metric of it; allowed: none, or an engine that has "
            "(vllm, sglang, nim); take it out: the requests in flight are the reason that every engine has",
            id="the time to a token of an engine that does not tell it",
        ),
        pytest.param(
            with_scaling(schedules=[{**PEAK, "replicas": 5}]),
            f"{CHAT}.scaling.schedules[0].replicas: 5 is not above replicas.min 1 and at most replicas.max 4; allowed: "
            f"an integer from 2 to 4; {SET} '{CHAT}.scaling.schedules[0].replicas' 4",
            id="a peak above max",
        ),
        pytest.param(
            with_scaling(schedules=[{**PEAK, "end": PEAK["start"]}]),
            f'{CHAT}.scaling.schedules[0].end: "30 7 * * 1-5" is the same as start; allowed: another time than start; '
            f"{SET} '{CHAT}.scaling.schedules[0].end' '0 18 * * 1-5'",
            id="a peak of no time",
        ),
        pytest.param(
            with_scaling(schedules=[{**PEAK, "start": "30 24 * * 1-5"}]),
            f'{CHAT}.scaling.schedules[0].start: "30 24 * * 1-5" has "24" for the hour; allowed: numbers from 0 to 23, '
            f"ranges of them such as 0-23, or *, each with a step such as */2; {SET} "
            f"'{CHAT}.scaling.schedules[0].start' '30 7 * * 1-5'",
            id="an hour that no day has",
        ),
        pytest.param(
            with_scaling(ttft={"seconds": 2, "windowSeconds": 30}) | {"monitoring": {"scrapeSeconds": 10}},
            f"{CHAT}.scaling.ttft.windowSeconds: 30 is less than 4 readings of the metrics, 10 s apart; allowed: an "
            f"integer from 40 to 3600; {SET} '{CHAT}.scaling.ttft.windowSeconds' 40",
            id="a window of too few readings",
        ),
        pytest.param(
            with_scaling(schedules=[{**PEAK, "timezone": "Europe/Berlinn"}]),
            f'{CHAT}.scaling.schedules[0].timezone: "Europe/Berlinn" is no time zone; allowed: a zone of the IANA '
            f"database; {SET} '{CHAT}.scaling.schedules[0].timezone' Europe/Berlin",
            id="a time zone that is none",
        ),
        pytest.param(
            with_scaling(fallback={"replicas": 5}),
            f"{CHAT}.scaling.fallback.replicas: 5 is not between replicas.min 1 and replicas.max 4; allowed: an "
            f"integer from 1 to 4; {SET} '{CHAT}.scaling.fallback.replicas' 1",
            id="a fallback above max",
        ),
        pytest.param(
            with_scaling(idleSeconds=60),
            f"{CHAT}.scaling.idleSeconds: 60 concerns the way to no replica and back, and replicas.min is 1; allowed: "
            "none with a replicas.min of at least 1; take it out; scaleUp and scaleDown say how fast replicas come and "
            "go",
            id="idleness of replicas that stay",
        ),
        pytest.param(
            scaled({"keda": {"namespace": "inference"}}),
            'inference:autoscaling.keda.namespace: "inference" is that of the models, where nothing connects to what '
            "it needs; allowed: another one than inference:namespace; "
            f"{SET} 'inference:autoscaling.keda.namespace' keda",
            id="KEDA among the models",
        ),
        pytest.param(
            scaled({"keda": {"version": "^2.21"}}),
            'inference:autoscaling.keda.version: "^2.21" is not valid; allowed: one exact version of a chart, such as '
            f"2.21.0; {SET} 'inference:autoscaling.keda.version' 2.21.0",
            id="a version that is not pinned",
        ),
        pytest.param(
            changed(scaled(), "monitoring.prometheus", {"auth": {"kind": "aws"}}),
            "inference:monitoring.prometheus.auth.region: is missing, and so is aws:region; allowed: the region of the "
            f"workspace; {SET} 'inference:monitoring.prometheus.auth.region' us-west-2",
            id="a managed Prometheus of no region",
        ),
    ],
)
def test_scaling_that_cannot_work_is_refused_with_the_numbers(config: dict[str, Any], line: str) -> None:
    assert mistakes(config) == [line]


@pytest.mark.parametrize(
    "config",
    [
        scaled(),
        changed(scaled(), "gpuPools.l4.nodes", 5),
        with_scaling(target=32),
        with_scaling(target=1),
        with_scaling(schedules=[PEAK, {**PEAK, "timezone": "UTC", "replicas": 4}]),
        with_scaling(fallback={"replicas": 4, "failureThreshold": 1}),
        with_scaling(ttft={"seconds": "0.5"}, kvCache={"share": "0.8"}),
        scaled(HELD, replicas={"min": 0, "max": 1}, scaling={"idleSeconds": 60, "pollingSeconds": 2}),
        scaled(HELD, **OLLAMA),
    ],
)
def test_scaling_that_can_work_is_taken(config: dict[str, Any]) -> None:
    settings(config)


@pytest.mark.parametrize(
    "start",
    ["60 7 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * * 7", "0 0 * * 5-1", "0 0 * * mom", "1,,2 0 * * *", "5/0 * * * *"],
)
def test_a_time_that_keda_cannot_read_is_refused(start: str) -> None:
    (line,) = mistakes(with_scaling(schedules=[{**PEAK, "start": start}]))
    assert f'{CHAT}.scaling.schedules[0].start: "{start}" has "' in line


@pytest.mark.parametrize("start", ["*/15 0-23/2 1,15 jan,DEC *", "0 7 * * MON-FRI", "0 7 31 12 0", "5/10 7 * 1-6 6"])
def test_a_time_that_keda_can_read_is_taken(start: str) -> None:
    settings(with_scaling(schedules=[{**PEAK, "start": start}]))


def test_every_model_with_room_to_scale_in_is_scaled_in_a_stack_that_scales() -> None:
    assert chat(scaled()).scaling is not None
    assert chat(scaled(replicas={"min": 2, "max": 2})).scaling is None
    assert chat(changed(SMALLEST, "models.chat.replicas", {"max": 4})).scaling is None


def test_one_key_of_a_pace_or_an_add_on_leaves_the_others_as_they_are() -> None:
    pace = {"scaleUp": {"periodSeconds": 15}, "scaleDown": {"stabilizationSeconds": 30}}
    config = scaled({"keda": {"install": True}, "httpAddOn": {"namespace": "hold"}}, scaling=pace)
    found = settings(config)
    scaling, autoscaling = found.models["chat"].scaling, found.autoscaling
    assert scaling is not None
    assert autoscaling is not None
    assert autoscaling.http_add_on is not None
    up, down = scaling.scale_up, scaling.scale_down
    assert (up.stabilization_seconds, up.pods, up.percent, up.period_seconds) == (0, 4, 100, 15)
    assert (down.stabilization_seconds, down.pods, down.percent, down.period_seconds) == (30, 1, 25, 60)
    assert (autoscaling.keda.install, autoscaling.keda.namespace, autoscaling.keda.version) == (True, "keda", "2.21.0")
    assert (autoscaling.http_add_on.install, autoscaling.http_add_on.namespace) == (False, "hold")


def test_a_rollout_has_time_for_as_many_replicas_as_there_may_be() -> None:
    values = {"timeoutSeconds": 2000}
    (line,) = mistakes(scaled(rollout=values))
    assert "4 replicas with surge 1 are 4 rounds x 1435 = 5740" in line
    settings(changed(changed(SMALLEST, "models.chat.replicas", {"max": 4}), "models.chat.rollout", values))
