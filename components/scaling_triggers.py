"""What KEDA is told of a model: pure descriptions, https://keda.sh/docs/2.21/reference/scaledobject-spec/.

KEDA makes an autoscaler of Kubernetes' own, and gives it the numbers. `pollingInterval` and `cooldownPeriod` concern
the way from no replica and back alone; all else is that autoscaler's behaviour. A threshold of kind AverageValue is
per replica, one of kind Value for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from components.engines import engine_of, queries
from components.scaling_target import counted_in_front, target_of
from components.settings import AwsAuth, BasicAuth, BearerAuth, Model, Pace, PrometheusAuth, Scaling

POLLING_SECONDS: Final = 5
IDLE_SECONDS: Final = 300
ACCESS: Final = "prometheus"
"""Name of the object that says how KEDA signs in."""
HOLDER: Final = "keda-add-ons-http"
"""The beginning of the names of the HTTP add-on's Services, by its chart."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Whom the scalers ask."""

    address: str
    """Of Prometheus."""
    auth: PrometheusAuth | None
    region: str | None
    """Of a Prometheus that AWS manages."""
    scraped: dict[str, str]
    """Labels that the scraping adds."""
    holder: str | None
    """Namespace of the HTTP add-on."""


def scaled_object_spec(
    name: str, model: Model, scaling: Scaling, target: dict[str, Any], source: Source
) -> dict[str, Any]:
    """The scaler of a model; `target` refers to what it scales."""
    from_zero = model.replicas.min == 0
    to_zero = {
        "pollingInterval": scaling.polling_seconds or POLLING_SECONDS,
        "cooldownPeriod": IDLE_SECONDS if scaling.idle_seconds is None else scaling.idle_seconds,
    }
    return {
        "scaleTargetRef": target,
        "minReplicaCount": model.replicas.min,
        "maxReplicaCount": model.replicas.max,
        **(to_zero if from_zero else {}),
        "fallback": {
            "failureThreshold": scaling.fallback.failure_threshold,
            "replicas": scaling.fallback.replicas or max(1, model.replicas.min),
            # Whatever is unknown, no replica goes: the load is as unknown as the rest.
            "behavior": "currentReplicasIfHigher",
        },
        "advanced": {
            "horizontalPodAutoscalerConfig": {
                "name": name,
                "behavior": {"scaleUp": _pace(scaling.scale_up), "scaleDown": _pace(scaling.scale_down)},
            }
        },
        "triggers": triggers(name, model, scaling, source),
    }


def triggers(name: str, model: Model, scaling: Scaling, source: Source) -> list[dict[str, Any]]:
    """The demand first, by whoever counts it; of all triggers the one that asks for most replicas counts."""
    metrics, found, zero = engine_of(model).metrics, [], model.replicas.min == 0
    if metrics is not None:
        query = queries.in_flight(metrics, name, source.scraped, zero=zero)
        # An empty answer is no empty queue: nobody is scraped.
        found.append(_prometheus("demand", query, str(target_of(model)), "AverageValue", source, empty_is_zero=zero))
    if counted_in_front(model):
        found.append(_counted(name, source))
    if metrics is not None and metrics.ttft is not None and scaling.ttft is not None:
        query = queries.ttft(metrics.ttft, metrics, name, source.scraped, seconds=scaling.ttft.window_seconds)
        # Without requests there is no time to a token, and no reason for a replica either.
        found.append(_prometheus("ttft", query, f"{scaling.ttft.seconds:g}", "Value", source, empty_is_zero=True))
    if metrics is not None and metrics.kv_cache is not None and scaling.kv_cache is not None:
        query = queries.kv_cache(metrics.kv_cache, metrics, name, source.scraped)
        found.append(_prometheus("kv-cache", query, f"{scaling.kv_cache.share:g}", "Value", source, empty_is_zero=True))
    found += [
        {
            "type": "cron",
            "name": f"schedule-{index}",
            "metadata": {
                "timezone": schedule.timezone,
                "start": schedule.start,
                "end": schedule.end,
                "desiredReplicas": str(schedule.replicas),
            },
        }
        for index, schedule in enumerate(scaling.schedules)
    ]
    return found


def authentication_spec(auth: PrometheusAuth) -> dict[str, Any]:
    """How KEDA signs in: with a Secret of the models' namespace, or with the role of its own operator's pods."""
    if isinstance(auth, AwsAuth):
        return {"podIdentity": {"provider": "aws"}}
    keys = {"bearerToken": auth.key} if isinstance(auth, BearerAuth) else _basic(auth)
    return {
        "secretTargetRef": [
            {"parameter": parameter, "name": auth.secret, "key": key} for parameter, key in keys.items()
        ]
    }


def _basic(auth: BasicAuth) -> dict[str, str]:
    return {"username": auth.username_key, "password": auth.password_key}


def _prometheus(
    trigger: str, query: str, threshold: str, kind: str, source: Source, *, empty_is_zero: bool
) -> dict[str, Any]:
    auth = source.auth
    mode = {} if auth is None or isinstance(auth, AwsAuth) else {"authModes": auth.kind}
    region = {"awsRegion": source.region} if isinstance(auth, AwsAuth) and source.region else {}
    metadata = {
        "serverAddress": source.address,
        "query": query,
        "threshold": threshold,
        "ignoreNullValues": str(empty_is_zero).lower(),
        **mode,
        **region,
    }
    reference = {"authenticationRef": {"name": ACCESS}} if auth else {}
    return {"type": "prometheus", "name": trigger, "metricType": kind, "metadata": metadata, **reference}


def _counted(name: str, source: Source) -> dict[str, Any]:
    """Requests in flight as the HTTP add-on counts them, which tells KEDA at once when there is a first one."""
    address = f"{HOLDER}-external-scaler.{source.holder}:9090"
    metadata = {"scalerAddress": address, "httpScaledObject": name}
    return {"type": "external-push", "name": "held", "metadata": metadata}


def _pace(pace: Pace) -> dict[str, Any]:
    period = pace.period_seconds
    return {
        "stabilizationWindowSeconds": pace.stabilization_seconds,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": pace.pods, "periodSeconds": period},
            {"type": "Percent", "value": pace.percent, "periodSeconds": period},
        ],
    }
