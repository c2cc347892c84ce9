"""The replicas of a model behind a Service."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s

from components.engine_pod import PORT_NAME, pod_spec, selector
from components.engines import engine_of
from components.gpu_node_pool import Placement
from components.model_weights import ModelWeights
from components.mounted_weights import MountedWeights
from components.pod import labels as pod_labels
from components.settings import Model
from components.timing import Timing, timing
from components.volume import Volume


class InferenceServer(pulumi.ComponentResource):
    """Deployment, Service, ServiceAccount and, for replicas on several nodes, a disruption budget, all named alike."""

    service: pulumi.Output[str]
    url: pulumi.Output[str]
    rolled_out: k8s.apps.v1.Deployment
    """Ready when no replica of an earlier change is left."""

    def __init__(
        self,
        name: str,
        model: Model,
        *,
        namespace: pulumi.Input[str],
        placement: Placement,
        weights: ModelWeights,
        pull_secrets: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Serve the model; `url` is the base of its OpenAI API inside the cluster."""
        super().__init__("inference:index:InferenceServer", name, None, opts)
        engine, labels = engine_of(model), {**model.labels, **pod_labels(model.engine, name, "engine")}
        mounted = weights.mounted
        if mounted.place is not None and mounted.one_node:
            pulumi.log.info(one_node_notice(name, model, mounted.place.volume), resource=self)
        account = mounted.service_account or _account(name, namespace, labels, self)
        service = k8s.core.v1.Service(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=name,
                namespace=namespace,
                labels=labels,
                # Pulumi would wait for an endpoint, that is for seeding and load, and fail after ten minutes.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=service_spec(selector(name, model), engine.port),
            opts=pulumi.ResourceOptions(parent=self),
        )
        replica = pod_spec(
            name, model, placement=placement, service_account=account, weights=mounted, pull_secrets=pull_secrets
        )
        times = timing(model, seeds=mounted.seeds)
        timeout = f"{times.deployment_timeout}s"
        self.rolled_out = k8s.apps.v1.Deployment(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels),
            spec=deployment_spec(name, model, times, template(model, labels, mounted, replica)),
            opts=pulumi.ResourceOptions(
                parent=self,
                # No input says so, but a replica that starts before the weights are whole cannot load them.
                depends_on=list(mounted.after),
                custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
            ),
        )
        # Replicas on one node leave it together, or keep it from being drained.
        if model.replicas.min > 1 and not mounted.one_node:
            k8s.policy.v1.PodDisruptionBudget(
                name,
                metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels),
                spec=disruption_spec(selector(name, model)),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.service = service.metadata.name
        self.url = pulumi.Output.format("http://{0}.{1}.svc:{2}/v1", self.service, namespace, engine.port)
        self.register_outputs({"service": self.service, "url": self.url})


def service_spec(selector: dict[str, str], port: int) -> k8s.core.v1.ServiceSpecArgs:
    """The engine's port inside the cluster."""
    return k8s.core.v1.ServiceSpecArgs(
        type="ClusterIP",
        selector=selector,
        ports=[k8s.core.v1.ServicePortArgs(name=PORT_NAME, port=port, target_port=PORT_NAME, protocol="TCP")],
    )


def disruption_spec(selector: dict[str, str]) -> k8s.policy.v1.PodDisruptionBudgetSpecArgs:
    """Draining nodes takes one replica at a time. A single replica gets none: it would let no node be drained."""
    return k8s.policy.v1.PodDisruptionBudgetSpecArgs(
        max_unavailable=1,
        selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector),
        # A replica that is broken serves nobody, and must not keep a node from being drained.
        unhealthy_pod_eviction_policy="AlwaysAllow",
    )


def deployment_spec(
    name: str, model: Model, times: Timing, template: k8s.core.v1.PodTemplateSpecArgs
) -> k8s.apps.v1.DeploymentSpecArgs:
    """Surge-only rollout: a replica goes only after a new one has been ready for minReadySeconds."""
    return k8s.apps.v1.DeploymentSpecArgs(
        replicas=model.replicas.min,
        selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector(name, model)),
        min_ready_seconds=model.rollout.min_ready_seconds,
        progress_deadline_seconds=times.progress_deadline,
        revision_history_limit=5,
        strategy=k8s.apps.v1.DeploymentStrategyArgs(
            type="RollingUpdate",
            rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
        ),
        template=template,
    )


def template(
    model: Model, labels: dict[str, str], weights: MountedWeights, spec: k8s.core.v1.PodSpecArgs
) -> k8s.core.v1.PodTemplateSpecArgs:
    """The replica's pod, with the folder that it reads, by which cleaning knows that it is in use."""
    annotations = {**model.annotations, **weights.annotations}
    return k8s.core.v1.PodTemplateSpecArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(labels={**labels, **weights.labels}, annotations=annotations or None),
        spec=spec,
    )


def one_node_notice(name: str, model: Model, volume: Volume) -> str:
    """What follows for a rollout from a volume that one node mounts."""
    of = f" of the {volume.gpus}" if volume.gpus else ""
    return (
        f"{name}: one node mounts the volume of its weights, so that all replicas run there: up to "
        f"{model.replicas.max}, and one more for the surge of a rollout, take {(model.replicas.max + 1) * model.gpus}"
        f"{of} GPUs of a node of pool {model.pool}"
    )


def _account(
    name: str, namespace: pulumi.Input[str], labels: dict[str, str], parent: pulumi.Resource
) -> pulumi.Output[str]:
    account = k8s.core.v1.ServiceAccount(
        name,
        metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels),
        # The engine asks nothing of the API server.
        automount_service_account_token=False,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return account.metadata.name
