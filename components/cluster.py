"""The cluster that everything goes to, and namespaces in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import pulumi
import pulumi_kubernetes as k8s

from components.pod import MANAGED_BY
from components.settings import EksCluster, KubernetesCluster, Settings

if TYPE_CHECKING:
    from components.aws.connection import EksConnection

Level = Literal["restricted", "baseline", "privileged"]


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A cluster as the rest of the program sees it, wherever it comes from."""

    provider: k8s.Provider
    """The provider of every Kubernetes resource."""
    eks: EksConnection | None = None
    """What AWS resources refer to, where the cluster is EKS."""
    depends_on: Sequence[pulumi.Resource] = ()
    """What nodes and workloads need and no input of theirs names; the provider waits for most of it by itself."""


def connect(settings: Settings) -> Connection:
    """The cluster of the settings, found or created."""
    cluster = settings.cluster
    if isinstance(cluster, EksCluster):
        from components.aws.connection import connect_eks  # noqa: PLC0415 - half a second that only EKS needs

        # The settings have a region wherever the cluster is EKS.
        return connect_eks(cluster, cast("str", settings.region), settings)
    return Connection(provider=_provider(cluster))


def _provider(cluster: KubernetesCluster) -> k8s.Provider:
    """The provider of every resource, identified by the cluster's name: a new address of it replaces nothing."""
    return k8s.Provider(
        "cluster",
        cluster_identifier=cluster.name,
        # The provider takes a path as it is written, and ~ is the shell's.
        kubeconfig=cluster.kubeconfig and os.path.expanduser(cluster.kubeconfig),  # noqa: PTH111 - a Path would raise
        context=cluster.context,
    )


def namespace(name: str, level: Level, opts: pulumi.ResourceOptions) -> k8s.core.v1.Namespace:
    """A namespace whose pods have to meet a Pod Security level.

    Labels: https://kubernetes.io/docs/concepts/security/pod-security-admission/.
    """
    return k8s.core.v1.Namespace(
        name,
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=name,
            labels={
                **MANAGED_BY,
                **{f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "warn", "audit")},
            },
        ),
        opts=opts,
    )
