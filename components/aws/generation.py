"""Generations of a pool: nodes that differ in what no node can change while it runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.aws.connection import EksConnection
from components.aws.launch_template import content, needs_template
from components.aws.user_data import script
from components.gpu_node_pool import GENERATION_LABEL
from components.settings import EksPool
from components.volume import POOL_LABEL


def generation(name: str, pool: EksPool, eks: EksConnection, folders: Sequence[str]) -> str:
    """Eight hexadecimal digits of what makes other nodes necessary: of the pool, and for all that is bound to them.

    Subnets count by their ids where the settings have them, else by their zones. An AMI release counts unless EKS is to
    change it under the nodes. Of what is made of the pool that counts which running nodes would not get, or would be
    drained for. Tags do not count, here or there: nodes keep those that they started with.
    """
    said = [
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
        _made_of(name, pool, folders),
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8]


def _made_of(name: str, pool: EksPool, folders: Sequence[str]) -> Mapping[str, Any]:
    """What neither EKS nor Karpenter changes under running nodes; EKS does change labels."""
    if pool.autoscaler == "karpenter":
        start = script(folders) if pool.instance_store and folders else ""
        return {"labels": labels(name, pool), "script": start}
    return content(pool, folders) if needs_template(pool) else {}


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
