"""The claim of a model's weights, what it is cloned from, and the snapshot of what was seeded."""

from __future__ import annotations

from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components.settings import Model
from components.sizing import volume_size
from components.volume import NO_SIZE, Volume, persistent_volume_spec

SNAPSHOTS: Final = "snapshot.storage.k8s.io"


def weight_claim(
    name: str,
    model: Model,
    volume: Volume,
    *,
    namespace: pulumi.Input[str],
    labels: dict[str, str],
    parent: pulumi.Resource,
) -> pulumi.Output[str]:
    """Make the claim, and the PersistentVolume where no driver does; returns the claim's name."""
    claim_name = weights_claim(name, volume)
    volume_name = None
    if volume.static:
        volume_name = static_volume(
            claim_name, volume, size=volume_size(model), namespace=namespace, labels=labels, parent=parent
        )
    claim = k8s.core.v1.PersistentVolumeClaim(
        claim_name,
        metadata=k8s.meta.v1.ObjectMetaArgs(name=claim_name, namespace=namespace, labels=labels),
        spec=claim_spec(model, volume, volume_name),
        # A node's own copy is a cache, and goes with its node anyway.
        opts=pulumi.ResourceOptions(
            parent=parent,
            protect=model.weights.protect and not volume.per_node,
            # A computed size is for the claim's first day: that of a smaller model would be refused, since no claim can
            # shrink.
            ignore_changes=["spec.resources.requests"] if model.weights.size is None else [],
        ),
    )
    return claim.metadata.name


def weights_claim(name: str, volume: Volume) -> str:
    """Name of the claim, by what no claim can change: its storage class or storage, and what it is cloned from.

    Another one is another claim beside the old one, which goes when the replicas have moved. Under one name the old
    one would have to go first, which Kubernetes puts off as long as a replica mounts it.
    """
    return "-".join(filter(None, (name, "weights", volume.name)))


def claim_spec(
    model: Model, volume: Volume, volume_name: pulumi.Input[str] | None
) -> k8s.core.v1.PersistentVolumeClaimSpecArgs:
    """What the claim asks for."""
    origin = model.weights.data_source
    return k8s.core.v1.PersistentVolumeClaimSpecArgs(
        # Replicas on several nodes, and the new one of a rollout beside the old one, mount it at the same time,
        # or else all of them run on one node.
        access_modes=[volume.access_mode],
        storage_class_name=volume.storage_class,
        volume_name=volume_name,
        resources=k8s.core.v1.VolumeResourceRequirementsArgs(
            requests={"storage": volume_size(model) if volume.sized else NO_SIZE}
        ),
        data_source=k8s.core.v1.TypedLocalObjectReferenceArgs(
            api_group=SNAPSHOTS if origin.kind == "VolumeSnapshot" else None, kind=origin.kind, name=origin.name
        )
        if origin
        else None,
    )


def static_volume(
    name: str,
    volume: Volume,
    *,
    size: str,
    namespace: pulumi.Input[str],
    labels: dict[str, str],
    parent: pulumi.Resource,
) -> pulumi.Output[str]:
    """Make the PersistentVolume of the claim `name`; returns its own name."""
    return k8s.core.v1.PersistentVolume(
        name,
        # No namespace holds it, hence one in its name.
        metadata=k8s.meta.v1.ObjectMetaArgs(name=pulumi.Output.concat(namespace, "-", name), labels=labels),
        spec=persistent_volume_spec(volume, namespace=namespace, claim=name, size=size),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=volume.depends_on),
    ).metadata.name


def snapshot(
    name: str,
    claim_name: pulumi.Input[str],
    *,
    snapshot_class: str,
    namespace: pulumi.Input[str],
    labels: dict[str, str],
    seeded: pulumi.Resource,
    parent: pulumi.Resource,
) -> k8s.apiextensions.CustomResource:
    """Take a snapshot of what was seeded, which stays when the stack goes: another one may begin with it."""
    return k8s.apiextensions.CustomResource(
        name,
        api_version=f"{SNAPSHOTS}/v1",
        kind="VolumeSnapshot",
        metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels),
        spec={"volumeSnapshotClassName": snapshot_class, "source": {"persistentVolumeClaimName": claim_name}},
        # No input says so, but a snapshot from before the Job's end has half of the weights.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[seeded], retain_on_delete=True),
    )
