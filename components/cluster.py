"""The cluster that everything goes to, and namespaces in it."""

from __future__ import annotations

import os
from typing import Literal

import pulumi
import pulumi_kubernetes as k8s

from components.pod import MANAGED_BY
from components.settings import Cluster

Level = Literal["restricted", "baseline", "privileged"]


def connect(cluster: Cluster) -> k8s.Provider:
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
