"""Generations of a pool: nodes that differ in what no node can change while it runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import pulumi

from components.aws.connection import EksConnection
from components.gpu_node_pool import GENERATION_LABEL
from components.settings import EksPool
from components.volume import POOL_LABEL


def generation(pool: EksPool, eks: EksConnection, folders: Sequence[str], fixed: Mapping[str, str]) -> str:
    """Eight hexadecimal digits of what makes other nodes necessary; `fixed` is what else the provider cannot change.

    Subnets count by their ids where the settings have them, else by their zones. An AMI release counts unless EKS is to
    change it under the nodes.
    """
    content = [
        pool.autoscaler,
        eks.auto_mode,
        pool.instance_types,
        pool.ami,
        pool.ami_release if pool.updates == "replace" else None,
        pool.capacity,
        pool.reservation,
        [subnet if isinstance(subnet, str) else zone for zone, subnet in sorted(_subnets(pool, eks).items())],
        pool.disk.model_dump(),
        pool.instance_store,
        sorted(folders) if pool.instance_store else [],
        pool.efa,
        sorted(fixed.items()),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]


def subnet_ids(pool: EksPool, eks: EksConnection) -> list[pulumi.Input[str]]:
    """The private subnets of the pool's zones."""
    return [subnet for _, subnet in sorted(_subnets(pool, eks).items())]


def _subnets(pool: EksPool, eks: EksConnection) -> dict[str, pulumi.Input[str]]:
    return {zone: eks.subnets[zone] for zone in pool.zones}


def labels(name: str, pool: EksPool) -> dict[str, str]:
    """Labels of the nodes, without their generation; the zone's is the kubelet's own.

    The accelerator's tells the cluster autoscaler that a node will have GPUs: it waits for them, and does not add
    another node meanwhile. The value is any. NVIDIA's are those of its feature discovery, which is not needed for them.
    """
    product = pool.facts_of_type.product
    return {
        "k8s.amazonaws.com/accelerator": product,
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": product,
        **pool.labels,
        POOL_LABEL: name,
    }


def with_generation(labels: Mapping[str, str], digest: str) -> dict[str, str]:
    """All labels of the nodes."""
    return {**labels, GENERATION_LABEL: digest}
