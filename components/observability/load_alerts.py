"""Alerts on what users are about to see, and on what nobody uses: queues, caches, the scaler, idle GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from components.engines.queries import selected
from components.observability.alert import Alert, recorded
from components.observability.watched import Watched


def load(watched: Watched) -> Iterator[Alert]:
    """What waits, and how full the KV caches are."""
    objectives = watched.model.objectives
    queue, kv_cache = recorded(watched, "queue"), recorded(watched, "kv_cache")
    if queue is not None:
        yield Alert(
            name="InferenceQueue",
            severity="warning",
            query=f"{queue} > {objectives.queue}",
            lasting="5m",
            summary=f"{{{{ $value | humanize }}}} requests wait; the objective is {objectives.queue}.",
            action="At replicas.max: raise it, and the pool's. Below: see whether new replicas are Pending, or load.",
        )
    if kv_cache is None:
        return
    yield Alert(
        name="InferenceKvCacheFilling",
        severity="warning",
        query=f"{kv_cache} > {objectives.kv_cache.warning:g}",
        lasting="10m",
        summary="a replica's KV cache is {{ $value | humanizePercentage }} full.",
        action="Requests are about to wait for memory rather than for their turn: set a smaller contextLength or "
        "concurrency, a kvCache trigger in scaling, or a GPU with more memory.",
    )
    yield Alert(
        name="InferenceKvCacheFull",
        severity="critical",
        query=f"{kv_cache} > {objectives.kv_cache.critical:g}",
        lasting="2m",
        summary="a replica's KV cache is {{ $value | humanizePercentage }} full, and throws running requests out.",
        action="As for InferenceKvCacheFilling, now.",
    )


def progress(watched: Watched) -> Iterator[Alert]:
    """That what runs goes on: an engine that hangs has a healthy port."""
    metrics = watched.metrics
    if metrics is None or metrics.progress is None:
        return
    moving, running = watched.of(metrics.progress), watched.of(metrics.running)
    yield Alert(
        name="InferenceStuck",
        severity="critical",
        query=f"sum by (pod) (rate({moving}[5m])) == 0 and on (pod) sum by (pod) ({running}) > 0",
        lasting="2m",
        summary="replica {{ $labels.pod }} runs requests, and has made no token for five minutes.",
        action="Its health and its port say nothing of that. Delete the pod; dmesg of its node may name an XID.",
    )


def scaler(watched: Watched) -> Iterator[Alert]:
    """That the scaler reads what it scales by."""
    serving = recorded(watched, "replicas")
    scaling = watched.model.scaling
    if scaling is None or serving is None:
        return
    of_keda = {"namespace": watched.namespace, "scaledObject": watched.name}
    errors = selected("keda_scaled_object_errors_total", of_keda)
    yield Alert(
        name="InferenceScalerFailing",
        severity="critical",
        # As many as turn the fallback on; in five minutes, so that an outage of this Prometheus itself shows when it is
        # back. Until a replica has loaded, the scaler has nothing to read either, which is no fault of it. The largest,
        # since every stack that reads this operator adds a series of the same errors.
        query=f"max(increase({errors}[5m])) >= {scaling.fallback.failure_threshold} "
        f"and on () {serving} > 0 and on () {serving} offset 5m > 0",
        lasting="1m",
        summary="its scaler cannot read its metrics: the fallback holds the replicas where they are.",
        action="kubectl describe scaledobject and the log of KEDA's operator say why: most often Prometheus is away, "
        "or refuses the credentials of monitoring.prometheus.auth.",
    )


def idle(watched: Watched) -> Iterator[Alert]:
    """What is paid for and not used."""
    serving, in_flight = recorded(watched, "replicas"), recorded(watched, "in_flight")
    if serving is None or in_flight is None:
        return
    gpus = watched.model.gpus * watched.model.nodes_per_replica
    yield Alert(
        name="InferenceGpusIdle",
        severity="info",
        query=f"{gpus} * {serving} > 0 and {in_flight} == 0",
        lasting="1h",
        summary="{{ $value | humanize }} GPUs are paid for, and have had no request for an hour.",
        action="Set a smaller replicas.min, or let it scale to zero where something holds requests meanwhile.",
    )
