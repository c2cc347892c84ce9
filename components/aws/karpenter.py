"""GPU nodes that Karpenter provides: https://karpenter.sh/docs/concepts/. EKS Auto Mode is Karpenter run by AWS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from components.aws.connection import EksConnection
from components.aws.generation import generation, labels, subnet_ids, with_generation
from components.aws.launch_template import DEVICES
from components.aws.user_data import script
from components.gpu_node_pool import GENERATION_LABEL
from components.pod import MANAGED_BY
from components.settings import EksPool, taint_parts

CAPACITY_TYPES: Final = {"ON_DEMAND": "on-demand", "SPOT": "spot", "CAPACITY_BLOCK": "reserved"}
AUTO_MODE_LIFE: Final = "504h"
"""21 days, the longest that Auto Mode lets a node live."""
TIMEOUTS: Final = pulumi.CustomTimeouts(delete="60m")
"""Deletion waits until nodes are drained and their instances have ended, which takes large ones many minutes."""


class CustomResource(k8s.apiextensions.CustomResource):
    """Pulumi's own, whose metadata are there at run time, but not for a type checker."""

    metadata: pulumi.Output[Any]


def node_pool(
    name: str,
    pool: EksPool,
    eks: EksConnection,
    *,
    folders: Sequence[str],
    after: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> CustomResource:
    """A NodePool named after its generation and, but for Auto Mode, its EC2NodeClass.

    Karpenter has to be there already where the cluster is, and be allowed to pass on the role of the nodes; where this
    program made the cluster it has installed both. `min` has no counterpart: the last node goes when it is empty. Nodes
    have the tags that the settings had when their generation began, since other ones would make them drift.
    """
    node_labels = labels(name, pool)
    digest = generation(name, pool, eks, folders)
    full_name = f"{name}-{digest}"
    metadata = k8s.meta.v1.ObjectMetaArgs(name=full_name, labels={**MANAGED_BY, GENERATION_LABEL: digest})
    if eks.auto_mode:
        node_class: pulumi.Input[str] = "default"
        opts = pulumi.ResourceOptions(parent=parent, depends_on=list(after), custom_timeouts=TIMEOUTS)
    else:
        nodes = eks.node_roles[pool.autoscaler]
        made = CustomResource(
            full_name,
            api_version="karpenter.k8s.aws/v1",
            kind="EC2NodeClass",
            metadata=metadata,
            spec=node_class_spec(full_name, pool, eks, role=nodes.name, folders=folders),
            opts=pulumi.ResourceOptions(
                parent=parent,
                # The role's nodes may join before there are any, and the kinds are there before their objects.
                depends_on=[*nodes.grants, *after],
                custom_timeouts=TIMEOUTS,
                ignore_changes=["spec.tags"],
            ),
        )
        node_class = made.metadata["name"]
        opts = pulumi.ResourceOptions(parent=parent, custom_timeouts=TIMEOUTS)
    return CustomResource(
        full_name,
        api_version="karpenter.sh/v1",
        kind="NodePool",
        metadata=metadata,
        spec=node_pool_spec(pool, with_generation(node_labels, digest), node_class=node_class, auto_mode=eks.auto_mode),
        opts=opts,
    )


def node_pool_spec(
    pool: EksPool, labels: dict[str, str], *, node_class: pulumi.Input[str], auto_mode: bool
) -> dict[str, Any]:
    """Which nodes, how many, and when they go: only when they are empty, so that no stream is cut.

    A node whose class has changed since (a newer AMI) stays until it is empty, unless the pool is updated in place.
    """
    group, kind = ("eks.amazonaws.com", "NodeClass") if auto_mode else ("karpenter.k8s.aws", "EC2NodeClass")
    drifting = "0" if pool.updates == "replace" else str(pool.max_unavailable)
    capacity = "reserved" if pool.reservation else CAPACITY_TYPES[pool.capacity]
    return {
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "nodeClassRef": {"group": group, "kind": kind, "name": node_class},
                "requirements": [
                    _one_of("node.kubernetes.io/instance-type", pool.instance_types),
                    _one_of("topology.kubernetes.io/zone", pool.zones),
                    _one_of("karpenter.sh/capacity-type", [capacity]),
                ],
                "taints": [taint_parts(pool.taint)],
                "expireAfter": AUTO_MODE_LIFE if auto_mode else "Never",
            },
        },
        # Karpenter counts resources, not nodes.
        "limits": {"nvidia.com/gpu": str(pool.max * pool.gpu.count)},
        "disruption": {
            "consolidationPolicy": "WhenEmpty",
            # As long as the cluster autoscaler waits: a replica that comes back finds its image there.
            "consolidateAfter": "10m",
            "budgets": [{"nodes": drifting, "reasons": ["Drifted"]}],
        },
    }


def node_class_spec(
    name: str,
    pool: EksPool,
    eks: EksConnection,
    *,
    role: pulumi.Input[str],
    folders: Sequence[str],
) -> dict[str, Any]:
    """What the nodes are made of; Karpenter picks the AMI's NVIDIA variant by the instance type."""
    spec: dict[str, Any] = {
        "amiSelectorTerms": [{"alias": alias(pool)}],
        "role": role,
        "subnetSelectorTerms": [{"id": subnet} for subnet in subnet_ids(pool, eks)],
        "securityGroupSelectorTerms": [{"id": eks.security_group_id}],
        "blockDeviceMappings": [{"deviceName": DEVICES[pool.ami], "rootVolume": True, "ebs": _disk(pool)}],
        "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
        "tags": {**eks.tags, **pool.tags, "Name": name},
    }
    if pool.reservation:
        spec["capacityReservationSelectorTerms"] = [{"id": pool.reservation}]
    if pool.instance_store:
        spec["instanceStorePolicy"] = "RAID0"
    if pool.instance_store and folders:
        spec["userData"] = script(folders)
    return spec


def alias(pool: EksPool) -> str:
    """The AMI by its family and the part of an EKS release that Karpenter knows it by.

    `1.34.1-20251112` of AL2023 is `al2023@v20251112`, `1.49.0-a1b2c3d4` of Bottlerocket `bottlerocket@v1.49.0`.
    """
    if pool.ami_release is None:
        return f"{pool.ami}@latest"
    version, _, build = pool.ami_release.partition("-")
    return f"{pool.ami}@v{build if pool.ami == 'al2023' else version}"


def _disk(pool: EksPool) -> dict[str, Any]:
    rates = {"iops": pool.disk.iops, "throughput": pool.disk.throughput_mbps}
    return {
        "volumeSize": f"{pool.disk.size_gib}Gi",
        "volumeType": "gp3",
        "encrypted": True,
        "deleteOnTermination": True,
        **{key: value for key, value in rates.items() if value is not None},
    }


def _one_of(key: str, values: Sequence[str]) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": list(values)}
