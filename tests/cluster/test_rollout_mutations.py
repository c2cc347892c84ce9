"""What each part of a rollout is there for: without it, the same rollout under the same load loses streams.

All of it at once, on understudies of the model's Deployment with one replica each, beside the model itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from rehearsal.answer import service_address
from rehearsal.traffic.background import Background
from rehearsal.traffic.outcome import Ending
from rehearsal.traffic.result import Result
from rehearsal.understudy import deployment_of, engine, policy_of, service_of
from tests.cluster.rehearsed import Rehearsed
from tests.cluster.scenarios import HERE, LOAD, applied, eventually, note, rolled_out

pytestmark = [pytest.mark.cluster, pytest.mark.rehearse]
Spec = dict[str, Any]
# Six at a time: so many tokens that this machine makes them all.
SMALL = replace(LOAD, streams=1, rate=12, tokens=8, long_every=8)
HUNG_PATIENCE_S = 8.0
LEFT_S = 12.0
"""What is given to a rollout that must not come to its end."""


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """What is changed of the program's spec, and how that must show: the ending of the streams that it costs."""

    mutate: Callable[[Spec], None]
    costs: Ending | None
    hung: bool = False
    """Whether the new version serves no token, though its port is open and its health is 200."""


def as_it_is(_: Spec) -> None:
    pass


def without_pre_stop(spec: Spec) -> None:
    del engine(spec)["lifecycle"]


def without_shutdown_timeout(spec: Spec) -> None:
    arguments = engine(spec)["args"]
    at = arguments.index("--shutdown-timeout")
    del arguments[at : at + 2]


def without_surge(spec: Spec) -> None:
    spec["strategy"]["rollingUpdate"] = {"maxSurge": 0, "maxUnavailable": 1}


def with_open_port_probes(spec: Spec) -> None:
    for probe in ("startupProbe", "readinessProbe"):
        times = {key: value for key, value in engine(spec)[probe].items() if key not in ("httpGet", "exec")}
        engine(spec)[probe] = {**times, "tcpSocket": {"port": "http"}}


@dataclass(frozen=True, kw_only=True)
class Rolled:
    """What a rollout cost, and which pod it replaced."""

    result: Result
    old: str


MUTATIONS = {
    "as-it-is": Mutation(mutate=as_it_is, costs=None),
    "as-it-is-to-a-hung-version": Mutation(mutate=as_it_is, costs=None, hung=True),
    "without-pre-stop": Mutation(mutate=without_pre_stop, costs=Ending.REFUSED),
    "without-shutdown-timeout": Mutation(mutate=without_shutdown_timeout, costs=Ending.ABORTED),
    "without-surge": Mutation(mutate=without_surge, costs=Ending.REFUSED),
    "open-port-to-a-hung-version": Mutation(mutate=with_open_port_probes, costs=Ending.STALLED, hung=True),
}


@pytest.fixture(scope="module")
def results(four: Rehearsed) -> Iterator[dict[str, Rolled]]:
    """What each mutation's rollout cost."""
    live, service = four.get("deployment", "chat", HERE), four.get("service", "chat", HERE)
    try:
        for name, mutation in MUTATIONS.items():
            applied(four, service_of(service, name))
            applied(four, policy_of(live, name))
            understudy = deployment_of(live, name, replicas=1)
            mutation.mutate(understudy["spec"])
            applied(four, understudy)
        for name in MUTATIONS:
            rolled_out(four, name)
        with ThreadPoolExecutor(len(MUTATIONS)) as pool:
            under_way = {name: pool.submit(_roll, four, name, mutation) for name, mutation in MUTATIONS.items()}
            yield {name: rolling.result() for name, rolling in under_way.items()}
    finally:
        four.kubectl(
            "delete", "deployment,service,networkpolicy", *MUTATIONS, HERE, "--ignore-not-found", "--wait=false"
        )


def _roll(rehearsed: Rehearsed, name: str, mutation: Mutation) -> Rolled:
    """Roll one out under load, and see what that cost."""
    hung = mutation.hung
    address = service_address(rehearsed.client, "inference", name)
    patience_s = HUNG_PATIENCE_S if hung and mutation.costs else SMALL.patience_s
    load = replace(SMALL, base_url=f"http://{address}/v1", patience_s=patience_s)
    (old,) = (pod["metadata"]["name"] for pod in _pods(rehearsed, name))
    change = "SIMULATOR_HUNG=1" if hung else "REVISION=2"
    with Background(load) as traffic:
        rehearsed.kubectl("set", "env", f"deployment/{name}", HERE, "--containers=engine", change)
        if hung and not mutation.costs:
            time.sleep(LEFT_S)
        else:
            rolled_out(rehearsed, name)
            eventually(lambda: len(_pods(rehearsed, name)) == 1)
    note(f"mutation {name}", traffic.result, "")
    return Rolled(result=traffic.result, old=old)


def _pods(rehearsed: Rehearsed, name: str) -> list[Spec]:
    found: list[Spec] = rehearsed.get("pods", HERE, f"--selector=app.kubernetes.io/instance={name}")
    return found


@pytest.mark.parametrize("name", [name for name, mutation in MUTATIONS.items() if mutation.costs is None])
def test_the_program_as_it_is_loses_nothing(results: dict[str, Rolled], name: str) -> None:
    result = results[name].result

    assert not result.lost, result.summary()
    assert result.streams > SMALL.rate * LEFT_S / 2


@pytest.mark.parametrize("name", [name for name, mutation in MUTATIONS.items() if mutation.costs])
def test_a_rollout_loses_streams(results: dict[str, Rolled], name: str) -> None:
    result, mutation = results[name].result, MUTATIONS[name]
    cost = [outcome for outcome in result.lost if outcome.ending == mutation.costs]
    pods = {outcome.pod for outcome in cost if outcome.pod}

    assert cost, result.summary()
    # What hangs is the new pod; all else goes wrong with the old one, or with none at all.
    assert (results[name].old not in pods and pods) if mutation.hung else pods <= {results[name].old}, result.summary()
