"""A pod of a replica: the one that the engine runs in, or one of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components import pod, probes
from components.drain import grace_seconds, sleep_seconds
from components.engine_extras import NOTHING, Extras
from components.engines import engine_of, image_of
from components.gpu_node_pool import Placement
from components.mounted_weights import MountedWeights
from components.probes import PORT_NAME
from components.settings import Model, default_shared_memory
from components.spread import POD_HASH, spread
from components.timing import timing
from components.volume import beside_the_volume
from components.weight_job import weights_volume
from components.weight_seeder import MOUNT

HOME: Final = "/home/inference"


@dataclass(frozen=True, kw_only=True)
class Part:
    """What the pods of a replica differ in."""

    arguments: tuple[str, ...] = ()
    """After the engine's own, those of the settings included."""
    serves: bool = True
    """Whether requests come to it, and so probes."""
    pre_stop: tuple[str, ...] = ()
    """A command that ends when the process may stop; without it a sleep."""
    revision: str = POD_HASH
    """Label of the revision that it is of."""
    group: str | None = None
    """Label that the pods of one replica share, where there are several."""


WHOLE: Final = Part()


def selector(name: str, model: Model) -> dict[str, str]:
    """Labels that the model's engine pods have and its seeding pods have not."""
    return {"app.kubernetes.io/name": model.engine, "app.kubernetes.io/instance": name}


def pod_spec(
    name: str,
    model: Model,
    *,
    placement: Placement,
    service_account: pulumi.Input[str],
    weights: MountedWeights,
    pull_secrets: Sequence[str],
    priority_class: pulumi.Input[str] | None = None,
    extras: Extras = NOTHING,
    part: Part = WHOLE,
) -> k8s.core.v1.PodSpecArgs:
    """A pod on the pool's nodes, with all of a node's share of the GPUs and nothing writable but its scratch folders.

    Rather not two on one node, unless their volume is one node's: then all on that one. The weights' own containers
    come first: one that looks whether they are whole or, where every node has its own copy, the seeder, which alone may
    write to it.
    """
    engine, scratch, place = engine_of(model), _scratch(model), weights.place
    one_node = place.volume if place and place.volume.one_node else None
    return k8s.core.v1.PodSpecArgs(
        service_account_name=service_account,
        automount_service_account_token=False,
        # A Service named vllm would set VLLM_PORT and others, which vLLM reads as its own settings.
        enable_service_links=False,
        image_pull_secrets=pod.pull_secrets(pull_secrets),
        priority_class_name=priority_class,
        node_selector=placement.node_selector,
        tolerations=[placement.toleration],
        runtime_class_name=placement.runtime_class,
        affinity=k8s.core.v1.AffinityArgs(pod_affinity=beside_the_volume(name, one_node)) if one_node else None,
        topology_spread_constraints=None if one_node else spread(selector(name, model), part.revision, part.group),
        security_context=pod.pod_security(engine.port),
        termination_grace_period_seconds=grace_seconds(model),
        init_containers=list(weights.init_containers) or None,
        containers=[
            k8s.core.v1.ContainerArgs(
                name="engine",
                image=image_of(model),
                image_pull_policy="IfNotPresent",
                command=list(engine.command) or None,
                args=[*engine.arguments(name, model, weights.path), *part.arguments, *extras.arguments],
                env=[
                    *pod.environment(engine.environment(name, model, weights.path, HOME), model.env),
                    *_registry_key(model),
                ],
                ports=[k8s.core.v1.ContainerPortArgs(name=PORT_NAME, container_port=engine.port, protocol="TCP")]
                if part.serves
                else None,
                resources=pod.resources(model.resources, model.gpus),
                security_context=pod.container_security(read_only_root=model.read_only_root),
                startup_probe=probes.startup(name, model, timing(model)) if part.serves else None,
                readiness_probe=probes.readiness(name, model) if part.serves else None,
                liveness_probe=probes.liveness(model) if part.serves else None,
                lifecycle=_lifecycle(model, part),
                volume_mounts=[
                    *([k8s.core.v1.VolumeMountArgs(name="weights", mount_path=MOUNT, read_only=True)] if place else []),
                    *(mount for _, mount in scratch),
                    *extras.mounts,
                ],
            )
        ],
        volumes=[
            *([weights_volume(place.claim_name)] if place else []),
            *weights.volumes,
            *(folder for folder, _ in scratch),
            *extras.volumes,
        ],
    )


def _registry_key(model: Model) -> list[k8s.core.v1.EnvVarArgs]:
    """The key of NVIDIA's registry, from a Secret of the user's, for an engine that starts with one only."""
    variable, secret = engine_of(model).key_variable, model.ngc_key_secret
    return [pod.secret_variable(variable, secret, "NGC_API_KEY")] if variable and secret else []


def _lifecycle(model: Model, part: Part) -> k8s.core.v1.LifecycleArgs:
    """New connections stop before the engine starts to refuse them; the kubelet's own sleep needs no shell."""
    handler = (
        k8s.core.v1.LifecycleHandlerArgs(exec_=k8s.core.v1.ExecActionArgs(command=list(part.pre_stop)))
        if part.pre_stop
        else k8s.core.v1.LifecycleHandlerArgs(sleep=k8s.core.v1.SleepActionArgs(seconds=sleep_seconds(model)))
    )
    return k8s.core.v1.LifecycleArgs(pre_stop=handler)


def _scratch(model: Model) -> list[pod.Scratch]:
    disk = model.resources.limits.ephemeral_storage
    return [
        pod.scratch("tmp", "/tmp", disk),  # noqa: S108 - the pod's own emptyDir
        pod.scratch("home", HOME, disk),
        pod.scratch("shm", "/dev/shm", model.shared_memory or default_shared_memory(model.gpus), memory=True),  # noqa: S108
    ]
