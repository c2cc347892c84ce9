"""What Karpenter's controller may do. Pure, so that it is tested statement by statement."""

from __future__ import annotations

import pulumi

from components.aws.policies import Document, allow, document, partition


def karpenter_policy(cluster: str, region: str, node_role: pulumi.Input[str]) -> Document:
    """Starts, tags and ends instances of this cluster's node pools, with `node_role` (an ARN) and no other role.

    From Karpenter's documentation, without the interruption queue, which is not made.
    """
    ec2, iam = (f"arn:{partition(region)}:ec2:{region}", f"arn:{partition(region)}:iam::*:instance-profile/*")
    owned, tagged = f"kubernetes.io/cluster/{cluster}", "eks:eks-cluster-name"
    made = ("fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request")
    creation = {f"aws:RequestTag/{owned}": "owned", f"aws:RequestTag/{tagged}": cluster}
    pool = "karpenter.sh/nodepool"
    owner = {"aws:ResourceTag/topology.kubernetes.io/region": region, f"aws:ResourceTag/{owned}": "owned"}
    profile = {**creation, "aws:RequestTag/topology.kubernetes.io/region": region}
    of_class = "karpenter.k8s.aws/ec2nodeclass"
    return document(
        allow(
            "ec2:RunInstances",
            "ec2:CreateFleet",
            on=[f"{ec2}::{kind}/*" for kind in ("image", "snapshot")]
            + [f"{ec2}:*:{kind}/*" for kind in ("security-group", "subnet", "capacity-reservation")],
        ),
        allow(
            "ec2:RunInstances",
            "ec2:CreateFleet",
            on=f"{ec2}:*:launch-template/*",
            equals={f"aws:ResourceTag/{owned}": "owned"},
            like={f"aws:ResourceTag/{pool}": "*"},
        ),
        allow(
            "ec2:RunInstances",
            "ec2:CreateFleet",
            "ec2:CreateLaunchTemplate",
            on=[f"{ec2}:*:{kind}/*" for kind in made],
            equals=creation,
            like={f"aws:RequestTag/{pool}": "*"},
        ),
        allow(
            "ec2:CreateTags",
            on=[f"{ec2}:*:{kind}/*" for kind in made],
            equals={**creation, "ec2:CreateAction": ["RunInstances", "CreateFleet", "CreateLaunchTemplate"]},
            like={f"aws:RequestTag/{pool}": "*"},
        ),
        allow(
            "ec2:CreateTags",
            on=f"{ec2}:*:instance/*",
            equals={f"aws:ResourceTag/{owned}": "owned"},
            like={f"aws:ResourceTag/{pool}": "*"},
            StringEqualsIfExists={f"aws:RequestTag/{tagged}": cluster},
            **{"ForAllValues:StringEquals": {"aws:TagKeys": [tagged, "karpenter.sh/nodeclaim", "Name"]}},
        ),
        allow(
            "ec2:TerminateInstances",
            "ec2:DeleteLaunchTemplate",
            on=[f"{ec2}:*:{kind}/*" for kind in ("instance", "launch-template")],
            equals={f"aws:ResourceTag/{owned}": "owned"},
            like={f"aws:ResourceTag/{pool}": "*"},
        ),
        allow(
            "ec2:DescribeCapacityReservations",
            "ec2:DescribeImages",
            "ec2:DescribeInstanceStatus",
            "ec2:DescribeInstanceTypeOfferings",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeInstances",
            "ec2:DescribeLaunchTemplates",
            "ec2:DescribePlacementGroups",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSpotPriceHistory",
            "ec2:DescribeSubnets",
            equals={"aws:RequestedRegion": region},
        ),
        allow("ssm:GetParameter", on=f"arn:{partition(region)}:ssm:{region}::parameter/aws/service/*"),
        allow("pricing:GetProducts", "iam:ListInstanceProfiles"),
        allow("eks:DescribeCluster", on=f"arn:{partition(region)}:eks:{region}:*:cluster/{cluster}"),
        allow(
            "iam:PassRole",
            on=node_role,
            equals={"iam:PassedToService": ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"]},
        ),
        allow("iam:GetRole", on=node_role),
        allow("iam:GetInstanceProfile", on=iam),
        allow("iam:CreateInstanceProfile", on=iam, equals=profile, like={f"aws:RequestTag/{of_class}": "*"}),
        allow(
            "iam:TagInstanceProfile",
            on=iam,
            equals={**owner, **profile},
            like={f"aws:ResourceTag/{of_class}": "*", f"aws:RequestTag/{of_class}": "*"},
        ),
        allow(
            "iam:AddRoleToInstanceProfile",
            "iam:RemoveRoleFromInstanceProfile",
            "iam:DeleteInstanceProfile",
            on=iam,
            equals=owner,
            like={f"aws:ResourceTag/{of_class}": "*"},
        ),
    )
