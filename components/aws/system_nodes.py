"""The nodes without GPUs: CoreDNS, controllers and the seeding Jobs run there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
import pulumi_aws as aws

from components.aws.network import Network
from components.aws.roles import node_role
from components.settings import SystemNodes

LABELS: Final = {"inference/node-role": "system"}


def system_nodes(
    cluster_name: str,
    settings: SystemNodes,
    cluster: aws.eks.Cluster,
    network: Network,
    *,
    region: str,
    after: Sequence[pulumi.Resource],
    tags: Mapping[str, str],
    parent: pulumi.Resource,
) -> aws.eks.NodeGroup:
    """The node group, which starts when the network and `after` are there.

    The number of nodes is the autoscaler's: the state is refreshed before an update (Pulumi.yaml), which so sends the
    number that there is; EKS refuses a `min` above it until the group has grown.
    """
    name = f"{cluster_name}-system"
    identity = node_role(name, region=region, tags=tags, parent=parent)
    return aws.eks.NodeGroup(
        name,
        cluster_name=cluster.name,
        node_role_arn=identity.arn,
        subnet_ids=list(network.private_subnets.values()),
        ami_type="AL2023_x86_64_STANDARD",
        # With the control plane's version as input an upgrade of it upgrades the nodes after it.
        version=cluster.version,
        instance_types=list(settings.instance_types),
        disk_size=settings.disk_gib,
        labels=LABELS,
        scaling_config=aws.eks.NodeGroupScalingConfigArgs(
            min_size=settings.min, max_size=settings.max, desired_size=settings.min
        ),
        update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
        node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
        tags={**tags, "Name": name},
        opts=pulumi.ResourceOptions(
            parent=parent,
            # A node joins by way of the NAT gateway, with its role's policies, and is ready with a CNI.
            depends_on=[network, *identity.grants, *after],
            # The autoscaler's, as the state has it. And the subnets of the zones that the cluster was created with: a
            # group with others is another group, and a zone is added for GPU nodes.
            ignore_changes=["scalingConfig.desiredSize", "subnetIds"],
        ),
    )
