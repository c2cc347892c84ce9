"""The EKS add-ons of a created cluster, each with no more rights than it needs."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.aws import policies
from components.aws.roles import pod_role


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The service account of an add-on that calls AWS, and the managed policy that it needs."""

    role: str
    """The end of the role's name, of which 64 characters are left to it and the cluster's."""
    service_account: str
    policy: str


IDENTITIES: Final = {
    "vpc-cni": Identity(role="vpc-cni", service_account="aws-node", policy="AmazonEKS_CNI_Policy"),
    # The first version's policy reaches every volume of the account, this one those of the driver.
    "aws-ebs-csi-driver": Identity(
        role="ebs-csi", service_account="ebs-csi-controller-sa", policy="AmazonEBSCSIDriverPolicyV2"
    ),
    "aws-efs-csi-driver": Identity(
        role="efs-csi", service_account="efs-csi-controller-sa", policy="service-role/AmazonEFSCSIDriverPolicy"
    ),
}
"""Who calls AWS. The FSx driver does not: its file systems are this program's, and it only mounts them."""

BEFORE_NODES: Final = ("eks-pod-identity-agent", "vpc-cni", "kube-proxy")
"""In their order: the CNI gets its credentials from the agent, and no node is ready without a CNI.

Agent and CNI both use the host's network and tolerate every taint, so that neither waits for the other to have one.
A node role with the CNI's policy would work without the agent, and would give it to every pod that reaches the node's
metadata service.
"""

ON_NODES: Final = ("coredns", "aws-ebs-csi-driver", "eks-node-monitoring-agent")
"""Those that EKS calls degraded until their pods run. The last sees a broken GPU, which node repair then replaces."""

DRIVERS: Final = {"efs": "aws-efs-csi-driver", "fsx": "aws-fsx-csi-driver"}
"""Those that a kind of storage needs."""

CONFIGURATION: Final[Mapping[str, Mapping[str, object]]] = {
    # Without it every NetworkPolicy is taken and none is enforced.
    "vpc-cni": {"enableNetworkPolicy": "true"},
    # Its part that asks the GPUs tolerates nothing by itself, and GPU nodes are tainted.
    "eks-node-monitoring-agent": {"dcgmAgent": {"tolerations": [{"operator": "Exists"}]}},
}
"""Options other than the add-on's own, by the schema that `aws eks describe-addon-configuration` shows."""


def on_nodes(storage_kinds: Collection[str], versions: Mapping[str, str]) -> list[str]:
    """Names of the add-ons that start when there are nodes, with those that only the settings' versions name."""
    wanted = [*ON_NODES, *(driver for kind, driver in DRIVERS.items() if kind in storage_kinds)]
    return [*wanted, *sorted(set(versions) - {*wanted, *BEFORE_NODES})]


def addon(
    name: str,
    cluster: aws.eks.Cluster,
    *,
    cluster_name: str,
    region: str,
    version: str | None,
    tags: Mapping[str, str],
    parent: pulumi.Resource,
    after: Sequence[pulumi.Resource],
) -> aws.eks.Addon:
    """One add-on; without a version EKS takes its default for the cluster's."""
    identity = IDENTITIES.get(name)
    role = identity and pod_role(
        f"{cluster_name}-{identity.role}",
        cluster=cluster_name,
        service_account=identity.service_account,
        managed=[policies.managed(region, identity.policy)],
        tags=tags,
        parent=parent,
    )
    associations = (
        [aws.eks.AddonPodIdentityAssociationArgs(role_arn=role.arn, service_account=identity.service_account)]
        if role and identity
        else None
    )
    return aws.eks.Addon(
        f"{cluster_name}-{name}",
        cluster_name=cluster.name,
        addon_name=name,
        addon_version=version,
        configuration_values=json.dumps(CONFIGURATION[name]) if name in CONFIGURATION else None,
        pod_identity_associations=associations,
        # What an earlier installation left makes way: the settings say what the add-on is.
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[*after, *(role.grants if role else ())]),
    )
