"""Scaling that cannot work: without what does it, beyond what there is, or by what nobody counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from components.engines import ENGINES, Engine, engine_of, engines_that
from components.scaling_target import counted_in_front, target_of
from components.settings.mistakes import Mistake, quote, refused
from components.settings.model import Model
from components.settings.prometheus_auth import AwsAuth
from components.settings.scaling import Scaling
from components.settings.stack import REGION_KEY, Settings

READINGS: Final = 4
"""Of a replica's metrics in the time over which a rate is taken, at least."""


def _scalers_have_what_they_need(settings: Settings) -> Iterator[Mistake]:
    """KEDA, a Prometheus that it asks, and a namespace of its own."""
    autoscaling, monitoring = settings.autoscaling, settings.monitoring
    if autoscaling is None:
        return
    if monitoring is None:
        yield refused(
            ("monitoring",),
            "is missing, and the scalers of inference:autoscaling ask its Prometheus",
            allowed="monitoring.prometheus with install true, or with the address of one that is there",
            fix="set it with: pulumi config set --path inference:monitoring.prometheus.install true",
        )
    elif isinstance(monitoring.prometheus.auth, AwsAuth):
        region = monitoring.prometheus.auth.region or settings.region
        if region is None:
            yield refused(
                ("monitoring", "prometheus", "auth", "region"),
                f"is missing, and so is {REGION_KEY}",
                allowed="the region of the workspace",
                example="us-west-2",
            )
    for key, addon in (("keda", autoscaling.keda), ("httpAddOn", autoscaling.http_add_on)):
        if addon is not None and addon.namespace == settings.namespace:
            yield refused(
                ("autoscaling", key, "namespace"),
                f"{quote(addon.namespace)} is that of the models, where nothing connects to what it needs",
                allowed="another one than inference:namespace",
                example="keda",
            )


def _scaling_has_a_scaler(settings: Settings) -> Iterator[Mistake]:
    for name, model in settings.models.items():
        path, replicas = ("models", name, "scaling"), model.replicas
        if model.scaling is None:
            continue
        if settings.autoscaling is None:
            yield refused(
                path,
                "is given, and nothing in this stack scales",
                allowed="none without inference:autoscaling",
                fix="take it out, or have KEDA installed: "
                "pulumi config set --path inference:autoscaling.keda.install true",
            )
        elif replicas.min == replicas.max:
            yield refused(
                path,
                f"is given, and replicas.min {replicas.min} is replicas.max: there is nothing to scale",
                allowed="none, or replicas.max above replicas.min",
                fix="take it out, or raise replicas.max",
            )


def _no_replica_needs_a_holder(settings: Settings) -> Iterator[Mistake]:
    """Without a replica there is nobody to ask, so that something in front has to hold requests and tell of them."""
    holder = settings.holder
    for name, model in settings.models.items():
        path = ("models", name, "replicas", "min")
        if model.replicas.min:
            yield from _for_no_replica_only(name, model)
        elif holder is None:
            yield refused(
                path,
                "0 leaves no replica, and nothing holds the requests until there is one",
                allowed="an integer from 1 to replicas.max, or 0 with inference:autoscaling.httpAddOn",
                example=1,
            )
        elif model.nodes_per_replica > 1:
            yield refused(
                path,
                f"0 is not how replicas of {model.nodes_per_replica} nodes are rolled out: a set of groups is replaced "
                "by one that is available",
                allowed="an integer from 1 to replicas.max",
                example=1,
            )


def _no_route_leads_past_what_counts(settings: Settings) -> Iterator[Mistake]:
    for name, model in settings.models.items():
        if settings.gateway is not None and counted_in_front(model):
            yield refused(
                ("gateway",),
                f"leads past what counts the requests of model {name} and holds them",
                allowed="none with a replicas.min of 0, or with a scaler of an engine that counts nothing",
                fix=f"take it out, or have {name} in a stack of its own whose clients ask inside the cluster",
            )


def _for_no_replica_only(name: str, model: Model) -> Iterator[Mistake]:
    scaling = model.scaling or Scaling()
    given = {"pollingSeconds": scaling.polling_seconds, "idleSeconds": scaling.idle_seconds}
    for key in (key for key, value in given.items() if value is not None):
        yield refused(
            ("models", name, "scaling", key),
            f"{given[key]} concerns the way to no replica and back, and replicas.min is {model.replicas.min}",
            allowed="none with a replicas.min of at least 1",
            fix="take it out; scaleUp and scaleDown say how fast replicas come and go",
        )


