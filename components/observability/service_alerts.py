"""Alerts on what users see: whether the model answers, how fast, and how often not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components import timing
from components.engines.queries import selected
from components.observability.alert import Alert, Severity, recorded
from components.observability.table import FAST_BURN, SLOW_BURN, tpot_seconds
from components.observability.watched import Watched
from components.settings import parse_source

BURNS: Final[tuple[tuple[str, Severity, float, tuple[str, str]], ...]] = (
    ("InferenceErrorBudgetBurnsFast", "critical", FAST_BURN, ("1h", "5m")),
    ("InferenceErrorBudgetBurns", "warning", SLOW_BURN, ("6h", "30m")),
)
"""Each with the times that the budget is used up too fast, and the two windows over which it is."""


def replicas(watched: Watched) -> Iterator[Alert]:
    """That a replica serves, and that none begins anew."""
    serving = recorded(watched, "replicas")
    if serving is not None and watched.model.replicas.min > 0:
        yield Alert(
            name="InferenceNoReplica",
            severity="critical",
            query=f"{serving} == 0",
            # No longer than a replica may take to come back by itself; the first one of all is seeded before.
            lasting=f"{timing.startup_budget(watched.model)}s",
            summary="no replica serves, or Prometheus reaches none.",
            action="Look at its pods, their events and logs; and, where they are ready, at "
            "networkPolicy.prometheusNamespace.",
        )
    if serving is not None and watched.model.replicas.min == 0:
        wanted = selected("kube_deployment_spec_replicas", {"namespace": watched.namespace, "deployment": watched.name})
        yield Alert(
            name="InferenceNotWoken",
            severity="critical",
            query=f"{serving} == 0 and on () max({wanted}) > 0",
            # A node, the image and the load: as long as the requests are held.
            lasting=f"{timing.timing(watched.model).progress_deadline}s",
            summary="requests are held, and no replica has come to answer them.",
            action="Look at its pods and their events: Pending asks for a larger pool, or for capacity in its zone.",
        )
    yield Alert(
        name="InferenceReplicaRestarts",
        severity="warning",
        query="sum(increase("
        + selected("kube_pod_container_status_restarts_total", {**watched.pods, "container": "engine"})
        + "[15m])) > 0",
        lasting="0s",
        summary="a replica's engine has ended {{ $value | humanize }} times in 15 minutes, and cut its answers.",
        action="Look at the log of the container before (kubectl logs --previous) and at its last state: OOMKilled "
        "asks for a larger memory limit, an exit of a CUDA error for another node.",
    )


def seeding(watched: Watched) -> Iterator[Alert]:
    """That the weights came, where they come from elsewhere."""
    if parse_source(watched.model.source).scheme == "image":
        return
    job = {"namespace": watched.namespace, "job_name": f"=~{watched.name}-seed-[0-9a-f]+", "condition": "true"}
    restarts = selected("kube_pod_init_container_status_restarts_total", watched.pods)
    yield Alert(
        name="InferenceSeedingFailed",
        severity="critical",
        # A Job that has given up, or a seeder beside the engine on a node's own disk, which is tried again and again.
        query=f"max({selected('kube_job_failed', job)}) > 0 or sum(increase({restarts}[15m])) > 1",
        lasting="0s",
        summary="its weights could not be brought.",
        action="The log of the seeding pod says why in its last line. After mending it, pulumi up seeds again.",
    )


def latency(watched: Watched) -> Iterator[Alert]:
    """Time to first token, and time per output token."""
    objectives = watched.model.objectives
    ttft, tpot = recorded(watched, "ttft_p99"), recorded(watched, "tpot_p99")
    if ttft is not None:
        yield Alert(
            name="InferenceSlowFirstToken",
            severity="warning",
            query=f"{ttft} > {objectives.ttft_p99:g}",
            lasting="10m",
            summary="one request in 100 waits {{ $value | humanizeDuration }} or longer for its first token; "
            f"the objective is {objectives.ttft_p99_millis} ms.",
            action="Requests that wait ask for more replicas (replicas.max, a smaller scaling.target); without any, "
            "prompts are longer than a replica reads in time.",
        )
    if tpot is not None:
        yield Alert(
            name="InferenceSlowTokens",
            severity="warning",
            query=f"{tpot} > {tpot_seconds(watched.model):g}",
            lasting="10m",
            summary="one answer in 100 takes {{ $value | humanizeDuration }} or longer for each token; "
            f"the objective is {1000 * tpot_seconds(watched.model):g} ms.",
            action="A replica runs more at a time than it can: set a smaller concurrency, or more GPUs a replica.",
        )


def errors(watched: Watched) -> Iterator[Alert]:
    """How fast the error budget goes, each time over two windows."""
    budget = watched.model.objectives.error_budget
    for name, severity, factor, windows in BURNS:
        long, short = (recorded(watched, f"errors_{window}") for window in windows)
        if long is None or short is None:
            return
        yield Alert(
            name=name,
            severity=severity,
            # The long window says that it matters, the short one that it still goes on.
            query=f"{long} > {factor * budget:g} and {short} > {factor * budget:g}",
            lasting="2m",
            summary=f"{{{{ $value | humanizePercentage }}}} of the requests of the last {windows[0]} failed; "
            f"the objective allows {100 * budget:g} %.",
            action="The replicas' logs name the errors; a rollout or a node that began then is the first suspect.",
        )
