"""Whom Prometheus reads, as its operator's PodMonitors say it.

The operator itself adds the labels `namespace`, `pod` and `container`:
https://prometheus-operator.dev/docs/api-reference/api/.
"""

from __future__ import annotations

from typing import Any, Final

from components import dcgm_exporter
from components.engine_pod import selector
from components.engines import engine_of
from components.engines.profile import Metrics
from components.observability.watched import Watched
from components.probes import PORT_NAME

KEDA_PORT: Final = 8080
KEDA_PODS: Final = {"app": "keda-operator"}


def of_engine(watched: Watched, metrics: Metrics, seconds: int) -> dict[str, Any]:
    """The replicas of a model, whose pods' other containers have no port of that name."""
    model = {"action": "replace", "targetLabel": "model", "replacement": watched.name}
    # No container need declare the port; nobody else of the pod then shows up under it.
    port = {
        "action": "replace",
        "sourceLabels": ["__address__"],
        "regex": r"(.+):\d+",
        "targetLabel": "__address__",
        "replacement": f"$1:{metrics.port}",
    }
    elsewhere = metrics.port != engine_of(watched.model).port
    return {
        "selector": {"matchLabels": selector(watched.name, watched.model)},
        "podMetricsEndpoints": [
            {
                "port": PORT_NAME,
                "path": metrics.path,
                "interval": f"{seconds}s",
                "relabelings": [model, *([port] if elsewhere else [])],
            }
        ],
    }


def of_keda(namespace: str) -> dict[str, Any]:
    """KEDA's operator, whose metrics name the namespaces of what it scales."""
    return {
        "namespaceSelector": {"matchNames": [namespace]},
        "selector": {"matchLabels": KEDA_PODS},
        "podMetricsEndpoints": [{"portNumber": KEDA_PORT, "path": "/metrics", "honorLabels": True}],
    }


def of_gpus() -> dict[str, Any]:
    """The DCGM exporter of this program, whose metrics name the pods that hold the GPUs."""
    return {
        "namespaceSelector": {"matchNames": [dcgm_exporter.NAME]},
        "selector": {"matchLabels": {"app.kubernetes.io/instance": dcgm_exporter.NAME}},
        "podMetricsEndpoints": [{"port": "metrics", "path": "/metrics", "honorLabels": True}],
    }
