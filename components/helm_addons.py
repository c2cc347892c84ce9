"""KEDA, its HTTP add-on and Prometheus where a cluster has none, each a Helm chart at one exact version.

What is of their kinds comes after them: a fresh cluster knows a ScaledObject or a PodMonitor only then, and Pulumi sees
no edge between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from components.cluster import Connection, Level, namespace
from components.helm import release
from components.settings import AwsAuth, EksCluster, HelmAddon, Settings
from components.settings.section import merged

# The control plane of EKS is nobody's to scrape, and each of these would raise an alert.
NOT_ON_EKS: Final = ("kubeControllerManager", "kubeEtcd", "kubeScheduler")


@dataclass(frozen=True, kw_only=True)
class HelmAddons:
    """What is installed, each as what others wait for: empty where it is there, or not wanted."""

    keda: tuple[pulumi.Resource, ...] = ()
    http: tuple[pulumi.Resource, ...] = ()
    prometheus: tuple[pulumi.Resource, ...] = ()


class ChartRelease(pulumi.ComponentResource):
    """A chart in a namespace of its own, or in one that is there."""

    release: k8s.helm.v3.Release

    def __init__(
        self,
        name: str,
        addon: HelmAddon,
        *,
        chart: str,
        values: dict[str, Any],
        level: Level | None,
        after: tuple[pulumi.Resource, ...],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Install it; `level` is that of the namespace that is made for it, None where one is there."""
        super().__init__("inference:index:ChartRelease", name, None, opts)
        below = pulumi.ResourceOptions(parent=self)
        home = namespace(addon.namespace, level, below).metadata.name if level else addon.namespace
        self.release = release(
            name,
            chart=chart,
            version=addon.version,
            repository=addon.repository,
            values=merged(values, addon.values),
            namespace=home,
            parent=self,
            after=after,
        )
        self.register_outputs({"release": self.release.name})


def helm_addons(settings: Settings, connection: Connection, opts: pulumi.ResourceOptions) -> HelmAddons:
    """Install what the settings want installed: the HTTP add-on after KEDA, whose kinds it uses."""
    ready = tuple(connection.depends_on)
    autoscaling, monitoring = settings.autoscaling, settings.monitoring
    made = HelmAddons()
    if autoscaling is not None and autoscaling.keda.install:
        chart = ChartRelease(
            "keda",
            autoscaling.keda,
            chart="keda",
            # The port of its own metrics, which tell of scalers that fail.
            values={"prometheus": {"operator": {"enabled": True}}},
            level="baseline",
            after=(*ready, *_may_query(settings, connection)),
            opts=opts,
        )
        made = replace(made, keda=(chart.release,))
    if autoscaling is not None and autoscaling.http_add_on is not None and autoscaling.http_add_on.install:
        beside = autoscaling.http_add_on.namespace == autoscaling.keda.namespace
        chart = ChartRelease(
            "keda-add-ons-http",
            autoscaling.http_add_on,
            chart="keda-add-ons-http",
            values={},
            level=None if beside else "baseline",
            after=(*ready, *made.keda),
            opts=opts,
        )
        made = replace(made, http=(chart.release,))
    if monitoring is not None and monitoring.prometheus.install:
        chart = ChartRelease(
            "kube-prometheus-stack",
            monitoring.prometheus,
            chart="kube-prometheus-stack",
            values=prometheus_values(settings),
            # Its node exporter reads the host's files and connections.
            level="privileged",
            after=ready,
            opts=opts,
        )
        made = replace(made, prometheus=(chart.release,))
    return made


def prometheus_values(settings: Settings) -> dict[str, Any]:
    """The chart's values, which are good as they are but for EKS."""
    on_eks = isinstance(settings.cluster, EksCluster)
    return {key: {"enabled": False} for key in NOT_ON_EKS} if on_eks else {}


def _may_query(settings: Settings, connection: Connection) -> tuple[pulumi.Resource, ...]:
    """The right of KEDA's operator to ask a Prometheus that AWS manages; pods that start before go without for ever."""
    monitoring, autoscaling = settings.monitoring, settings.autoscaling
    auth = monitoring.prometheus.auth if monitoring else None
    if not isinstance(auth, AwsAuth) or connection.eks is None or autoscaling is None:
        return ()
    from components.aws.metrics_role import MetricsRole  # noqa: PLC0415 - half a second that only EKS needs

    region = auth.region or connection.eks.region
    namespace = autoscaling.keda.namespace
    return MetricsRole("keda-metrics", settings.cluster.name, region, connection.eks, namespace=namespace).grants
