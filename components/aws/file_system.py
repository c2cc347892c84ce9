"""What EFS and FSx for Lustre have in common: tags, and a security group that lets the nodes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.aws.connection import EksConnection


@dataclass(frozen=True, kw_only=True)
class SecurityGroups:
    """Security groups of a file system, and the rules without which they let nobody in."""

    ids: list[pulumi.Input[str]]
    rules: list[pulumi.Resource]


def named(name: str, eks: EksConnection) -> dict[str, pulumi.Input[str]]:
    """The cluster's tags, and the name that the console shows."""
    return {**eks.tags, "Name": pulumi.Output.concat(eks.name, "-", name)}


def security_groups(
    name: str,
    given: Sequence[str],
    eks: EksConnection,
    *,
    ports: Sequence[tuple[int, int]],
    peers: bool = False,
    parent: pulumi.Resource,
) -> SecurityGroups:
    """The user's security groups, or one that the cluster's nodes reach by TCP at the port ranges.

    `peers`: the file system's servers also talk to each other and to the nodes, at the same ports.
    """
    if given:
        return SecurityGroups(ids=list(given), rules=[])
    opts = pulumi.ResourceOptions(parent=parent)
    own = aws.ec2.SecurityGroup(
        name, description="Weights, for the nodes of the cluster", vpc_id=eks.vpc_id, tags=named(name, eks), opts=opts
    )
    nodes = eks.security_group_id
    # From the first to the second; rules are stateful, so that answers need none.
    ways: dict[str, tuple[pulumi.Input[str], pulumi.Input[str]]] = {"nodes": (nodes, own.id)}
    if peers:
        ways |= {"servers": (own.id, own.id), "back": (own.id, nodes)}
    rules: list[pulumi.Resource] = [
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-{way}-{first}",
            security_group_id=to,
            referenced_security_group_id=source,
            ip_protocol="tcp",
            from_port=first,
            to_port=last,
            tags=named(name, eks),
            opts=opts,
        )
        for way, (source, to) in ways.items()
        for first, last in ports
    ]
    if peers:
        rules += [
            aws.vpc.SecurityGroupEgressRule(
                f"{name}-{way}",
                security_group_id=own.id,
                referenced_security_group_id=to,
                ip_protocol="-1",
                tags=named(name, eks),
                opts=opts,
            )
            for way, (source, to) in ways.items()
            if source is own.id
        ]
    return SecurityGroups(ids=[own.id], rules=rules)
