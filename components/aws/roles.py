"""IAM roles with the policies that they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws

from components.aws import policies


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role; who uses it depends on `grants`, because a reference to the role alone does not wait for its policies."""

    arn: pulumi.Output[str]
    name: pulumi.Output[str]
    grants: tuple[pulumi.Resource, ...]


def role(
    name: str,
    trust: policies.Document,
    *,
    description: str,
    tags: Mapping[str, str],
    parent: pulumi.Resource | None,
    managed: Sequence[str] = (),
    inline: policies.Document | None = None,
) -> Role:
    """A role named after `name` with a random end: role names are the whole account's, of all its regions.

    `managed` are ARNs of policies.
    """
    below = pulumi.ResourceOptions(parent=parent)
    made = aws.iam.Role(
        name,
        assume_role_policy=pulumi.Output.json_dumps(trust),
        description=description,
        tags=tags,
        opts=below,
    )
    attached = [
        aws.iam.RolePolicyAttachment(
            f"{name}-{arn.rsplit('/', 1)[-1]}", role=made.name, policy_arn=arn, opts=pulumi.ResourceOptions(parent=made)
        )
        for arn in managed
    ]
    own = (
        [
            aws.iam.RolePolicy(
                name,
                role=made.name,
                policy=pulumi.Output.json_dumps(inline),
                opts=pulumi.ResourceOptions(parent=made),
            )
        ]
        if inline
        else []
    )
    return Role(arn=made.arn, name=made.name, grants=(*attached, *own))


def node_role(
    name: str, *, region: str, tags: Mapping[str, str], parent: pulumi.Resource | None, vpc_cni: bool = False
) -> Role:
    """The role of nodes: join the cluster, hand out Pod Identity's credentials, pull images.

    `vpc_cni` adds what the VPC CNI needs, for clusters whose CNI has no role of its own. AL2023 describes its own
    instance when it joins, which AmazonEKSWorkerNodeMinimalPolicy does not allow.
    """
    names = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")
    dns_suffix = ".cn" if policies.partition(region) == "aws-cn" else ""
    return role(
        name,
        policies.service_trust(f"ec2.amazonaws.com{dns_suffix}"),
        description="Nodes of an EKS cluster",
        managed=[policies.managed(region, each) for each in (*names, *(["AmazonEKS_CNI_Policy"] if vpc_cni else []))],
        tags=tags,
        parent=parent,
    )


def karpenter_node_role(
    name: str,
    *,
    cluster: pulumi.Input[str],
    region: str,
    tags: Mapping[str, str],
    parent: pulumi.Resource | None,
    vpc_cni: bool = False,
) -> Role:
    """The role of nodes that no node group has started: for those of its groups EKS makes the access entry itself."""
    nodes = node_role(name, region=region, tags=tags, parent=parent, vpc_cni=vpc_cni)
    entry = aws.eks.AccessEntry(
        name,
        cluster_name=cluster,
        principal_arn=nodes.arn,
        type="EC2_LINUX",
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return replace(nodes, grants=(entry, *nodes.grants))


def pod_role(
    name: str,
    *,
    cluster: str,
    service_account: str,
    tags: Mapping[str, str],
    parent: pulumi.Resource,
    namespace: str = "kube-system",
    managed: Sequence[str] = (),
    inline: policies.Document | None = None,
) -> Role:
    """The role of one service account's pods."""
    return role(
        name,
        policies.pod_trust(cluster, namespace, service_account),
        description=f"Pods of {namespace}/{service_account} in the EKS cluster {cluster}",
        managed=managed,
        inline=inline,
        tags=tags,
        parent=parent,
    )


def associate(
    service_account: str,
    role: Role,
    *,
    cluster: pulumi.Input[str],
    namespace: str,
    tags: Mapping[str, str],
    parent: pulumi.Resource,
) -> tuple[pulumi.Resource, ...]:
    """Gives the service account its role; pods that start before it stay without for their whole life."""
    association = aws.eks.PodIdentityAssociation(
        service_account,
        cluster_name=cluster,
        namespace=namespace,
        service_account=service_account,
        role_arn=role.arn,
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return (association, *role.grants)
