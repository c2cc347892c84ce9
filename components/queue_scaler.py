"""The scaler of a model: as many replicas as the requests in flight ask for, between replicas.min and replicas.max."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import pulumi
import pulumi_kubernetes as k8s

from components import held_requests
from components.helm_addons import HelmAddons
from components.inference_server import InferenceServer
from components.leader_worker import API_VERSION
from components.observability.watched import scraped
from components.pod import labels as pod_labels
from components.scaling_target import counted_in_front
from components.scaling_triggers import ACCESS, Source, authentication_spec, scaled_object_spec
from components.settings import AwsAuth, Model, PrometheusAuth, Scaling, Settings

API: Final = "keda.sh/v1alpha1"


class QueueScaler(pulumi.ComponentResource):
    """A ScaledObject named like its model and, where requests are counted in front of it, the door that they take."""

    url: pulumi.Output[str] | None
    """The base of the model's OpenAI API behind that door."""

    def __init__(
        self,
        name: str,
        model: Model,
        scaling: Scaling,
        source: Source,
        *,
        server: InferenceServer,
        namespace: pulumi.Input[str],
        models_namespace: str,
        after: list[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Scale it; `after` is what brings KEDA's kinds, which no input names."""
        super().__init__("inference:index:QueueScaler", name, None, opts)
        labels = {**model.labels, **pod_labels("queue-scaler", name, "scaler")}
        self.url = None
        if counted_in_front(model) and source.holder:
            counted, self.url = held_requests.door(
                name,
                model,
                holder=source.holder,
                models_namespace=models_namespace,
                namespace=namespace,
                labels=labels,
                parent=self,
                after=after,
            )
            # KEDA asks once what is counted, when the scaler comes: without it the autoscaler never hears of the count.
            after = [*after, counted]
        k8s.apiextensions.CustomResource(
            name,
            api_version=API,
            kind="ScaledObject",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels),
            spec=scaled_object_spec(name, model, scaling, scale_target(server.rolled_out), source),
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )
        self.register_outputs({"url": self.url})


def scale_target(replicas: k8s.apps.v1.Deployment | k8s.apiextensions.CustomResource) -> dict[str, pulumi.Input[str]]:
    """The reference by which a scaler finds the replicas."""
    whole = isinstance(replicas, k8s.apps.v1.Deployment)
    return {
        "apiVersion": "apps/v1" if whole else API_VERSION,
        "kind": "Deployment" if whole else "LeaderWorkerSet",
        # Those of a custom resource are there at run time, but not for a type checker.
        "name": cast("Any", replicas).metadata["name"],
    }


class PrometheusAccess(pulumi.ComponentResource):
    """How KEDA signs in to Prometheus, for all scalers of the models' namespace."""

    made: pulumi.Resource

    def __init__(
        self,
        name: str,
        auth: PrometheusAuth,
        *,
        namespace: pulumi.Input[str],
        after: list[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Refer to the user's Secret, or to the role of KEDA's operator."""
        super().__init__("inference:index:PrometheusAccess", name, None, opts)
        self.made = k8s.apiextensions.CustomResource(
            name,
            api_version=API,
            kind="TriggerAuthentication",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=name, namespace=namespace, labels=pod_labels("queue-scaler", name, "scaler")
            ),
            spec=authentication_spec(auth),
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )
        self.register_outputs({})


def queue_scalers(
    settings: Settings,
    servers: Mapping[str, InferenceServer],
    addons: HelmAddons,
    namespace: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> dict[str, QueueScaler]:
    """The scaler of each model that has room to be scaled in; none in a stack without autoscaling."""
    if settings.autoscaling is None or settings.monitoring is None:
        return {}
    prometheus, holder = settings.monitoring.prometheus, settings.autoscaling.http_add_on
    region = prometheus.auth.region if isinstance(prometheus.auth, AwsAuth) else None
    after = [*addons.keda, *addons.http]

    def source(model: str) -> Source:
        return Source(
            address=prometheus.address,
            auth=prometheus.auth,
            region=region or settings.region,
            scraped=scraped(settings.namespace, model),
            holder=holder.namespace if holder else None,
        )

    scaled = {name: (model, model.scaling) for name, model in settings.models.items() if model.scaling}
    if prometheus.auth is not None and scaled:
        access = PrometheusAccess(ACCESS, prometheus.auth, namespace=namespace, after=after, opts=opts)
        after = [*after, access.made]
    return {
        name: QueueScaler(
            name,
            model,
            scaling,
            source(name),
            server=servers[name],
            namespace=namespace,
            models_namespace=settings.namespace,
            after=after,
            opts=opts,
        )
        for name, (model, scaling) in scaled.items()
    }
