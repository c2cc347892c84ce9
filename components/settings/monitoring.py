"""Settings of who watches the models: Prometheus, its operator's objects, and the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from components.settings.helm import HelmAddon
from components.settings.prometheus_auth import Auth
from components.settings.section import SECTION
from components.settings.types import (
    NOT_BOOL,
    ChartVersion,
    LabelKey,
    LabelValue,
    Namespace,
    NamespaceName,
    Repository,
    Url,
)

RELEASE: Final = "kube-prometheus-stack"
"""Name of the chart's release, by whose label its Prometheus finds what it scrapes and evaluates."""


def default_address(prometheus: dict[str, Any]) -> str:
    """The Service that Prometheus' operator makes beside every Prometheus of its own."""
    return f"http://prometheus-operated.{prometheus.get('namespace', 'monitoring')}.svc.cluster.local:9090"


class Prometheus(HelmAddon):
    """A Prometheus with its operator: one that is there, or kube-prometheus-stack as a chart."""

    namespace: NamespaceName = Field(default="monitoring", description="Namespace of Prometheus' pods.")
    repository: Repository = Field(
        default="https://prometheus-community.github.io/helm-charts", description="Where the chart comes from."
    )
    version: ChartVersion = Field(default="81.4.2", description="Exact version of kube-prometheus-stack.")
    address: Url = Field(
        default_factory=default_address,
        description="Where the scaler asks; without it the operator's own Service, prometheus-operated, in namespace.",
        json_schema_extra={"examples": ["http://prometheus-operated.monitoring.svc.cluster.local:9090"]},
    )
    auth: Auth | None = Field(default=None, description="How the scaler signs in; without it as nobody.")


class Grafana(BaseModel):
    """The dashboard, as a ConfigMap that Grafana's sidecar reads."""

    model_config = SECTION

    enabled: bool = Field(default=True, description="Whether to make the dashboard.")
    namespace: Namespace | None = Field(
        default=None, description="Namespace of the ConfigMap; without it that of the models."
    )
    labels: Mapping[LabelKey, LabelValue] = Field(
        default={"grafana_dashboard": "1"}, description="Labels of the ConfigMap, which the sidecar looks for."
    )


class Monitoring(BaseModel):
    """What is watched, by objects of Prometheus' operator."""

    model_config = SECTION

    prometheus: Prometheus = Field(default=Prometheus(), description="Prometheus.")
    labels: Mapping[LabelKey, LabelValue] = Field(
        default={"release": RELEASE},
        description="Labels that Prometheus selects its PodMonitors and rules by.",
    )
    scrape_seconds: Annotated[int, Field(ge=1, le=60), NOT_BOOL] = Field(
        default=5, description="Seconds between two readings of a replica's metrics, which delay the scaler as well."
    )
    grafana: Grafana = Field(default=Grafana(), description="Grafana's dashboard.")
    dcgm: bool = Field(
        default=False,
        description="Whether Prometheus reads a DCGM exporter that this program has not installed; with its own "
        "(devicePlugin.dcgmExporter) it does in any case.",
    )
