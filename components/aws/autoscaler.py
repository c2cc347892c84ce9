"""The autoscaler of a created cluster's managed node groups; in a cluster that was there it is the user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from components.aws import policies
from components.aws.roles import associate, pod_role
from components.helm import SYSTEM, release

CHART: Final = "9.59.0"
"""Of https://kubernetes.github.io/autoscaler, August 2026; its own image is that of Kubernetes 1.35."""
IMAGES: Final = {"1.34": "v1.34.4", "1.35": "v1.35.1", "1.36": "v1.36.1"}
"""The autoscaler simulates the scheduler, so its minor version is the cluster's."""


class ClusterAutoscaler(pulumi.ComponentResource):
    """The Kubernetes cluster autoscaler, which sizes managed node groups between their min and max."""

    release: k8s.helm.v3.Release

    def __init__(
        self,
        name: str,
        *,
        cluster: pulumi.Input[str],
        cluster_name: str,
        version: str,
        region: str,
        grace: int,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Install it for Kubernetes `version` ("1.34"); `grace` is what a replica may need to end, in seconds."""
        super().__init__("inference:index:ClusterAutoscaler", name, None, opts)
        role = pod_role(
            # A role's name has 64 characters, of which a cluster's may take 40.
            f"{cluster_name}-autoscaler",
            cluster=cluster_name,
            service_account=name,
            inline=policies.cluster_autoscaler(cluster_name, region),
            tags=tags,
            parent=self,
        )
        allowed = associate(name, role, namespace=SYSTEM, cluster=cluster, tags=tags, parent=self)
        self.release = release(
            name,
            chart="cluster-autoscaler",
            version=CHART,
            repository="https://kubernetes.github.io/autoscaler",
            values=autoscaler_values(name, cluster_name, version, region, grace),
            namespace=SYSTEM,
            parent=self,
            after=allowed,
        )
        self.register_outputs({"release": self.release.name})


def autoscaler_values(name: str, cluster: str, version: str, region: str, grace: int) -> dict[str, Any]:
    """The chart's values; left alone, it gives a pod ten minutes to end, where a replica may drain for longer."""
    return {
        "fullnameOverride": name,
        "cloudProvider": "aws",
        "awsRegion": region,
        "autoDiscovery": {"clusterName": cluster},
        "image": {"tag": IMAGES[version]},
        "rbac": {"serviceAccount": {"name": name}},
        "extraArgs": {"max-graceful-termination-sec": max(600, grace)},
        "resources": {"requests": {"cpu": "100m", "memory": "600Mi"}, "limits": {"memory": "600Mi"}},
    }
