"""Replicas of one pod each, behind a Deployment that replaces them by surge."""

from __future__ import annotations

import pulumi_kubernetes as k8s

from components.engine_pod import selector
from components.mounted_weights import MountedWeights
from components.settings import Model
from components.surge import surge_of
from components.timing import Timing
from components.volume import Volume


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
            rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(max_surge=surge_of(model), max_unavailable=0),
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
        f"{model.replicas.max}, and {surge_of(model)} more for the surge of a rollout, take "
        f"{(model.replicas.max + surge_of(model)) * model.gpus}"
        f"{of} GPUs of a node of pool {model.pool}"
    )
