"""The replicas of a model behind a Service."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s

from components.deployment import deployment_spec, one_node_notice, template
from components.engine_extras import NOTHING, Extras
from components.engine_pod import WHOLE, Part, pod_spec, selector
from components.engines import engine_of
from components.gpu_node_pool import Placement
from components.leader_worker import LEADERS, groups, leader, worker
from components.model_weights import ModelWeights
from components.pod import labels as pod_labels
from components.probes import PORT_NAME
from components.settings import Model
from components.surge import replaced
from components.timing import timing


class InferenceServer(pulumi.ComponentResource):
    """Deployment, Service, ServiceAccount and, for replicas on several nodes, a disruption budget, all named alike.

    A replica that takes several nodes is a group of a LeaderWorkerSet in place of a Deployment's pod.
    """

    service: pulumi.Output[str]
    url: pulumi.Output[str]
    rolled_out: k8s.apps.v1.Deployment | k8s.apiextensions.CustomResource
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
        priority_class: pulumi.Input[str] | None = None,
        extras: Extras = NOTHING,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Serve the model; `url` is the base of its OpenAI API inside the cluster."""
        super().__init__("inference:index:InferenceServer", name, None, opts)
        engine, labels = engine_of(model), {**model.labels, **pod_labels(model.engine, name, "engine")}
        mounted, grouped = weights.mounted, model.nodes_per_replica > 1
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
            spec=service_spec({**selector(name, model), **(LEADERS if grouped else {})}, engine.port),
            opts=pulumi.ResourceOptions(parent=self),
        )

        def pods(part: Part) -> k8s.core.v1.PodTemplateSpecArgs:
            spec = pod_spec(
                name,
                model,
                placement=placement,
                service_account=account,
                weights=mounted,
                pull_secrets=pull_secrets,
                priority_class=priority_class,
                extras=extras,
                part=part,
            )
            return template(model, labels, mounted, spec)

        times = timing(model, seeds=mounted.seeds)
        timeout = f"{times.deployment_timeout}s"
        rollout = pulumi.ResourceOptions(
            parent=self,
            # No input says so, but a replica that starts before the weights are whole cannot load them.
            depends_on=list(mounted.after),
            custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
            # The first ones are the program's, all further ones the scaler's. Left out they would be one, and a stack
            # that begins to scale would drop to it: server-side apply resets a field that its only owner gives up.
            ignore_changes=["spec.replicas"] if model.scaling else None,
        )
        self.rolled_out = (
            groups(
                name,
                model,
                namespace=namespace,
                labels=labels,
                templates=(pods(leader(model)), pods(worker(model))),
                opts=rollout,
            )
            if grouped
            else k8s.apps.v1.Deployment(
                name,
                metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels),
                spec=deployment_spec(name, model, times, pods(WHOLE)),
                opts=rollout,
            )
        )
        # Replicas on one node leave it together, or keep it from being drained.
        if replaced(model) > 1 and not mounted.one_node:
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
    """Draining nodes takes one replica at a time. A single replica gets none: it would let no node be drained.

    Of one on several nodes it counts all pods, which go together: the first that is evicted takes the others with it,
    and no further one is until they are all back.
    """
    return k8s.policy.v1.PodDisruptionBudgetSpecArgs(
        max_unavailable=1,
        selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector),
        # A replica that is broken serves nobody, and must not keep a node from being drained.
        unhealthy_pod_eviction_policy="AlwaysAllow",
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
