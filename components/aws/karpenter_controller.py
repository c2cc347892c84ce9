"""Karpenter in a created cluster; in a cluster that was there it is the user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from components.aws.karpenter_policy import karpenter_policy
from components.aws.roles import Role, associate, karpenter_node_role, pod_role
from components.helm import SYSTEM, release

CHART: Final = "1.14.1"
"""Of oci://public.ecr.aws/karpenter; it supports Kubernetes 1.26 to 1.36."""


class Karpenter(pulumi.ComponentResource):
    """Karpenter, which starts the instances of its node pools itself."""

    release: k8s.helm.v3.Release
    node_role: Role
    """The role that its node classes give their nodes."""

    def __init__(
        self,
        name: str,
        *,
        cluster: pulumi.Input[str],
        cluster_name: str,
        region: str,
        replicas: int,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Install the controller and its CRDs; `replicas` at most one a system node, as the chart spreads them."""
        super().__init__("inference:index:Karpenter", name, None, opts)
        nodes = karpenter_node_role(
            f"{cluster_name}-{name}-nodes", cluster=cluster, region=region, tags=tags, parent=self
        )
        role = pod_role(
            f"{cluster_name}-{name}",
            cluster=cluster_name,
            service_account=name,
            inline=karpenter_policy(cluster_name, region, nodes.arn),
            tags=tags,
            parent=self,
        )
        allowed = associate(name, role, namespace=SYSTEM, cluster=cluster, tags=tags, parent=self)
        repository = "oci://public.ecr.aws/karpenter"
        # Helm never updates the CRDs that a chart brings along, so they are a chart of their own.
        crds = release(
            f"{name}-crd",
            chart=f"{repository}/karpenter-crd",
            version=CHART,
            values={},
            namespace=SYSTEM,
            parent=self,
            after=[],
        )
        self.release = release(
            name,
            chart=f"{repository}/karpenter",
            version=CHART,
            values=karpenter_values(name, cluster_name, replicas),
            namespace=SYSTEM,
            parent=self,
            after=[crds, *nodes.grants, *allowed],
            skip_crds=True,
        )
        self.node_role = nodes
        self.register_outputs({"nodeRole": nodes.name})


def karpenter_values(name: str, cluster: str, replicas: int) -> dict[str, Any]:
    """The chart's values; the gate lets it replace nodes with a broken GPU, as EKS does those of node groups."""
    return {
        "replicas": replicas,
        "serviceAccount": {"name": name},
        "settings": {"clusterName": cluster, "featureGates": {"nodeRepair": True}},
        "controller": {
            "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        },
    }
