"""Replicas follow demand: a real KEDA, Kubernetes' own autoscaler, a real Prometheus that scrapes the simulators."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rehearsal.prometheus import POD, Prometheus
from rehearsal.traffic.background import Background
from tests.cluster.rehearsed import Rehearsed
from tests.cluster.scaling import (
    CONCURRENCY,
    DEMAND,
    ENV,
    MOST,
    STREAM_S,
    TARGET,
    WAITING,
    Watched,
    condition,
    load,
    needed,
    report,
    scaled_object,
)
from tests.cluster.scenarios import HERE, eventually, note, replicas
from tests.figures import FIGURES

pytestmark = [pytest.mark.cluster, pytest.mark.scaling]

CALM, BUSY = 16.0, 64.0
"""Requests in flight that one replica is for, and four times as many."""
WINDOW_S = 30
ALERT = "InferenceScalerFailing"


@pytest.fixture(scope="module")
def scaled(rehearsed: Rehearsed) -> Iterator[Rehearsed]:
    """One replica of an engine that loads fast, a scaler that may make seven, and GPUs for one more."""
    quick = {"stabilizationSeconds": WINDOW_S, "pods": 4, "periodSeconds": 15}
    changes: dict[str, Any] = {
        "autoscaling": {},
        "monitoring": {"scrapeSeconds": 2},
        "gpuPools.l4.gpu.count": 4,
        "models.chat.replicas": {"min": 1, "max": MOST},
        "models.chat.concurrency": CONCURRENCY,
        "models.chat.scaling": {"target": TARGET, "scaleDown": quick},
        "models.chat.rollout.minReadySeconds": 1,
        "models.chat.engineArgs": ["--disable-uvicorn-access-log"],
        "models.chat.env": ENV,
    }
    rehearsed.restore_configuration()
    try:
        for key, value in changes.items():
            rehearsed.configure(key, value)
        rehearsed.make("up")
        rehearsed.announce_gpus(4)
        yield rehearsed
    finally:
        rehearsed.restore_configuration()


@pytest.fixture
def prometheus(scaled: Rehearsed) -> Prometheus:
    """What the scaler asks, when it is up and knows of one calm replica."""
    found = Prometheus.of_cluster(scaled.client)
    eventually(lambda: found.value(DEMAND) == 0, 120)
    eventually(lambda: len(replicas(scaled)) == 1, 300)
    eventually(lambda: condition(scaled, "Ready") == "True")
    return found


def test_four_times_the_load_gets_the_replicas_that_it_needs_and_they_go_with_it(
    scaled: Rehearsed, prometheus: Prometheus
) -> None:
    with Watched(scaled) as watched, Background(load(scaled, CALM)) as calm:
        time.sleep(20)
        assert watched.now.wanted == 1
        stepped = time.time()
        with Background(load(scaled, BUSY - CALM, seed=8)) as more:
            eventually(lambda: watched.now.there > 1)
            created = watched.now.at - stepped
            # Its end is as long after the queue's as two of the windows after which replicas may go.
            eventually(lambda: prometheus.value(WAITING) == 0 and watched.now.ready == watched.now.wanted, 300)
            drained = time.time()
            time.sleep(3 * WINDOW_S)
            plateau = watched.since(drained + 2 * WINDOW_S)
            running = prometheus.value(f"max_over_time(({DEMAND})[{WINDOW_S}s:2s])") or 0
            most = prometheus.value(f"max_over_time(({DEMAND})[150s:2s])") or 0
            fell = time.time()
        eventually(lambda: watched.now.there == 1, 180)
        back = time.time() - fell
        time.sleep(10)

    drawn = report(
        "load step",
        prometheus,
        watched,
        [(watched.began, CALM / STREAM_S), (stepped, BUSY / STREAM_S), (fell, CALM / STREAM_S)],
    )
    peak = max(count.wanted for count in watched.counts)
    figures = f"new pod created {created:.0f} s after the step; 1 -> {peak} -> {plateau[-1].wanted} -> 1 replicas, "
    for title, result in (("calm load beside a step", calm.result), ("load step 1 -> 4x", more.result)):
        note(title, result, f"{figures}back to 1 {back:.0f} s after its end; {drawn}")
        assert not result.lost, result.summary()
    assert created <= 30
    assert peak <= needed(most)
    # Nobody waits, and every replica is as full as it is to be: a trigger on waiting requests alone would scale to one.
    assert {count.wanted for count in plateau} <= {needed(BUSY), needed(running)}
    assert watched.now.wanted == 1
    FIGURES["streams lost in scaling"] += 0


def test_steady_load_at_four_fifths_does_not_flap(scaled: Rehearsed, prometheus: Prometheus) -> None:
    """Four fifths of what three replicas are for, with a tenth of the default window: up, back to three, no more."""
    steady = 0.8 * TARGET * 3
    with Watched(scaled) as watched, Background(load(scaled, steady)) as traffic:
        time.sleep(300)
        ended = watched.now
    drawn = report("steady load", prometheus, watched, [(watched.began, steady / STREAM_S)])
    peak = max(count.wanted for count in watched.counts)
    figures = f"1 -> {peak} -> {ended.wanted} replicas, {watched.turns()} turns; {drawn}"
    note("steady load of 80 %, 300 s", traffic.result, figures)
    assert not traffic.result.lost, traffic.result.summary()
    assert ended.wanted == 3
    assert watched.turns() <= 1


def test_new_replicas_whose_node_comes_a_minute_late_keep_requests_waiting_and_lose_none(
    scaled: Rehearsed, prometheus: Prometheus
) -> None:
    pool = ("--selector=inference/gpu-pool=l4",)
    scaled.kubectl("cordon", *pool)
    try:
        with Watched(scaled) as watched, Background(load(scaled, BUSY)) as traffic:
            began = time.time()
            eventually(lambda: watched.now.there > 1)
            time.sleep(60)
            assert watched.now.ready == 1
            waited = prometheus.value(WAITING) or 0
            scaled.kubectl("uncordon", *pool)
            came = time.time()
            eventually(lambda: watched.now.ready > 1)
            eventually(lambda: prometheus.value(WAITING) == 0, 180)
    finally:
        scaled.kubectl("uncordon", *pool)
    drawn = report("late node", prometheus, watched, [(began, BUSY / STREAM_S)])
    served = next(count.at for count in watched.counts if count.ready > 1) - came
    note(
        "node 60 s late", traffic.result, f"{waited:.0f} waited meanwhile, ready {served:.0f} s after it came; {drawn}"
    )
    assert waited > 0
    assert not traffic.result.lost, traffic.result.summary()


def test_a_wrong_label_in_the_query_is_noticed(scaled: Rehearsed, prometheus: Prometheus) -> None:
    """As the first test notices it: no replica comes."""
    with Watched(scaled) as watched, Background(load(scaled, BUSY)) as traffic:
        with misled(scaled, "query", 'model_name="chat"', 'model_name="chats"'):
            with pytest.raises(AssertionError, match="did not come true in time"):
                eventually(lambda: watched.now.there > 1, 60)
            waited = prometheus.value(WAITING) or 0
        eventually(lambda: watched.now.there > 1, 60)
        eventually(lambda: prometheus.value(WAITING) == 0, 180)
    note("wrong label in the query", traffic.result, f"noticed: no replica in 60 s, {waited:.0f} requests waited")
    FIGURES["mistakes caught"] += 1
    assert waited > 0
    assert not traffic.result.lost, traffic.result.summary()


@pytest.mark.usefixtures("logs_read")
@pytest.mark.parametrize("fault", ["Prometheus down", "Prometheus out of the scaler's reach"])
def test_scaler_that_cannot_ask_leaves_the_replicas_alone(
    scaled: Rehearsed, prometheus: Prometheus, fault: str
) -> None:
    down = fault == "Prometheus down"
    with Watched(scaled) as watched, Background(load(scaled, BUSY)) as traffic:
        eventually(lambda: watched.now.ready >= needed(BUSY), 120)
        # Longer than what is looked back at: nothing but the fault is left to hold them.
        time.sleep(WINDOW_S)
        with away(scaled) if down else misled(scaled, "serverAddress", ":9090", ":9099"):
            gone = time.time()
            eventually(lambda: condition(scaled, "Fallback") == "True", 180)
            told = time.time() - gone
            time.sleep(2 * WINDOW_S)
            if not down:
                # One that is away can tell nobody so.
                eventually(lambda: ALERT in prometheus.firing(), 180)
            held = watched.since(gone)
        eventually(lambda: condition(scaled, "Fallback") == "False", 180)
    note(fault, traffic.result, f"in fallback {told:.0f} s later, {held[0].wanted} replicas throughout")
    assert {count.wanted for count in held} == {held[0].wanted}
    assert held[0].wanted >= needed(BUSY)
    assert not traffic.result.lost, traffic.result.summary()
    FIGURES["faults injected"] += 1


@contextmanager
def away(rehearsed: Rehearsed) -> Iterator[None]:
    """Prometheus does not run while the block does."""
    here = ("prometheus", "rehearsal", "--namespace=monitoring")
    rehearsed.kubectl("patch", *here, "--type=merge", '--patch={"spec": {"replicas": 0}}')
    rehearsed.kubectl("wait", "--for=delete", *POD, "--timeout=60s")
    try:
        yield
    finally:
        rehearsed.kubectl("patch", *here, "--type=merge", '--patch={"spec": {"replicas": 1}}')
        rehearsed.kubectl("wait", "--for=create", *POD, "--timeout=60s")
        rehearsed.kubectl("wait", "--for=condition=Ready", *POD, "--timeout=120s")


@contextmanager
def misled(rehearsed: Rehearsed, field: str, right: str, wrong: str) -> Iterator[None]:
    """The scaler's first trigger has something wrong in a field while the block runs."""
    triggers = scaled_object(rehearsed)["spec"]["triggers"]
    first, *others = triggers
    value = first["metadata"][field]
    assert right in value
    mistaken = {**first["metadata"], field: value.replace(right, wrong)}
    try:
        _asked_by(rehearsed, [{**first, "metadata": mistaken}, *others])
        yield
    finally:
        _asked_by(rehearsed, triggers)


def _asked_by(rehearsed: Rehearsed, triggers: list[dict[str, Any]]) -> None:
    patch = json.dumps({"spec": {"triggers": triggers}})
    rehearsed.kubectl("patch", "scaledobject", "chat", HERE, "--type=merge", f"--patch={patch}")