def _somebody_counts(settings: Settings) -> Iterator[Mistake]:
    """Each engine by its profile; of some nobody knows what waits."""
    holder = settings.holder
    for name, scaling, model in _scaled(settings):
        engine = engine_of(model)
        if engine.metrics is None and holder is None:
            able = ", ".join(engines_that(lambda each: each.metrics is not None))
            yield refused(
                ("models", name, "replicas", "max"),
                f"{model.replicas.max} asks for a scaler, and {engine.title} does not count the requests that wait",
                allowed=f"replicas.min, an engine that counts ({able}), or inference:autoscaling.httpAddOn, which "
                "counts in front of it",
                example=max(1, model.replicas.min),
            )
            continue
        for key, trigger in (("ttft", scaling.ttft), ("kvCache", scaling.kv_cache)):
            if trigger is not None and not _tells(engine, key):
                able = ", ".join(other for other, each in ENGINES.items() if _tells(each, key))
                yield refused(
                    ("models", name, "scaling", key),
                    f"is given, and {engine.title} has no metric of it",
                    allowed=f"none, or an engine that has ({able})",
                    fix="take it out: the requests in flight are the reason that every engine has",
                )


def _times_are_read_often_enough(settings: Settings) -> Iterator[Mistake]:
    """A rate over less than a few readings has gaps, in which there seems to be no reason for a replica.

    https://prometheus.io/docs/prometheus/latest/querying/functions/#rate: two at least, and some may be missed.
    """
    monitoring = settings.monitoring
    for name, scaling, _ in _scaled(settings):
        if monitoring is None or scaling.ttft is None:
            continue
        given, least = scaling.ttft.window_seconds, READINGS * monitoring.scrape_seconds
        if given < least:
            yield refused(
                ("models", name, "scaling", "ttft", "windowSeconds"),
                f"{given} is less than {READINGS} readings of the metrics, {monitoring.scrape_seconds} s apart",
                allowed=f"an integer from {least} to 3600",
                example=least,
            )


def _tells(engine: Engine, key: str) -> bool:
    metrics = engine.metrics
    return metrics is not None and (metrics.ttft if key == "ttft" else metrics.kv_cache) is not None


def _numbers_are_of_replicas_that_there_can_be(settings: Settings) -> Iterator[Mistake]:
    for name, scaling, model in _scaled(settings):
        least, most = model.replicas.min, model.replicas.max
        if scaling.target is not None and scaling.target > model.concurrency:
            yield refused(
                ("models", name, "scaling", "target"),
                f"{scaling.target} is more than the {model.concurrency} requests that a replica runs at a time: "
                f"{scaling.target - model.concurrency} would wait at each before another one comes",
                allowed=f"an integer from 1 to {model.concurrency}",
                example=target_of(model.model_copy(update={"scaling": None})),
            )
        for index, schedule in enumerate(scaling.schedules):
            if not least < schedule.replicas <= most:
                yield refused(
                    ("models", name, "scaling", "schedules", index, "replicas"),
                    f"{schedule.replicas} is not above replicas.min {least} and at most replicas.max {most}",
                    allowed=f"an integer from {least + 1} to {most}",
                    example=most,
                )
        fallback = scaling.fallback.replicas
        if fallback is not None and not least <= fallback <= most:
            yield refused(
                ("models", name, "scaling", "fallback", "replicas"),
                f"{fallback} is not between replicas.min {least} and replicas.max {most}",
                allowed=f"an integer from {max(1, least)} to {most}",
                example=max(1, least),
            )


def _scaled(settings: Settings) -> Iterator[tuple[str, Scaling, Model]]:
    """The models with a scaler; others are refused for that."""
    for name, model in settings.models.items():
        if settings.autoscaling is not None and model.scaling is not None and model.replicas.min < model.replicas.max:
            yield name, model.scaling, model


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (
    _scalers_have_what_they_need,
    _scaling_has_a_scaler,
    _no_replica_needs_a_holder,
    _no_route_leads_past_what_counts,
    _somebody_counts,
    _times_are_read_often_enough,
    _numbers_are_of_replicas_that_there_can_be,
)
