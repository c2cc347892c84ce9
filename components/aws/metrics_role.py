"""The IAM role by which KEDA's operator asks Amazon Managed Service for Prometheus, through EKS Pod Identity."""

from __future__ import annotations

from typing import Final

import pulumi

from components.aws import policies
from components.aws.connection import EksConnection
from components.aws.roles import associate, pod_role

SERVICE_ACCOUNT: Final = "keda-operator"


class MetricsRole(pulumi.ComponentResource):
    """The role, its policy, and the service account that has it."""

    grants: tuple[pulumi.Resource, ...]

    def __init__(
        self,
        name: str,
        cluster: str,
        region: str,
        eks: EksConnection,
        *,
        namespace: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Let the pods of KEDA's operator query the workspaces of a region; they start after all `grants`."""
        super().__init__("inference:index:MetricsRole", name, None, opts)
        role = pod_role(
            f"{cluster}-keda",
            cluster=cluster,
            service_account=SERVICE_ACCOUNT,
            namespace=namespace,
            inline=may_query(region),
            tags=eks.tags,
            parent=self,
        )
        self.grants = associate(
            SERVICE_ACCOUNT, role, cluster=eks.name, namespace=namespace, tags=eks.tags, parent=self
        )
        self.register_outputs({})


def may_query(region: str) -> policies.Document:
    """Queries of the account's workspaces, and nothing else of them."""
    workspaces = f"arn:{policies.partition(region)}:aps:{region}:*:workspace/*"
    return policies.document(policies.allow("aps:QueryMetrics", on=workspaces))
