"""Launch templates, for what a managed node group cannot say itself. The only module of a pool that uses aws.ec2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_aws as aws

from components.aws.connection import EksConnection
from components.aws.user_data import user_data
from components.settings import EksPool

DEVICES: Final = {"al2023": "/dev/xvda", "bottlerocket": "/dev/xvdb"}
"""The volume with images and scratch; Bottlerocket's system has another one to itself."""


def needs_template(pool: EksPool) -> bool:
    """Whether the pool asks for anything that only a template can say.

    Bottlerocket does: its AMI leaves open whether metadata need a session (IMDSv2), AL2023's demands it.
    """
    return bool(
        pool.ami == "bottlerocket"
        or pool.disk.iops
        or pool.disk.throughput_mbps
        or pool.instance_store
        or pool.efa
        or pool.reservation
        or pool.tags
    )


def launch_template(
    name: str, pool: EksPool, eks: EksConnection, *, folders: Sequence[str], parent: pulumi.Resource
) -> aws.ec2.LaunchTemplate:
    """The template of one generation; EKS adds image, the cluster's security group and how to join.

    All that it says is in the generation, because a group whose template changes is drained node by node.
    """
    tags = {**eks.tags, **pool.tags, "Name": name}
    block = pool.capacity == "CAPACITY_BLOCK"
    return aws.ec2.LaunchTemplate(
        name,
        description=f"Nodes of the GPU pool {name}",
        instance_type=pool.instance_type if block else None,
        instance_market_options=aws.ec2.LaunchTemplateInstanceMarketOptionsArgs(market_type="capacity-block")
        if block
        else None,
        capacity_reservation_specification=_reservation(pool.reservation) if pool.reservation else None,
        block_device_mappings=[_disk(pool)],
        metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint="enabled",
            http_tokens="required",
            # Pods are a hop further away: they get no credentials of their node.
            http_put_response_hop_limit=1,
        ),
        network_interfaces=_interfaces(name, pool, eks, parent) if pool.efa else None,
        user_data=user_data(folders) if pool.instance_store else None,
        tag_specifications=[
            aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags)
            for kind in ("instance", "volume", "network-interface")
        ],
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def efa_security_group(
    name: str, eks: EksConnection, *, tags: dict[str, str], parent: pulumi.Resource
) -> aws.ec2.SecurityGroup:
    """A group whose members may send each other anything: EFA's traffic passes no rule that names addresses.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start.html.
    """
    group = aws.ec2.SecurityGroup(
        f"{name}-efa",
        description=f"EFA traffic between nodes of the GPU pool {name}",
        vpc_id=eks.vpc_id,
        tags={**tags, "Name": f"{name}-efa"},
        opts=pulumi.ResourceOptions(parent=parent),
    )
    below = pulumi.ResourceOptions(parent=group)
    for rule in (aws.vpc.SecurityGroupIngressRule, aws.vpc.SecurityGroupEgressRule):
        rule(
            f"{name}-efa",
            security_group_id=group.id,
            referenced_security_group_id=group.id,
            ip_protocol="-1",
            tags=tags,
            opts=below,
        )
    return group


def _disk(pool: EksPool) -> aws.ec2.LaunchTemplateBlockDeviceMappingArgs:
    return aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
        device_name=DEVICES[pool.ami],
        ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
            volume_size=pool.disk.size_gib,
            volume_type="gp3",
            iops=pool.disk.iops,
            throughput=pool.disk.throughput_mbps,
            encrypted="true",
            delete_on_termination="true",
        ),
    )


def _reservation(reservation: str) -> aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs:
    """Instances that fit into the reservation only: one that is full starts none elsewhere at another price."""
    return aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs(
        capacity_reservation_target=aws.ec2.LaunchTemplateCapacityReservationSpecificationCapacityReservationTargetArgs(
            capacity_reservation_id=reservation
        )
    )


def _interfaces(
    name: str, pool: EksPool, eks: EksConnection, parent: pulumi.Resource
) -> list[aws.ec2.LaunchTemplateNetworkInterfaceArgs]:
    """One interface a network card: the first also carries IP, the others EFA alone, which costs no address.

    A template with interfaces has to name all groups itself.
    """
    tags = {**eks.tags, **pool.tags}
    groups = [eks.security_group_id, efa_security_group(name, eks, tags=tags, parent=parent).id]
    return [
        aws.ec2.LaunchTemplateNetworkInterfaceArgs(
            network_card_index=card,
            device_index=1 if card else 0,
            interface_type="efa-only" if card else "efa",
            security_groups=groups,
            delete_on_termination="true",
        )
        for card in range(pool.facts_of_type.efa_interfaces)
    ]
