"""What a pod needs to ask which folders of weights are in use: to list the pods of its namespace, and a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

_VOLUME: Final = "api-token"
_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_SECONDS: Final = 3600
"""The kubelet has a new one in the file before it expires."""


def list_pods(
    name: str,
    account: pulumi.Input[str],
    *,
    namespace: pulumi.Input[str],
    labels: Mapping[str, str],
    parent: pulumi.Resource,
) -> k8s.rbac.v1.RoleBinding:
    """Lets a service account list the pods of its namespace, and no more; its pods depend on what is returned."""
    opts = pulumi.ResourceOptions(parent=parent)
    metadata = k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels)
    role = k8s.rbac.v1.Role(
        name,
        metadata=metadata,
        rules=[k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["pods"], verbs=["list"])],
        opts=opts,
    )
    return k8s.rbac.v1.RoleBinding(
        name,
        metadata=metadata,
        role_ref=k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=role.metadata.name),
        subjects=[k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=account, namespace=namespace)],
        opts=opts,
    )


def token_mount() -> k8s.core.v1.VolumeMountArgs:
    """The mount of the one container that gets the token."""
    return k8s.core.v1.VolumeMountArgs(name=_VOLUME, mount_path=_PATH, read_only=True)


def token_volume() -> k8s.core.v1.VolumeArgs:
    """What Kubernetes would mount into every container of the pod, for the one that mounts it itself."""
    token = k8s.core.v1.ServiceAccountTokenProjectionArgs(path="token", expiration_seconds=_TOKEN_SECONDS)
    authority = k8s.core.v1.ConfigMapProjectionArgs(
        name="kube-root-ca.crt", items=[k8s.core.v1.KeyToPathArgs(key="ca.crt", path="ca.crt")]
    )
    namespace = k8s.core.v1.DownwardAPIProjectionArgs(
        items=[
            k8s.core.v1.DownwardAPIVolumeFileArgs(
                path="namespace",
                field_ref=k8s.core.v1.ObjectFieldSelectorArgs(api_version="v1", field_path="metadata.namespace"),
            )
        ]
    )
    sources = [
        k8s.core.v1.VolumeProjectionArgs(service_account_token=token),
        k8s.core.v1.VolumeProjectionArgs(config_map=authority),
        k8s.core.v1.VolumeProjectionArgs(downward_api=namespace),
    ]
    return k8s.core.v1.VolumeArgs(name=_VOLUME, projected=k8s.core.v1.ProjectedVolumeSourceArgs(sources=sources))
