"""Replicas as Kubernetes gets them: how they are spread, replaced, stopped and ranked."""

from __future__ import annotations

from typing import Any

import pytest

from components.drain import grace_seconds, sleep_seconds
from components.engines import ENGINES, Drain
from tests.components.program import Recorder, plain, run_program
from tests.components.samples import AWS_CREATED, SMALLEST, changed, chat

ROLLOUT = {"surge": 2, "minReadySeconds": 7}


@pytest.fixture(scope="module")
def smallest() -> Recorder:
    return run_program(SMALLEST)


def deployment(recorder: Recorder, name: str = "chat") -> Any:
    return next(plain(each.inputs)["spec"] for each in recorder.of("Deployment") if each.name == name)


def pod(recorder: Recorder, name: str = "chat") -> Any:
    return deployment(recorder, name)["template"]["spec"]


def test_a_replica_goes_only_after_a_new_one_has_been_ready_for_half_a_minute(smallest: Recorder) -> None:
    spec = deployment(smallest)
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert spec["minReadySeconds"] == 30


def test_the_surge_and_what_follows_from_it_are_the_users() -> None:
    config = changed(SMALLEST, "models.chat.replicas", {"min": 4, "max": 4})
    recorder = run_program(changed(config, "models.chat.rollout", ROLLOUT))
    spec = deployment(recorder)
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 2, "maxUnavailable": 0}
    assert spec["minReadySeconds"] == 7
    timeouts = recorder.one("Deployment").timeouts
    assert timeouts["update"] == f"{2 * spec['progressDeadlineSeconds'] + 60:g}s"


def test_replicas_of_a_revision_are_spread_over_nodes_and_zones_where_that_is_possible(smallest: Recorder) -> None:
    labels = deployment(smallest)["selector"]["matchLabels"]
    assert pod(smallest)["topologySpreadConstraints"] == [
        {
            "topologyKey": key,
            "maxSkew": 1,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels},
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]
    assert "affinity" not in pod(smallest)


def test_replicas_on_a_volume_of_one_node_stay_on_that_node() -> None:
    spec = pod(run_program(AWS_CREATED), "chat")
    assert "topologySpreadConstraints" not in spec
    assert spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]


@pytest.mark.parametrize("drain", [0, 300, 3600])
@pytest.mark.parametrize("name", ENGINES)
def test_a_replica_is_never_killed_before_its_answers_have_had_their_time(name: str, drain: int) -> None:
    model = chat(changed(SMALLEST, "models.chat.drainSeconds", drain)).model_copy(update={"engine": name})
    engine, sleep, grace = ENGINES[name], sleep_seconds(model), grace_seconds(model)
    assert 10 <= sleep < grace
    assert grace == 10 + drain + engine.exit_seconds
    # What is left after the sleep is for the engine's own drain, and its exit.
    own = grace - engine.exit_seconds - sleep
    assert sleep + own == 10 + drain
    assert own == {Drain.NOT_AT_ALL: 0}.get(engine.drain, min(drain, engine.drain_most or drain))


def test_the_stop_comes_after_the_sleep_and_the_kill_after_the_drain(smallest: Recorder) -> None:
    engine = pod(smallest)["containers"][0]
    assert engine["lifecycle"] == {"preStop": {"sleep": {"seconds": 10}}}
    assert engine["args"][engine["args"].index("--shutdown-timeout") + 1] == "300"
    assert pod(smallest)["terminationGracePeriodSeconds"] == 10 + 300 + 15


def test_a_priority_of_the_stacks_own_is_made_and_given_to_the_replicas() -> None:
    config = changed(SMALLEST, "priorityClasses", {"gold": {"value": 1000}, "idle": {"value": -5, "preempt": False}})
    recorder = run_program(changed(config, "models.chat.priorityClass", "gold"))
    made = {each.name: plain(each.inputs) for each in recorder.of("PriorityClass")}
    gold, idle = sorted(made)
    assert gold.startswith("inference-gold-")
    assert (made[gold]["value"], made[gold]["preemptionPolicy"]) == (1000, "PreemptLowerPriority")
    assert (made[idle]["value"], made[idle]["preemptionPolicy"]) == (-5, "Never")
    assert pod(recorder)["priorityClassName"] == made[gold]["metadata"]["name"] == gold
    assert {each.provider for each in recorder.of("PriorityClass")} == {recorder.one("Deployment").provider}


def test_another_value_is_another_class_since_none_can_be_changed() -> None:
    names = set()
    for priority in ({"value": 1}, {"value": 2}, {"value": 2, "preempt": False}):
        recorder = run_program(changed(SMALLEST, "priorityClasses", {"gold": priority}))
        names.add(recorder.one("PriorityClass").name)
    assert len(names) == 3


def test_a_priority_of_the_clusters_is_given_as_it_is() -> None:
    recorder = run_program(changed(SMALLEST, "models.chat.priorityClass", "shared.high"))
    assert recorder.of("PriorityClass") == []
    assert pod(recorder)["priorityClassName"] == "shared.high"


def test_without_a_priority_nothing_is_said_of_one(smallest: Recorder) -> None:
    assert smallest.of("PriorityClass") == []
    assert "priorityClassName" not in pod(smallest)
