"""The IAM role by which a seeder reads its prefix of a bucket, through EKS Pod Identity."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.aws import policies
from components.aws.connection import EksConnection
from components.aws.roles import role


def weights_role(
    name: str,
    location: str,
    account: str,
    *,
    namespace: pulumi.Input[str],
    eks: EksConnection,
    parent: pulumi.Resource,
) -> tuple[pulumi.Resource, ...]:
    """Let the pods of a service account read `location`, BUCKET/PREFIX; pods depend on what is returned.

    One that starts before stays without credentials for its whole life. Objects that are encrypted with a key of KMS
    other than S3's own need that key's leave too, which is not in the settings: give the seeder a `serviceAccount`.
    """
    made = role(
        f"{name}-weights",
        policies.pod_trust(eks.name, namespace, account),
        description=f"Seeder of the model {name}",
        inline=read_prefix(location, eks.region),
        tags=eks.tags,
        parent=parent,
    )
    association = aws.eks.PodIdentityAssociation(
        f"{name}-weights",
        cluster_name=eks.name,
        namespace=namespace,
        service_account=account,
        role_arn=made.arn,
        tags=eks.tags,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return (association, *made.grants)


def read_prefix(location: str, region: str) -> policies.Document:
    """Reads the objects below a prefix, and lists these alone."""
    bucket, _, prefix = location.partition("/")
    arn = f"arn:{policies.partition(region)}:s3:::{bucket}"
    return policies.document(
        policies.allow("s3:ListBucket", on=arn, like={"s3:prefix": f"{prefix}/*"}),
        policies.allow("s3:GetObject", on=f"{arn}/{prefix}/*"),
    )
