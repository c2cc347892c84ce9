"""What a node has for the models' pods, beside kubelet, kernel and DaemonSets; for nodes of EC2 by documented formulas.

    memory  92.5 % of the instance's, as Karpenter reckons before it has seen a node (VM_MEMORY_OVERHEAD_PERCENT), less
            255 MiB and 11 MiB for each pod that there may be (kubelet), and 100 MiB that eviction keeps free
    CPUs    less 6 % of the first, 1 % of the second, 0.5 % of two more and 0.25 % of all further ones (kubelet)

Sources: https://karpenter.sh/docs/reference/settings/, https://github.com/awslabs/amazon-eks-ami (nodeadm), and for the
number of pods https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from claims.parts import MIB, gib, setting
from components.packing import Amount
from components.settings import EksPool, GpuPool, Model, Resources, Settings, size_bytes
from components.settings.types import cpus
from components.surge import replaced

SEEN_BY_LINUX: Final = Fraction(925, 1000)
EVICTION: Final = 100 * MIB
KUBELET: Final = 255 * MIB
KUBELET_A_POD: Final = 11 * MIB
SMALL_VCPUS: Final = 30
PODS: Final = (110, 250)
"""Pods at most on nodes below and from 30 vCPUs on."""
SHARES_OF_CPUS: Final = ((1, Fraction(6, 100)), (1, Fraction(1, 100)), (2, Fraction(5, 1000)))
SHARE_OF_FURTHER_CPUS: Final = Fraction(25, 10_000)
AWS_DAEMONS: Final = Amount(gpus=0, cpus=0.25, memory=256 * MIB)
"""Requests of the VPC CNI, kube-proxy, the CSI drivers and the agents, with some room."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a node has for pods, and how it comes about."""

    amount: Amount
    line: str


def room_of(settings: Settings, pool: GpuPool) -> Room | None:
    """What a node of the pool has for the models' pods; None where the settings do not say."""
    gpus = pool.gpu.count * settings.device_plugin.time_slicing
    ours = list(_daemons(settings))
    if isinstance(pool, EksPool):
        whole = Amount(gpus=gpus, cpus=pool.vcpus, memory=pool.memory_mib * MIB)
        kubelet = Amount(gpus=0, cpus=_kubelet_cpus(pool.vcpus), memory=_kubelet_memory(pool.vcpus))
        linux = f"{gib(whole.memory)} x {float(SEEN_BY_LINUX):.1%}"
        whole = Amount(gpus=gpus, cpus=whole.cpus, memory=float(whole.memory * SEEN_BY_LINUX))
        name, daemons = pool.instance_type, [AWS_DAEMONS, *ours]
        kept = f" - {kubelet.cpus:.2f} (kubelet)", f" - {gib(kubelet.memory)} (kubelet, eviction)"
    elif pool.allocatable is not None:
        given = pool.allocatable
        whole = Amount(gpus=gpus, cpus=cpus(given.cpu), memory=size_bytes(given.memory))
        kubelet, linux, name, daemons = Amount(gpus=0), gib(whole.memory), "the pool (allocatable)", ours
        kept = "", ""
    else:
        return None
    left = whole.without(kubelet)
    for each in daemons:
        left = left.without(each)
    theirs = Amount(gpus=0, cpus=sum(each.cpus for each in daemons), memory=sum(each.memory for each in daemons))
    line = (
        f"a node of {name}: {whole.cpus:g} CPUs{kept[0]} - {theirs.cpus:.2f} (DaemonSets) = {left.cpus:.2f} CPUs; "
        f"{linux}{kept[1]} - {gib(theirs.memory)} (DaemonSets) = {gib(left.memory)}"
    )
    return Room(amount=left, line=line)


def for_pods(settings: Settings, pool: GpuPool) -> Amount:
    """What a node of the pool has for the models' pods; without bounds where the settings do not say."""
    room = room_of(settings, pool)
    gpus = pool.gpu.count * settings.device_plugin.time_slicing
    return Amount(gpus=gpus, cpus=math.inf, memory=math.inf) if room is None else room.amount


def pods_of(model: Model, replicas: int) -> list[Amount]:
    """What each pod of so many replicas requests."""
    return [requested(model.resources, model.gpus)] * (replicas * model.nodes_per_replica)


def _daemons(settings: Settings) -> Iterator[Amount]:
    """Those of this program; where a node brings a device plugin of its own, that takes about as much."""
    plugin = settings.device_plugin
    if plugin.enabled:
        yield requested(plugin.resources)
    if plugin.dcgm_exporter:
        from components.dcgm_exporter import RESOURCES  # noqa: PLC0415 - Kubernetes' resource types take a second

        yield requested(RESOURCES)


def requested(resources: Resources, gpus: int = 0) -> Amount:
    """What a container requests."""
    return Amount(gpus=gpus, cpus=cpus(resources.requests.cpu), memory=size_bytes(resources.requests.memory))


def _kubelet_cpus(vcpus: int) -> float:
    reserved, left = Fraction(0), vcpus
    for count, share in SHARES_OF_CPUS:
        reserved += min(count, left) * share
        left -= min(count, left)
    return float(reserved + left * SHARE_OF_FURTHER_CPUS)


def _kubelet_memory(vcpus: int) -> int:
    return KUBELET + KUBELET_A_POD * PODS[vcpus >= SMALL_VCPUS] + EVICTION


def running(models: Iterable[Model]) -> list[Amount]:
    """The pods of all replicas that there may be of some models."""
    return [pod for model in models for pod in pods_of(model, replaced(model))]


def larger(name: str, pool: GpuPool, nodes: int) -> str:
    """The change that gives a pool so many nodes."""
    return setting(f"gpuPools.{name}.{'max' if isinstance(pool, EksPool) else 'nodes'}", nodes)
