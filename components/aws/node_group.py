"""Managed node groups with GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_aws as aws

from components.aws.connection import EksConnection
from components.aws.generation import generation, labels, subnet_ids, with_generation
from components.aws.launch_template import launch_template, needs_template
from components.settings import EksPool, taint_parts

AMI_TYPES: Final = {"al2023": "AL2023_x86_64_NVIDIA", "bottlerocket": "BOTTLEROCKET_x86_64_NVIDIA"}
EFFECTS: Final = {
    "NoSchedule": "NO_SCHEDULE",
    "NoExecute": "NO_EXECUTE",
    "PreferNoSchedule": "PREFER_NO_SCHEDULE",
}
"""Kubernetes' effects of a taint in the spelling of the EKS API."""
TEMPLATE_TAG: Final = "k8s.io/cluster-autoscaler/node-template/resources"


def node_group(
    name: str,
    pool: EksPool,
    eks: EksConnection,
    *,
    folders: Sequence[str],
    pods_per_gpu: int,
    after: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> aws.eks.NodeGroup:
    """A node group named after its generation: what cannot change under running nodes is another group beside it.

    Without a launch template nodes have the AMI's own settings (AL2023: IMDSv2 with one hop), EKS's tags only, and a
    volume that is encrypted where the account encrypts by default. With one, instances have the tags that the settings
    had when their generation began. The number of nodes is the autoscaler's: the state is refreshed before an update
    (Pulumi.yaml), which so sends the number that there is; EKS refuses a `min` above it until the group has grown.
    """
    templated = needs_template(pool)
    tags = {**eks.tags, **pool.tags}
    digest = generation(name, pool, eks, folders)
    full_name = f"{name}-{digest}"
    nodes = eks.node_roles[pool.autoscaler]
    template = _reference(launch_template(full_name, pool, eks, folders=folders, parent=parent)) if templated else None
    return aws.eks.NodeGroup(
        full_name,
        node_group_name=full_name,
        cluster_name=eks.name,
        node_role_arn=nodes.arn,
        subnet_ids=subnet_ids(pool, eks),
        ami_type=AMI_TYPES[pool.ami],
        version=_version(pool, eks),
        release_version=pool.ami_release,
        capacity_type=pool.capacity,
        # A capacity block's type is the template's: EKS takes it from one place.
        instance_types=None if pool.capacity == "CAPACITY_BLOCK" else list(pool.instance_types),
        disk_size=None if templated else pool.disk.size_gib,
        launch_template=template,
        labels=with_generation(labels(name, pool), digest),
        taints=[taint(pool.taint)],
        scaling_config=aws.eks.NodeGroupScalingConfigArgs(min_size=pool.min, max_size=pool.max, desired_size=pool.min),
        update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=pool.max_unavailable),
        node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=pool.repair),
        tags={**tags, "Name": full_name, **template_tags(pool, pods_per_gpu)},
        opts=pulumi.ResourceOptions(
            parent=parent,
            # A node joins with its role's policies, and is ready with the cluster's CNI.
            depends_on=[*nodes.grants, *after],
            # The autoscaler's, as the state has it.
            ignore_changes=["scalingConfig.desiredSize"],
        ),
    )


def taint(text: str) -> aws.eks.NodeGroupTaintArgs:
    """A taint written `KEY[=VALUE]:EFFECT`, as EKS has it."""
    parts = taint_parts(text)
    return aws.eks.NodeGroupTaintArgs(key=parts["key"], value=parts["value"] or None, effect=EFFECTS[parts["effect"]])


def template_tags(pool: EksPool, pods_per_gpu: int) -> dict[str, str]:
    """What the cluster autoscaler has to be told of the first node of an empty group.

    It asks EKS for labels, taints and tags of a managed node group, and EC2 for CPUs, memory and GPUs. It knows nothing
    of disks, of which the kubelet keeps some 15 % back, and nothing of time slices, which Bottlerocket's plugin lacks.
    """
    facts = pool.facts_of_type
    gib = facts.nvme_gb * 10**9 // 2**30 if pool.instance_store else pool.disk.size_gib
    sliced = pods_per_gpu > 1 and pool.ami == "al2023"
    slices = {f"{TEMPLATE_TAG}/nvidia.com/gpu": str(facts.gpus * pods_per_gpu)} if sliced else {}
    return {f"{TEMPLATE_TAG}/ephemeral-storage": f"{gib * 85 // 100}Gi", **slices}


def _reference(template: aws.ec2.LaunchTemplate) -> aws.eks.NodeGroupLaunchTemplateArgs:
    return aws.eks.NodeGroupLaunchTemplateArgs(
        id=template.id, version=pulumi.Output.format("{0}", template.latest_version)
    )


def _version(pool: EksPool, eks: EksConnection) -> pulumi.Input[str] | None:
    """Kubernetes of nodes that EKS updates in place; others keep theirs, and new ones get the control plane's.

    A release of AL2023 begins with the version that it is for: 1.34.1-20251112.
    """
    if pool.updates == "replace":
        return None
    if pool.ami == "al2023" and pool.ami_release:
        return ".".join(pool.ami_release.split(".")[:2])
    return eks.version
