"""All alerts of a model, and those of a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from components.observability import load_alerts, service_alerts
from components.observability.alert import Alert, rule
from components.observability.watched import Watched

KINDS: Final[tuple[Callable[[Watched], Iterator[Alert]], ...]] = (
    service_alerts.replicas,
    service_alerts.seeding,
    service_alerts.latency,
    service_alerts.errors,
    load_alerts.load,
    load_alerts.progress,
    load_alerts.scaler,
    load_alerts.idle,
)


def alerting_rules(watched: Watched) -> list[dict[str, Any]]:
    """The rules of a model's alerts, of which its engine, source and scaler give a number."""
    return [rule(alert, watched.labels, f"Model {watched.name}") for kind in KINDS for alert in kind(watched)]


def scaler_rules(namespace: str, job: str) -> list[dict[str, Any]]:
    """The rule of what all scalers depend on; `job` is that of the PodMonitor of KEDA's operator."""
    away = Alert(
        name="InferenceScalerAway",
        severity="critical",
        query=f'absent(up{{job="{job}"}} == 1)',
        lasting="5m",
        summary="KEDA's operator cannot be read: no model gets a replica more or less.",
        action="Look at its pods in the namespace of autoscaling.keda, and whether they have a port 8080: KEDA's chart "
        "opens it with prometheus.operator.enabled.",
    )
    return [rule(away, {"namespace": namespace}, f"Models of {namespace}")]
