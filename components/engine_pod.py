"""A replica: the pod that the engine runs in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components import pod
from components.engines import engine_of, image_of
from components.gpu_node_pool import Placement
from components.mounted_weights import MountedWeights
from components.settings import Model, Probe, default_shared_memory
from components.timing import STARTUP_PERIOD, timing
from components.volume import beside_the_volume
from components.weight_job import weights_volume
from components.weight_seeder import MOUNT

HOME: Final = "/home/inference"
PORT_NAME: Final = "http"


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
) -> k8s.core.v1.PodSpecArgs:
    """A replica: on the pool's nodes, with nothing writable but its scratch folders.

    Rather not two on one node, unless their volume is one node's: then all on that one. The weights' own containers
    come first: one that looks whether they are whole or, where every node has its own copy, the seeder, which alone may
    write to it.
    """
    engine, times, scratch, place = engine_of(model), timing(model), _scratch(model), weights.place
    return k8s.core.v1.PodSpecArgs(
        service_account_name=service_account,
        automount_service_account_token=False,
        # A Service named vllm would set VLLM_PORT and others, which vLLM reads as its own settings.
        enable_service_links=False,
        image_pull_secrets=pod.pull_secrets(pull_secrets),
        node_selector=placement.node_selector,
        tolerations=[placement.toleration],
        runtime_class_name=placement.runtime_class,
        affinity=k8s.core.v1.AffinityArgs(pod_affinity=beside_the_volume(name, place.volume))
        if place and place.volume.one_node
        else k8s.core.v1.AffinityArgs(pod_anti_affinity=_apart(selector(name, model))),
        security_context=pod.pod_security(),
        termination_grace_period_seconds=times.grace,
        init_containers=list(weights.init_containers) or None,
        containers=[
            k8s.core.v1.ContainerArgs(
                name="engine",
                image=image_of(model),
                image_pull_policy="IfNotPresent",
                command=list(engine.command) or None,
                args=engine.arguments(name, model, weights.path),
                env=pod.environment(engine.environment(name, model, weights.path, HOME), model.env),
                ports=[k8s.core.v1.ContainerPortArgs(name=PORT_NAME, container_port=engine.port, protocol="TCP")],
                resources=pod.resources(model.resources, model.gpus),
                security_context=pod.container_security(read_only_root=model.read_only_root),
                startup_probe=_health(
                    engine.health_path,
                    times.startup_budget // STARTUP_PERIOD,
                    STARTUP_PERIOD,
                    model.probes.readiness.timeout_seconds,
                ),
                readiness_probe=_health(
                    engine.health_path,
                    model.probes.readiness.failure_threshold,
                    model.probes.readiness.period_seconds,
                    model.probes.readiness.timeout_seconds,
                ),
                liveness_probe=_open_port(model.probes.liveness),
                # New connections stop before the engine starts to refuse them.
                lifecycle=k8s.core.v1.LifecycleArgs(
                    pre_stop=k8s.core.v1.LifecycleHandlerArgs(
                        sleep=k8s.core.v1.SleepActionArgs(seconds=model.pre_stop_seconds)
                    )
                ),
                volume_mounts=[
                    *([k8s.core.v1.VolumeMountArgs(name="weights", mount_path=MOUNT, read_only=True)] if place else []),
                    *(mount for _, mount in scratch),
                ],
            )
        ],
        volumes=[
            *([weights_volume(place.claim_name)] if place else []),
            *weights.volumes,
            *(folder for folder, _ in scratch),
        ],
    )


def _scratch(model: Model) -> list[pod.Scratch]:
    disk = model.resources.limits.ephemeral_storage
    return [
        pod.scratch("tmp", "/tmp", disk),  # noqa: S108 - the pod's own emptyDir
        pod.scratch("home", HOME, disk),
        pod.scratch("shm", "/dev/shm", model.shared_memory or default_shared_memory(model.gpus), memory=True),  # noqa: S108
    ]


def _health(path: str, failures: int, period: int, timeout: int) -> k8s.core.v1.ProbeArgs:
    return k8s.core.v1.ProbeArgs(
        http_get=k8s.core.v1.HTTPGetActionArgs(path=path, port=PORT_NAME),
        period_seconds=period,
        timeout_seconds=timeout,
        failure_threshold=failures,
    )


def _open_port(probe: Probe) -> k8s.core.v1.ProbeArgs:
    """Whether the process is there; a busy model must not get its replica killed."""
    return k8s.core.v1.ProbeArgs(
        tcp_socket=k8s.core.v1.TCPSocketActionArgs(port=PORT_NAME),
        period_seconds=probe.period_seconds,
        timeout_seconds=probe.timeout_seconds,
        failure_threshold=probe.failure_threshold,
    )


def _apart(selector: dict[str, str]) -> k8s.core.v1.PodAntiAffinityArgs:
    """Prefer a node without another replica: a preference, so that a pool of one node still takes them all."""
    return k8s.core.v1.PodAntiAffinityArgs(
        preferred_during_scheduling_ignored_during_execution=[
            k8s.core.v1.WeightedPodAffinityTermArgs(
                weight=100,
                pod_affinity_term=k8s.core.v1.PodAffinityTermArgs(
                    topology_key="kubernetes.io/hostname",
                    label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector),
                ),
            )
        ]
    )
