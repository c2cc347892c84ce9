"""What Prometheus reads of the models, what it makes of it, and the dashboard that shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from components.observability import monitors
from components.observability.alerts import alerting_rules, scaler_rules
from components.observability.dashboard import dashboard
from components.observability.recording import recording_rules
from components.observability.watched import Watched
from components.pod import labels as pod_labels
from components.settings import Monitoring, Settings

API: Final = "monitoring.coreos.com/v1"
SCALER: Final = "keda-operator"
GPUS: Final = "dcgm-exporter"
DASHBOARD: Final = "inference-dashboard"


class Observability(pulumi.ComponentResource):
    """A PodMonitor and a PrometheusRule a model, those of scaler and GPUs, and a ConfigMap with the dashboard."""

    def __init__(
        self,
        name: str,
        monitoring: Monitoring,
        models: Sequence[Watched],
        *,
        namespace: pulumi.Input[str],
        models_namespace: str,
        keda: str | None = None,
        own_gpus: bool = False,
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Watch the models; `models_namespace` is what the settings call the namespace.

        `keda` is the namespace of its operator, `own_gpus` says that our exporter runs, and `after` is what brings the
        kinds of objects of Prometheus' operator, where this program does.
        """
        super().__init__("inference:index:Observability", name, None, opts)
        self._below = pulumi.ResourceOptions(parent=self, depends_on=list(after))
        self._labels, self._namespace = dict(monitoring.labels), namespace
        for each in models:
            # Not the model's name alone, which may be that of one of the others below.
            own = f"{each.name}-engine"
            if each.metrics is not None:
                spec = monitors.of_engine(each, each.metrics, monitoring.scrape_seconds)
                self._object("PodMonitor", own, each.name, spec)
            rules = [*recording_rules(each), *alerting_rules(each)]
            self._object("PrometheusRule", own, each.name, rule_spec(f"inference-{each.name}", rules))
        if keda is not None and any(each.model.scaling for each in models):
            self._object("PodMonitor", SCALER, SCALER, monitors.of_keda(keda))
            rules = scaler_rules(models_namespace, f"{models_namespace}/{SCALER}")
            self._object("PrometheusRule", SCALER, SCALER, rule_spec("inference-scalers", rules))
        if own_gpus:
            self._object("PodMonitor", GPUS, GPUS, monitors.of_gpus())
        if monitoring.grafana.enabled:
            board = dashboard(models_namespace, models, dcgm=own_gpus or monitoring.dcgm)
            k8s.core.v1.ConfigMap(
                DASHBOARD,
                metadata=k8s.meta.v1.ObjectMetaArgs(
                    name=DASHBOARD,
                    namespace=monitoring.grafana.namespace or namespace,
                    labels={**pod_labels("grafana", DASHBOARD, "monitoring"), **monitoring.grafana.labels},
                ),
                # By a name of its own: all dashboards of a sidecar lie in one folder.
                data={f"inference-{models_namespace}.json": json.dumps(board, indent=1)},
                opts=self._below,
            )
        self.register_outputs({})

    def _object(self, kind: str, name: str, instance: str, spec: dict[str, Any]) -> None:
        k8s.apiextensions.CustomResource(
            name,
            api_version=API,
            kind=kind,
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=name,
                namespace=self._namespace,
                labels={**pod_labels("prometheus", instance, "monitoring"), **self._labels},
            ),
            spec=spec,
            opts=self._below,
        )


def rule_spec(group: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """One group, whose rules are evaluated one after the other: alerts see what was recorded just before."""
    return {"groups": [{"name": group, "rules": rules}]}


def watched(settings: Settings) -> list[Watched]:
    """The models as Prometheus is to see them."""
    return [Watched(name=name, model=model, namespace=settings.namespace) for name, model in settings.models.items()]


def observability(
    settings: Settings,
    workloads: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
    after: Sequence[pulumi.Resource] = (),
) -> None:
    """Watch the models where the settings have a Prometheus."""
    if settings.monitoring is None:
        return
    Observability(
        "observability",
        settings.monitoring,
        watched(settings),
        namespace=workloads,
        models_namespace=settings.namespace,
        keda=settings.autoscaling.keda.namespace if settings.autoscaling else None,
        own_gpus=settings.device_plugin.dcgm_exporter,
        after=after,
        opts=opts,
    )
