"""What the pods have in common: labels, resources, and a security context that Pod Security's `restricted` accepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import pulumi
import pulumi_kubernetes as k8s

from components.settings import Resources, taint_parts

# Above 10000, so that it is no user of the node. Writer and readers of the weights share it.
USER: Final = 65532
UNPRIVILEGED_PORT: Final = 1024
# Written out, since its types take a second to load, which the claims have no time for.
Scratch: TypeAlias = "tuple[k8s.core.v1.VolumeArgs, k8s.core.v1.VolumeMountArgs]"
MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "pulumi"}


def labels(application: str, instance: str, component: str) -> dict[str, str]:
    """Recommended labels: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/."""
    return {
        "app.kubernetes.io/name": application,
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/component": component,
        **MANAGED_BY,
    }


def pod_security(lowest_port: int = UNPRIVILEGED_PORT) -> k8s.core.v1.PodSecurityContextArgs:
    """Every container runs as `USER`, which also owns the volumes, and may open ports from `lowest_port` on.

    Nodes differ in whether a process without capabilities may open those below 1024, unless a pod asks: a safe sysctl.
    """
    opens = k8s.core.v1.SysctlArgs(name="net.ipv4.ip_unprivileged_port_start", value=str(lowest_port))
    return k8s.core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=USER,
        run_as_group=USER,
        fs_group=USER,
        # Changing the owner of every file of the weights at every start would take minutes.
        fs_group_change_policy="OnRootMismatch",
        sysctls=[opens] if lowest_port < UNPRIVILEGED_PORT else None,
        seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security(*, read_only_root: bool = True) -> k8s.core.v1.SecurityContextArgs:
    """No capability, no way to gain one, and by default nothing to write to but the mounts."""
    return k8s.core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
        read_only_root_filesystem=read_only_root,
    )


def resources(amounts: Resources, gpus: int = 0) -> k8s.core.v1.ResourceRequirementsArgs:
    """Requests and limits; GPUs are the same in both, because Kubernetes does not overcommit them."""
    gpu = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    requests, limits = (
        {"cpu": each.cpu, "memory": each.memory, "ephemeral-storage": each.ephemeral_storage, **gpu}
        for each in (amounts.requests, amounts.limits)
    )
    return k8s.core.v1.ResourceRequirementsArgs(requests=requests, limits=limits)


def pull_secrets(names: Sequence[str]) -> list[k8s.core.v1.LocalObjectReferenceArgs] | None:
    """Secrets of the user's that the kubelet pulls the images with; None where the nodes need none."""
    return [k8s.core.v1.LocalObjectReferenceArgs(name=name) for name in names] or None


def toleration(taint: str) -> k8s.core.v1.TolerationArgs:
    """The toleration of exactly one taint, written `KEY[=VALUE]:EFFECT`."""
    parts = taint_parts(taint)
    return k8s.core.v1.TolerationArgs(key=parts["key"], operator="Equal", value=parts["value"], effect=parts["effect"])


def environment(*layers: Mapping[str, str]) -> list[k8s.core.v1.EnvVarArgs]:
    """Environment variables by name; a later layer wins. Sorted, so that the order of a map changes no pod."""
    merged: dict[str, str] = {}
    for layer in layers:
        merged |= layer
    return [k8s.core.v1.EnvVarArgs(name=name, value=merged[name]) for name in sorted(merged)]


def secret_variable(name: str, secret: pulumi.Input[str], key: str) -> k8s.core.v1.EnvVarArgs:
    """An environment variable that the kubelet takes from a Secret; nothing of it is in the pod's spec."""
    selector = k8s.core.v1.SecretKeySelectorArgs(name=secret, key=key)
    return k8s.core.v1.EnvVarArgs(name=name, value_from=k8s.core.v1.EnvVarSourceArgs(secret_key_ref=selector))


def scratch(name: str, path: str, size: str, *, memory: bool = False) -> Scratch:
    """A writable folder that lives as long as its pod."""
    directory = k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit=size, medium="Memory" if memory else None)
    return (
        k8s.core.v1.VolumeArgs(name=name, empty_dir=directory),
        k8s.core.v1.VolumeMountArgs(name=name, mount_path=path),
    )
