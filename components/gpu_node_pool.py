"""A pool of GPU nodes, and what a pod needs to run on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

import pulumi
import pulumi_kubernetes as k8s

from components import pod
from components.cluster import Connection
from components.settings import EksPool, ExistingPool, GpuPool, Settings
from components.volume import POOL_LABEL

if TYPE_CHECKING:  # stacks without AWS load nothing of it
    from components.aws.connection import EksConnection

GENERATION_LABEL: Final = "inference/gpu-generation"
"""Which nodes of the pool: those before a change that no node can take part in, or those after it."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What puts a pod on the nodes of a pool."""

    node_selector: dict[str, pulumi.Input[str]]
    toleration: k8s.core.v1.TolerationArgs
    runtime_class: str | None
    built_in_plugin: bool = False
    """Whether the nodes announce their GPUs by themselves."""

    @property
    def every_generation(self) -> dict[str, pulumi.Input[str]]:
        """Labels of all nodes of the pool, for what has to run on each of them as long as it is there."""
        return {key: value for key, value in self.node_selector.items() if key != GENERATION_LABEL}


class GpuNodePool(pulumi.ComponentResource):
    """Nodes that are there already, to be found and tolerated; or nodes that EKS or Karpenter provides."""

    placement: Placement

    def __init__(
        self,
        name: str,
        pool: GpuPool,
        connection: Connection,
        *,
        folders: Sequence[str] = (),
        pods_per_gpu: int = 1,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the pool, or make it.

        `folders` are those that the pods' user owns on the instance store of each node, `pods_per_gpu` the time slices
        that the device plugin announces for a GPU.
        """
        super().__init__("inference:index:GpuNodePool", name, None, opts)
        self.placement = placement(name, pool)
        if isinstance(pool, EksPool):
            # The settings have EKS pools on EKS clusters only.
            eks = cast("EksConnection", connection.eks)
            generation, built_in = _provide(name, pool, eks, connection, folders, pods_per_gpu, self)
            self.placement = replace(
                self.placement,
                node_selector={**self.placement.node_selector, GENERATION_LABEL: generation},
                built_in_plugin=built_in,
            )
        self.register_outputs({"nodeSelector": self.placement.node_selector})


def gpu_pools(settings: Settings, connection: Connection, opts: pulumi.ResourceOptions) -> dict[str, GpuNodePool]:
    """The pools of the settings by name, with the roles that they share."""
    autoscalers = {pool.autoscaler for pool in settings.gpu_pools.values() if isinstance(pool, EksPool)}
    if connection.eks is not None and autoscalers:
        from components.aws.gpu_node_roles import with_node_roles  # noqa: PLC0415 - as in _provide

        eks = with_node_roles(connection.eks, settings.cluster.name, autoscalers)
        connection = replace(connection, eks=eks)
    slices = settings.device_plugin.time_slicing
    return {
        name: GpuNodePool(name, pool, connection, folders=settings.node_folders, pods_per_gpu=slices, opts=opts)
        for name, pool in settings.gpu_pools.items()
    }


def placement(name: str, pool: GpuPool) -> Placement:
    """The labels to select, the taint to tolerate and the runtime to ask for."""
    selector = pool.node_selector if isinstance(pool, ExistingPool) else None
    return Placement(
        node_selector=dict(selector or {POOL_LABEL: name}),
        toleration=pod.toleration(pool.taint),
        runtime_class=pool.runtime_class,
    )


def _provide(
    name: str,
    pool: EksPool,
    eks: EksConnection,
    connection: Connection,
    folders: Sequence[str],
    pods_per_gpu: int,
    parent: pulumi.Resource,
) -> tuple[pulumi.Output[str], bool]:
    """The generation of the nodes, told by what provides them, and whether they bring the device plugin.

    Who selects the generation waits for these nodes, and the nodes before them go only after whoever did: new nodes
    first, then the replicas by surge, then an empty pool is deleted.
    """
    from components.aws import karpenter, node_group  # noqa: PLC0415 - half a second that only EKS pools need

    if pool.autoscaler == "karpenter":
        node_pool = karpenter.node_pool(name, pool, eks, folders=folders, after=connection.depends_on, parent=parent)
        return node_pool.metadata["labels"][GENERATION_LABEL], eks.auto_mode or pool.ami == "bottlerocket"
    group = node_group.node_group(
        name, pool, eks, folders=folders, pods_per_gpu=pods_per_gpu, after=connection.depends_on, parent=parent
    )
    labels = cast("pulumi.Output[dict[str, str]]", group.labels)
    return labels[GENERATION_LABEL], pool.ami == "bottlerocket"
