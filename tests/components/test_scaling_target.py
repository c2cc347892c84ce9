"""How many replicas a demand asks for: our arithmetic against the one that Kubernetes documents."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.scaling_target import TOLERANCE, Reading, desired, target_of
from components.settings import Model
from tests.components.samples import SMALLEST, changed, chat

REPLICAS = st.integers(min_value=1, max_value=200)
DEMAND = st.fractions(min_value=0, max_value=100_000)
TARGET = st.fractions(min_value=Fraction(1, 100), max_value=4096)
MOST = 10**12


def documented(*, current: int, metric: Fraction, wanted: Fraction) -> int:
    """Replicas as Kubernetes documents them: ceil(current x metric / wanted), and none of it within the tolerance.

    `metric` is what a replica has on average.
    https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/ (Algorithm details).
    """
    ratio = metric / wanted
    return current if abs(ratio - 1) <= Fraction(1, 10) else math.ceil(current * ratio)


def total(value: Fraction | None, target: Fraction) -> Reading:
    return Reading(kind="AverageValue", value=value, target=target)


def of_all(value: Fraction | None, target: Fraction) -> Reading:
    return Reading(kind="Value", value=value, target=target)


def wanted(*readings: Reading, current: int, ready: int | None = None, least: int = 0, most: int = MOST) -> int:
    return desired(readings, current=current, ready=current if ready is None else ready, least=least, most=most)


def model(concurrency: int, target: int | None = None) -> Model:
    config = changed(changed(SMALLEST, "autoscaling", {}), "monitoring", {})
    config = changed(config, "models.chat.replicas", {"min": 1, "max": 1000})
    config = changed(config, "models.chat.concurrency", concurrency)
    return chat(changed(config, "models.chat.scaling", {"target": target} if target else {}))


@given(demand=DEMAND, target=TARGET, current=REPLICAS)
def test_a_total_asks_for_what_is_documented(demand: Fraction, target: Fraction, current: int) -> None:
    expected = documented(current=current, metric=demand / current, wanted=target)
    assert wanted(total(demand, target), current=current) == expected


@pytest.mark.parametrize(
    ("demand", "replicas"), [(89, 9), (90, 10), (100, 10), (110, 10), (111, 12), (0, 0), (400, 40)]
)
def test_within_a_tenth_of_the_target_nothing_changes(demand: int, replicas: int) -> None:
    assert wanted(total(Fraction(demand), Fraction(10)), current=10) == replicas


@given(value=DEMAND, target=TARGET, current=REPLICAS, data=st.data())
def test_one_number_for_all_asks_for_what_is_documented_of_the_replicas_that_are_ready(
    value: Fraction, target: Fraction, current: int, data: st.DataObject
) -> None:
    ready = data.draw(st.integers(min_value=0, max_value=current))
    expected = documented(current=ready, metric=value, wanted=target)
    within = abs(value / target - 1) <= TOLERANCE
    assert wanted(of_all(value, target), current=current, ready=ready) == (current if within else expected)


@given(demand=DEMAND, target=TARGET, current=REPLICAS, data=st.data())
def test_what_waits_for_a_replica_that_loads_asks_for_no_second_one(
    demand: Fraction, target: Fraction, current: int, data: st.DataObject
) -> None:
    ready = data.draw(st.integers(min_value=0, max_value=current))
    assert wanted(total(demand, target), current=current, ready=ready) == wanted(total(demand, target), current=current)


@given(known=DEMAND, target=TARGET, current=REPLICAS, kinds=st.permutations([0, 1]))
def test_with_a_metric_that_is_missing_no_replica_goes_and_more_may_come(
    known: Fraction, target: Fraction, current: int, kinds: list[int]
) -> None:
    readings = [total(known, target), of_all(None, target)]
    found = wanted(*(readings[each] for each in kinds), current=current)
    assert found == max(current, wanted(readings[0], current=current))


@given(target=TARGET, current=REPLICAS)
def test_without_any_metric_everything_stays_as_it_is(target: Fraction, current: int) -> None:
    assert wanted(total(None, target), of_all(None, target), current=current) == current


@given(demands=st.lists(DEMAND, min_size=1, max_size=5), target=TARGET, current=REPLICAS)
def test_the_metric_that_asks_for_most_counts(demands: list[Fraction], target: Fraction, current: int) -> None:
    each = [wanted(total(demand, target), current=current) for demand in demands]
    assert wanted(*(total(demand, target) for demand in demands), current=current) == max(each)


@given(demand=DEMAND, target=TARGET, current=REPLICAS, data=st.data())
def test_there_are_never_fewer_than_min_nor_more_than_max(
    demand: Fraction, target: Fraction, current: int, data: st.DataObject
) -> None:
    least = data.draw(st.integers(min_value=0, max_value=50))
    most = data.draw(st.integers(min_value=max(1, least), max_value=100))
    value = data.draw(st.sampled_from([demand, None]))
    assert least <= wanted(total(value, target), current=current, least=least, most=most) <= most


@given(demand=DEMAND, target=TARGET, current=REPLICAS)
def test_a_steady_demand_is_met_in_one_step_and_then_nothing_changes(
    demand: Fraction, target: Fraction, current: int
) -> None:
    once = wanted(total(demand, target), current=current, least=1)
    assert wanted(total(demand, target), current=once, least=1) == once
    assert demand / once <= target * (1 + TOLERANCE)


@given(concurrency=st.integers(min_value=1, max_value=4096), replicas=REPLICAS, data=st.data())
def test_a_queue_that_has_drained_into_full_replicas_takes_none_of_them(
    concurrency: int, replicas: int, data: st.DataObject
) -> None:
    """Any target up to the concurrency; what waits alone would ask for none at that moment."""
    target = data.draw(st.integers(min_value=1, max_value=concurrency))
    running, waiting = Fraction(replicas * concurrency), Fraction(0)
    assert wanted(total(running + waiting, Fraction(target)), current=replicas, least=1) >= replicas
    assert wanted(total(waiting, Fraction(target)), current=replicas, least=1) == 1


@pytest.mark.parametrize(
    ("concurrency", "given", "target"), [(1, None, 1), (2, None, 1), (8, None, 6), (32, None, 25), (32, 32, 32)]
)
def test_a_replica_is_to_have_four_fifths_of_what_it_can_run_or_what_the_settings_say(
    concurrency: int, given: int | None, target: int
) -> None:
    assert target_of(model(concurrency, given)) == target


@pytest.mark.parametrize("concurrency", range(4, 4097, 31))
def test_another_replica_is_asked_for_before_requests_wait(concurrency: int) -> None:
    """On a replica that is full and has nobody waiting."""
    target = Fraction(target_of(model_of(concurrency)))
    assert wanted(total(Fraction(concurrency), target), current=1) == 2


def model_of(concurrency: int) -> Model:
    """Without the settings' parse, which takes its time."""
    copied: Any = MODEL.model_copy(update={"concurrency": concurrency})
    assert isinstance(copied, Model)
    return copied


MODEL = model(32)
