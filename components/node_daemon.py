"""The pod of a DaemonSet on GPU nodes: root, for a folder of the node, and with nothing else that it does not need."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi_kubernetes as k8s

from components import pod
from components.gpu_node_pool import Placement


def pod_spec(
    container: k8s.core.v1.ContainerArgs,
    volumes: list[k8s.core.v1.VolumeArgs],
    *,
    placements: Sequence[Placement],
    pull_secrets: Sequence[str],
    runtime_class: str | None,
) -> k8s.core.v1.PodSpecArgs:
    """The pod, on the nodes of every generation of the pools."""
    return k8s.core.v1.PodSpecArgs(
        automount_service_account_token=False,
        enable_service_links=False,
        priority_class_name="system-node-critical",
        runtime_class_name=runtime_class,
        image_pull_secrets=pod.pull_secrets(pull_secrets),
        affinity=k8s.core.v1.AffinityArgs(node_affinity=_any_of(placements)),
        tolerations=_tolerations(placements),
        security_context=k8s.core.v1.PodSecurityContextArgs(
            # The kubelet's sockets belong to root.
            run_as_user=0,
            run_as_group=0,
            seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
        ),
        containers=[container],
        volumes=volumes,
    )


def _any_of(placements: Sequence[Placement]) -> k8s.core.v1.NodeAffinityArgs:
    """Nodes of any of the pools: the terms of a node selector are alternatives, the expressions of a term all hold."""
    return k8s.core.v1.NodeAffinityArgs(
        required_during_scheduling_ignored_during_execution=k8s.core.v1.NodeSelectorArgs(
            node_selector_terms=[
                k8s.core.v1.NodeSelectorTermArgs(
                    match_expressions=[
                        k8s.core.v1.NodeSelectorRequirementArgs(key=key, operator="In", values=[value])
                        for key, value in sorted(each.every_generation.items())
                    ]
                )
                for each in placements
            ]
        )
    )


def _tolerations(placements: Sequence[Placement]) -> list[k8s.core.v1.TolerationArgs]:
    """The pools' taints, and NVIDIA's own with any value; the DaemonSet controller adds those of an unready node."""
    gpu = k8s.core.v1.TolerationArgs(key="nvidia.com/gpu", operator="Exists")
    critical = k8s.core.v1.TolerationArgs(key="CriticalAddonsOnly", operator="Exists")
    others = {
        (each.toleration.key, each.toleration.value, each.toleration.effect): each.toleration
        for each in placements
        if each.toleration.key != "nvidia.com/gpu"
    }
    return [gpu, critical, *others.values()]
