"""What the scaler's questions are answered with, by Prometheus' own evaluation of series that a test invents."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.program import plain, run_program
from tests.components.prometheus import WATCHED, Rules, always, rules_of
from tests.components.samples import changed

pytestmark = pytest.mark.engine

SCALING = {"ttft": {"seconds": 2, "windowSeconds": 120}, "kvCache": {"share": 0.8}}
NOBODY: list[float] = []


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    return rules_of(WATCHED, tmp_path_factory.mktemp("rules"))


@pytest.fixture(scope="module")
def queries() -> dict[str, str]:
    return of(changed(WATCHED, "models.chat.scaling", SCALING))


def of(config: dict[str, Any]) -> dict[str, str]:
    spec = plain(run_program(config).one("ScaledObject").inputs)["spec"]
    return {each["name"]: each["metadata"]["query"] for each in spec["triggers"] if each["type"] == "prometheus"}


def replica(pod: str, *, waiting: float, running: float, model: str = "chat", up: float = 1) -> dict[str, str]:
    """The series of a replica that is scraped."""
    labels = f'namespace="inference",model="{model}",pod="{pod}",container="engine"'
    counted = f'{{{labels},model_name="{model}"}}'
    found = {f"up{{{labels}}}": always(up)}
    if up:
        found[f"vllm:num_requests_waiting{counted}"] = always(waiting)
        found[f"vllm:num_requests_running{counted}"] = always(running)
    return found


def answer(rules: Rules, query: str, series: dict[str, str]) -> list[float]:
    """The numbers that KEDA would get, of which one is right."""
    (found,) = rules.at([10], query, {**series, 'other{a="b"}': always(1)})
    return list(found.values())


def test_demand_is_one_number_over_all_replicas_of_the_model_alone(rules: Rules, queries: dict[str, str]) -> None:
    series = replica("a", waiting=3, running=8) | replica("b", waiting=0, running=5)
    others = replica("c", waiting=100, running=100, model="summary")
    assert answer(rules, queries["demand"], series | others) == [16]


def test_a_queue_that_has_drained_into_full_replicas_is_still_demand(rules: Rules, queries: dict[str, str]) -> None:
    series = replica("a", waiting=0, running=32) | replica("b", waiting=0, running=32)
    assert answer(rules, queries["demand"], series) == [64]


def test_a_replica_that_is_idle_or_has_counted_nothing_yet_is_none(rules: Rules, queries: dict[str, str]) -> None:
    assert answer(rules, queries["demand"], replica("a", waiting=0, running=0)) == [0]
    only_up = {key: value for key, value in replica("a", waiting=0, running=0).items() if key.startswith("up")}
    assert answer(rules, queries["demand"], only_up) == [0]


@pytest.mark.parametrize(
    "series",
    [
        pytest.param({}, id="no target"),
        pytest.param(replica("a", waiting=0, running=0, up=0), id="a target that does not answer"),
        pytest.param(replica("a", waiting=9, running=9, model="other"), id="targets of others"),
        pytest.param(
            {'up{namespace="inference",model="chat",pod="s",container="seed"}': always(1)},
            id="a seeder that is scraped",
        ),
    ],
)
def test_where_nobody_is_scraped_there_is_no_answer(
    rules: Rules, queries: dict[str, str], series: dict[str, str]
) -> None:
    """Which is an error for KEDA, so that no replica goes."""
    assert answer(rules, queries["demand"], series) == NOBODY


def test_a_model_that_may_have_no_replica_has_no_demand_then(rules: Rules) -> None:
    config = changed(changed(WATCHED, "autoscaling", {"httpAddOn": {}}), "models.chat.replicas", {"min": 0, "max": 4})
    assert answer(rules, of(config)["demand"], {}) == [0]


def test_the_time_to_first_token_is_that_of_all_replicas_together(rules: Rules, queries: dict[str, str]) -> None:
    series = {}
    for pod, fast, slow in (("a", 90, 0), ("b", 0, 10)):
        labels = f'namespace="inference",model="chat",pod="{pod}",container="engine",model_name="chat"'
        for bound, rate in (("0.5", fast), ("4", fast + slow), ("+Inf", fast + slow)):
            series[f'vllm:time_to_first_token_seconds_bucket{{{labels},le="{bound}"}}'] = f"0+{rate}x600"
    # Nine of ten within half a second, and half of the rest lies in the middle between that and 4 s.
    assert answer(rules, queries["ttft"], series) == [pytest.approx(2.25)]


def test_the_kv_cache_is_the_average_of_the_replicas(rules: Rules, queries: dict[str, str]) -> None:
    labels = 'namespace="inference",model="chat",container="engine",model_name="chat"'
    series = {
        f'vllm:kv_cache_usage_perc{{{labels},pod="{pod}"}}': always(share) for pod, share in (("a", 1), ("b", 0.5))
    }
    assert answer(rules, queries["kv-cache"], series) == [0.75]
