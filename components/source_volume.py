"""The volume that a `file://` source is on, mounted where the seeder looks for the source's path."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components.settings import Model, parse_source
from components.volume import NO_SIZE, Volume, digest
from components.weight_claim import static_volume
from components.weight_seeder import SOURCE_MOUNT


@dataclass(frozen=True, kw_only=True)
class SourceVolume:
    """A volume with the source, and its mount."""

    volume: k8s.core.v1.VolumeArgs
    mount: k8s.core.v1.VolumeMountArgs


def source_volume(
    name: str,
    model: Model,
    *,
    namespace: pulumi.Input[str],
    labels: dict[str, str],
    parent: pulumi.Resource,
) -> SourceVolume | None:
    """The user's claim with the path in it, or the folder of that path on nodes; None for other sources.

    A folder is a volume of the type `local`, since Pod Security's `restricted` forbids hostPath, on the nodes of
    `weights.nodeSelector`.
    """
    source = parse_source(model.source)
    if source.scheme != "file":
        return None
    if model.weights.source_claim is not None:
        return _mounted(model.weights.source_claim, SOURCE_MOUNT)
    nodes = model.weights.node_selector
    volume = Volume(storage_class="", access_mode="ReadOnlyMany", path=source.location, node_selector=nodes)
    # Neither its path nor its nodes can change under a volume.
    claim_name = f"{name}-source-{digest(source.location, sorted(nodes.items()))}"
    volume_name = static_volume(claim_name, volume, size=NO_SIZE, namespace=namespace, labels=labels, parent=parent)
    claim = k8s.core.v1.PersistentVolumeClaim(
        claim_name,
        metadata=k8s.meta.v1.ObjectMetaArgs(name=claim_name, namespace=namespace, labels=labels),
        spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
            access_modes=[volume.access_mode],
            storage_class_name="",
            volume_name=volume_name,
            resources=k8s.core.v1.VolumeResourceRequirementsArgs(requests={"storage": NO_SIZE}),
        ),
        opts=pulumi.ResourceOptions(parent=parent),
    )
    # The volume is the folder itself, and the seeder looks for its path below the mount.
    return _mounted(claim.metadata.name, f"{SOURCE_MOUNT}{source.location}")


def _mounted(claim_name: pulumi.Input[str], path: str) -> SourceVolume:
    """Read-only as a volume too: a folder that is not written to is not given to the pods' group by the kubelet."""
    claim = k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim_name, read_only=True)
    return SourceVolume(
        volume=k8s.core.v1.VolumeArgs(name="source", persistent_volume_claim=claim),
        mount=k8s.core.v1.VolumeMountArgs(name="source", mount_path=path, read_only=True),
    )
