"""The bench of scaling: what the understudy is scaled by, what replicas cost, and figures. Without a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal import bench_figures, bench_scaling
from rehearsal.bench_scaling import OURS, WAITING, Scaled, objects, replica_seconds
from rehearsal.fault import Fault
from tests.components.program import plain, run_program
from tests.components.prometheus import WATCHED
from tests.test_bench_rollout import DEPLOYMENT, SERVICE


def live() -> dict[str, dict[str, Any]]:
    made = run_program(WATCHED)
    monitor = next(each for each in made.of("PodMonitor") if each.name == "chat-engine")
    found = {"scaledobject": made.one("ScaledObject"), "podmonitor": monitor}
    return {
        "deployment": DEPLOYMENT,
        "service": SERVICE,
        **{kind: plain(each.inputs) for kind, each in found.items()},
    }


def by_kind(trigger: str) -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in objects(live(), trigger)}


def test_all_that_is_made_is_the_understudys_and_can_be_found_again() -> None:
    for each in objects(live(), OURS):
        assert each["metadata"]["name"] == "bench-scaling"
        assert each["metadata"]["namespace"] == "inference"
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "bench-scaling"


def test_it_is_read_as_a_model_of_its_own() -> None:
    spec = by_kind(OURS)["PodMonitor"]["spec"]
    assert spec["selector"]["matchLabels"]["app.kubernetes.io/instance"] == "bench-scaling"
    (model,) = [each for each in spec["podMetricsEndpoints"][0]["relabelings"] if each["targetLabel"] == "model"]
    assert model["replacement"] == "bench-scaling"


def test_the_two_triggers_differ_in_what_they_ask_and_in_nothing_else() -> None:
    ours, waiting = by_kind(OURS)["ScaledObject"]["spec"], by_kind(WAITING)["ScaledObject"]["spec"]
    asked = [spec["triggers"][0].pop("metadata") for spec in (ours, waiting)]
    assert ours == waiting
    assert ours["scaleTargetRef"]["name"] == "bench-scaling"
    assert 'running{model="bench-scaling",model_name="chat"' in asked[0]["query"].replace("vllm:num_requests_", "")
    assert 'model="chat"' not in asked[0]["query"]
    assert asked[1]["query"] == 'sum(vllm:num_requests_waiting{model="bench-scaling"})'
    assert asked[1]["threshold"] == "5"


def test_a_model_that_is_counted_in_front_is_refused() -> None:
    scaled = live()
    scaled["scaledobject"]["spec"]["triggers"] = [{"type": "external-push"}]
    with pytest.raises(Fault, match="not scaled by what its engine counts"):
        objects(scaled, OURS)


def test_replica_seconds_are_those_between_two_times() -> None:
    counts = [(0.0, 1), (20.0, 4), (50.0, 2)]
    assert replica_seconds(counts, 10, 60) == 10 * 1 + 30 * 4 + 10 * 2
    assert replica_seconds(counts, 10, 30) == 10 * 1 + 10 * 4
    assert replica_seconds(counts, 55, 60) == 5 * 2


def test_the_second_trigger_is_held_against_the_first() -> None:
    ours = Scaled(
        trigger=OURS,
        created_s=12,
        served_s=27.75,
        floor_s=18.5,
        first_token_p99_s=2,
        replica_seconds=600,
        streams=900,
        lost=0,
    )
    waiting = Scaled(
        trigger=WAITING,
        created_s=14,
        served_s=30,
        floor_s=18.5,
        first_token_p99_s=5,
        replica_seconds=720,
        streams=900,
        lost=0,
    )
    figures = {each.name: each for each in bench_figures.scaling_figures([ours, waiting])}
    created = figures["new pod after a load step 1 -> 4x"]
    assert (created.measured, created.allowed) == (12, 30)
    assert figures["step to served over its floor"].measured == 1.5
    assert figures[f"  TTFT p99, {WAITING}"].ratio == 2.5
    assert figures[f"  replica-seconds, {WAITING}"].ratio == 1.2
    assert figures[f"  replica-seconds, {OURS}"].ratio is None


def test_it_takes_as_long_as_is_said() -> None:
    assert bench_scaling.expected_s() == 2 * (30 + 180 + 90 + 10 + 30)
