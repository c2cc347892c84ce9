"""The replicas of a model behind a Service."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s

from components.engine_pod import PORT_NAME, pod_spec, selector
from components.engines import vllm
from components.gpu_node_pool import Placement
from components.model_weights import ModelWeights
from components.pod import labels as pod_labels
from components.settings import Model
from components.timing import Timing, timing


class InferenceServer(pulumi.ComponentResource):
    """Deployment, Service, ServiceAccount and, for replicas on several nodes, a disruption budget, all named alike."""

    service: pulumi.Output[str]
    url: pulumi.Output[str]

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
        labels = {**model.labels, **pod_labels(model.engine, name, "engine")}
        account = k8s.core.v1.ServiceAccount(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels),
            # The engine asks nothing of the API server.
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        service = k8s.core.v1.Service(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=name,
                namespace=namespace,
                labels=labels,
                # Pulumi would wait for an endpoint, that is for seeding and load, and fail after ten minutes.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=service_spec(selector(name, model)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        replica = pod_spec(
            name,
            model,
            placement=placement,
            service_account=account.metadata.name,
            volume=weights.volume,
            claim_name=weights.claim_name,
            weights_path=weights.path,
            seeder=weights.seeder,
            pull_secrets=pull_secrets,
        )
        times = timing(model, seeds=weights.volume.per_node)
        timeout = f"{times.deployment_timeout}s"
        k8s.apps.v1.Deployment(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels),
            spec=deployment_spec(
                name, model, times, template(model, labels | weights.volume.labels, weights.digest, replica)
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                # No input says so, but a replica that starts before the weights are whole cannot load them.
                depends_on=[weights.seeded] if weights.seeded else [],
                custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
            ),
        )
        # Replicas on one node leave it together, or keep it from being drained.
        if model.replicas.min > 1 and not weights.volume.one_node:
            k8s.policy.v1.PodDisruptionBudget(
                name,
                metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels),
                spec=disruption_spec(selector(name, model)),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.service = service.metadata.name
        self.url = pulumi.Output.format("http://{0}.{1}.svc:{2}/v1", self.service, namespace, vllm.PORT)
        self.register_outputs({"service": self.service, "url": self.url})


def service_spec(selector: dict[str, str]) -> k8s.core.v1.ServiceSpecArgs:
    """The engine's port inside the cluster."""
    return k8s.core.v1.ServiceSpecArgs(
        type="ClusterIP",
        selector=selector,
        ports=[k8s.core.v1.ServicePortArgs(name=PORT_NAME, port=vllm.PORT, target_port=PORT_NAME, protocol="TCP")],
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
    model: Model, labels: dict[str, str], digest: str, spec: k8s.core.v1.PodSpecArgs
) -> k8s.core.v1.PodTemplateSpecArgs:
    """The replica's pod. Its annotation rolls the replicas when another selection of files keeps the path."""
    annotations = {**model.annotations, "inference/weights": digest}
    return k8s.core.v1.PodTemplateSpecArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels, annotations=annotations), spec=spec
    )
