"""IAM documents: who may assume a role, and what a controller may do. Pure, so that they are tested word by word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

Document = dict[str, Any]


def partition(region: str) -> str:
    """The part of an ARN that says which AWS a region belongs to."""
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")


def managed(region: str, policy: str) -> str:
    """ARN of a policy that AWS maintains."""
    return f"arn:{partition(region)}:iam::aws:policy/{policy}"


def service_trust(service: str) -> Document:
    """Lets an AWS service assume the role."""
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def pod_trust(cluster: pulumi.Input[str], namespace: pulumi.Input[str], service_account: str) -> Document:
    """Lets the pods of one service account of one cluster assume the role, by EKS Pod Identity.

    Pod Identity puts the tags into every session: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html.
    """
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {
                "StringEquals": {
                    "aws:RequestTag/eks-cluster-name": cluster,
                    "aws:RequestTag/kubernetes-namespace": namespace,
                    "aws:RequestTag/kubernetes-service-account": service_account,
                }
            },
        }
    )


def cluster_autoscaler(cluster: str, region: str) -> Document:
    """Reads what it discovers and scales the groups that EKS tagged for this cluster.

    From the autoscaler's README for AWS; EKS tags the group of every managed node group. DescribeNodegroup tells labels
    and taints of a group that has no node yet.
    """
    return document(
        allow(
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeAutoScalingInstances",
            "autoscaling:DescribeLaunchConfigurations",
            "autoscaling:DescribeScalingActivities",
            "autoscaling:DescribeTags",
            "ec2:DescribeImages",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeLaunchTemplateVersions",
            "ec2:GetInstanceTypesFromInstanceRequirements",
        ),
        allow("eks:DescribeNodegroup", on=f"arn:{partition(region)}:eks:{region}:*:nodegroup/{cluster}/*/*"),
        allow(
            "autoscaling:SetDesiredCapacity",
            "autoscaling:TerminateInstanceInAutoScalingGroup",
            on=f"arn:{partition(region)}:autoscaling:{region}:*:autoScalingGroup:*",
            equals={f"aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster}": "owned"},
        ),
    )


def document(*statements: Document) -> Document:
    """A policy of statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(
    *actions: str,
    on: pulumi.Input[str] | list[str] = "*",
    equals: Mapping[str, Any] | None = None,
    like: Mapping[str, str] | None = None,
    **conditions: Mapping[str, Any],
) -> Document:
    """A statement that allows `actions` on the resources `on`, where the tags and values in question are as said."""
    tests = {"StringEquals": equals, "StringLike": like, **conditions}
    condition = {operator: dict(test) for operator, test in tests.items() if test}
    return {
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": on,
        **({"Condition": condition} if condition else {}),
    }
