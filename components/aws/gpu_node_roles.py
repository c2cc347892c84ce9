"""The roles of GPU nodes: of all pools, because no pool has rights of its own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from components.aws.connection import EksConnection
from components.aws.roles import Role, karpenter_node_role, node_role

PREFIX: Final = 40
"""As much of the cluster's name as roles are named after: they have 64 characters, the last 8 of them random."""


def with_node_roles(eks: EksConnection, cluster: str, autoscalers: Collection[str]) -> EksConnection:
    """The connection with a role for each autoscaler that pools ask for, of which a created Karpenter's is there.

    Not one for both: with the last node group of a role EKS takes its access away, and so that of Karpenter's nodes:
    https://docs.aws.amazon.com/eks/latest/userguide/delete-managed-node-group.html. Auto Mode has a role itself.
    """
    name, roles = cluster[:PREFIX], dict[str, Role]()
    wanted = set() if eks.auto_mode else set(autoscalers) - eks.node_roles.keys()
    # A cluster that was there may have a CNI without a role of its own.
    vpc_cni = not eks.created
    if "cluster-autoscaler" in wanted:
        roles["cluster-autoscaler"] = node_role(
            f"{name}-gpu-nodes", region=eks.region, tags=eks.tags, parent=None, vpc_cni=vpc_cni
        )
    if "karpenter" in wanted:
        roles["karpenter"] = karpenter_node_role(
            f"{name}-karpenter-nodes", cluster=eks.name, region=eks.region, tags=eks.tags, parent=None, vpc_cni=vpc_cni
        )
    return replace(eks, node_roles={**eks.node_roles, **roles})
