"""Launch templates, for what a managed node group cannot say itself. The only module of a pool that uses aws.ec2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from components.aws.connection import EksConnection
from components.aws.user_data import user_data
from components.settings import EksPool

DEVICES: Final = {"al2023": "/dev/xvda", "bottlerocket": "/dev/xvdb"}
"""The volume with images and scratch; Bottlerocket's system has another one to itself."""


def needs_template(pool: EksPool) -> bool:
    """Whether the pool asks for anything that only a template can say.

    Bottlerocket does: its AMI leaves open whether metadata need a session (IMDSv2), AL2023's demands it. Tags do not,
    because the first one would make other nodes.
    """
    return bool(
        pool.ami == "bottlerocket"
        or pool.disk.iops
        or pool.disk.throughput_mbps
        or pool.instance_store
        or pool.efa
        or pool.reservation
    )


def content(pool: EksPool, folders: Sequence[str]) -> dict[str, Any]:
    """All that a template says of new instances but for tags and security groups, which say nothing of a generation.

    It is plain, since its digest is part of the generation: a group whose template changes is drained node by node.
    """
    said = {
        "description": "Nodes of a GPU pool",
        "block_device_mappings": [_disk(pool)],
        # Pods are a hop further away: they get no credentials of their node.
        "metadata_options": {"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
    }
    if pool.capacity == "CAPACITY_BLOCK":
        said["instance_type"] = pool.instance_type
        said["instance_market_options"] = {"market_type": "capacity-block"}
    if pool.reservation:
        # Only instances that fit into it: one that is full starts none elsewhere at another price.
        target = {"capacity_reservation_id": pool.reservation}
        said["capacity_reservation_specification"] = {"capacity_reservation_target": target}
    if pool.efa:
        said["network_interfaces"] = _interfaces(pool)
    if pool.instance_store:
        said["user_data"] = user_data(folders)
    return said


def launch_template(
    name: str, pool: EksPool, eks: EksConnection, *, folders: Sequence[str], parent: pulumi.Resource
) -> aws.ec2.LaunchTemplate:
    """The template of one generation; EKS adds image, the cluster's security group and how to join.

    Its own tags follow the settings, those of instances, volumes and interfaces stay what they were when it was made:
    other ones would drain the nodes, so they come with the next generation.
    """
    tags = {**eks.tags, **pool.tags, "Name": name}
    said = content(pool, folders)
    if pool.efa:
        # A template with interfaces has to name all groups itself.
        trusted = efa_security_group(name, eks, tags={**eks.tags, **pool.tags}, parent=parent)
        groups = [eks.security_group_id, trusted.id]
        said["network_interfaces"] = [{**each, "security_groups": groups} for each in said["network_interfaces"]]
    return aws.ec2.LaunchTemplate(
        name,
        **said,
        tag_specifications=[
            aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags)
            for kind in ("instance", "volume", "network-interface")
        ],
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent, ignore_changes=["tagSpecifications"]),
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


def _disk(pool: EksPool) -> dict[str, Any]:
    rates = {"iops": pool.disk.iops, "throughput": pool.disk.throughput_mbps}
    return {
        "device_name": DEVICES[pool.ami],
        "ebs": {
            "volume_size": pool.disk.size_gib,
            "volume_type": "gp3",
            "encrypted": "true",
            "delete_on_termination": "true",
            **{key: value for key, value in rates.items() if value is not None},
        },
    }


def _interfaces(pool: EksPool) -> list[dict[str, Any]]:
    """One for IP, and one for EFA alone, which costs no address, on every card that has EFA.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-acc-inst-types.html. Alternatives have as many EFAs.
    """
    facts = pool.facts_of_type
    return [
        _interface(card=0, device=0, kind="interface"),
        # The first device of the first card is the one for IP.
        *(
            _interface(card=card, device=0 if card else 1, kind="efa-only")
            for card in range(facts.efa_card, facts.efa_card + facts.efa_interfaces)
        ),
    ]


def _interface(*, card: int, device: int, kind: str) -> dict[str, Any]:
    return {
        "network_card_index": card,
        "device_index": device,
        "interface_type": kind,
        "delete_on_termination": "true",
    }
