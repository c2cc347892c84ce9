"""A pool of GPU nodes, and what a pod needs to run on them."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components import pod
from components.settings import GpuPool


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What puts a pod on the nodes of a pool."""

    node_selector: dict[str, str]
    toleration: k8s.core.v1.TolerationArgs
    runtime_class: str | None


class GpuNodePool(pulumi.ComponentResource):
    """Nodes that are there already: nothing to create, only to be found and tolerated."""

    placement: Placement

    def __init__(self, name: str, settings: GpuPool, *, opts: pulumi.ResourceOptions | None = None) -> None:
        """Describe the pool."""
        super().__init__("inference:index:GpuNodePool", name, None, opts)
        self.placement = placement(name, settings)
        self.register_outputs({"nodeSelector": self.placement.node_selector})


def placement(name: str, pool: GpuPool) -> Placement:
    """The labels to select, the taint to tolerate and the runtime to ask for."""
    return Placement(
        node_selector=dict(pool.node_selector or {"inference/gpu-pool": name}),
        toleration=pod.toleration(pool.taint),
        runtime_class=pool.runtime_class,
    )
