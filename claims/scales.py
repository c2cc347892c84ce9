"""Scales: the scaler asks for metrics that this version of the engine has, gets one number, and can reach replicas.max.

What is claimed of a query is read off the query that the program makes (components/scaling_triggers.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from claims.arguments import number_of
from claims.claim import Claim
from claims.one_number import is_one_number, metrics_in
from claims.parts import Part, claim_of, counted, minutes, of_model, setting
from claims.versions import has, version_of, written
from components.engines import engine_of
from components.scaling_target import TOLERANCE, target_of
from components.scaling_triggers import Source, triggers
from components.settings import Model, Scaling, Settings

QUEUE_FLAG: Final = "--max-num-queued-reqs"


def claims(settings: Settings) -> Iterator[Claim]:
    """One claim for each model with a scaler."""
    for name, model in settings.models.items():
        if model.scaling is None:
            continue
        parts = (
            *_queries(settings, name, model, model.scaling),
            *_target(name, model),
            _pace(model, model.scaling),
            *_installed(settings, name),
        )
        bounds = f"{model.replicas.min} to {model.replicas.max}"
        sentence = f"its replicas follow the requests in flight, from {bounds}"
        yield claim_of("scales", of_model(name), sentence, parts)


def _queries(settings: Settings, name: str, model: Model, scaling: Scaling) -> Iterator[Part]:
    from components.observability.watched import scraped  # noqa: PLC0415 - Kubernetes' resource types take a second

    monitoring = settings.monitoring
    address = monitoring.prometheus.address if monitoring else ""
    labels = scraped(settings.namespace, name)
    source = Source(address=address, auth=None, region=None, scraped=labels, holder="")
    for trigger in triggers(name, model, scaling, source):
        query = trigger["metadata"].get("query")
        if query is None:
            yield Part(line=f"{trigger['name']}: {trigger['type']}, which asks no Prometheus")
            continue
        yield from (_metric(name, model, metric) for metric in metrics_in(query))
        one = is_one_number(query)
        yield Part(
            line=f"{trigger['name']}: {query} is {'one number' if one else 'a number for each replica'}",
            change=None if one else f"a sum over the replicas in the query of {trigger['name']}",
        )


def _metric(name: str, model: Model, metric: str) -> Part:
    engine, version = engine_of(model), version_of(model)
    line = f"metric {metric} of {engine.title} {written(version)}"
    able = has(model, metric)
    if able is False:
        change = setting(f"models.{name}.image", "of a newer version, by its digest")
        return Part(line=f"{line}: is newer", change=change)
    path = engine.metrics.path if engine.metrics else "/metrics"
    ask = f"{metric} in what a replica answers: curl http://{name}:{engine.port}{path}; or an image whose tag tells"
    return Part(line=line, proof=None if able else ask)


def _target(name: str, model: Model) -> Iterator[Part]:
    target, most = target_of(model), model.replicas.max
    holds = target <= model.concurrency
    yield Part(
        line=f"target: {target:,} requests a replica {'<=' if holds else '>'} concurrency {model.concurrency:,}",
        change=None if holds else setting(f"models.{name}.scaling.target", model.concurrency),
    )
    # The autoscaler does nothing within a tenth of its target.
    beside, asked = most - 1, math.floor((1 + TOLERANCE) * target * (most - 1)) + 1
    line = f"replica {most} comes with {asked:,} requests in flight: {target:,} x {beside} x 1.1 + 1"
    queued = number_of(model, QUEUE_FLAG)
    if queued is None:
        yield Part(line=line)
        return
    held = beside * (model.concurrency + queued)
    holds = held >= asked
    bound = f"{beside} x ({model.concurrency:,} + {queued:,} of {QUEUE_FLAG}) = {held:,}"
    yield Part(
        line=f"{line} {'<=' if holds else '>'} {bound}",
        change=None if holds else setting(f"models.{name}.scaling.target", max(1, _reachable(model, queued))),
    )


def _reachable(model: Model, queued: int) -> int:
    """The highest target that one replica with a full queue is a tenth above."""
    return math.ceil((model.concurrency + queued) / (1 + TOLERANCE)) - 1


def _pace(model: Model, scaling: Scaling) -> Part:
    pace, count, periods = scaling.scale_up, max(1, model.replicas.min), 0
    while count < model.replicas.max:
        count += max(pace.pods, math.ceil(count * pace.percent / 100))
        periods += 1
    most = pace.stabilization_seconds + periods * pace.period_seconds
    return Part(
        line=f"pace: {pace.pods} replicas or {pace.percent} % a {pace.period_seconds} s: from {model.replicas.min} to "
        f"{model.replicas.max} in {counted(periods, 'step')}, {minutes(most)} and the load of a replica"
    )


def _installed(settings: Settings, name: str) -> Iterator[Part]:
    autoscaling, monitoring = settings.autoscaling, settings.monitoring
    if autoscaling is not None and not autoscaling.keda.install:
        yield Part(
            line="KEDA: one that is there, as the settings have it", proof="kubectl get crd scaledobjects.keda.sh"
        )
    if monitoring is not None and not monitoring.prometheus.install:
        labels = ", ".join(f"{key}: {value}" for key, value in monitoring.labels.items())
        asked = f'up{{namespace="{settings.namespace}",model="{name}",container="engine"}}'
        yield Part(
            line=f"Prometheus: one that is there, which has to select PodMonitors by {labels or 'no label'}",
            proof=f"promtool query instant {monitoring.prometheus.address} '{asked}' answers 1",
        )
