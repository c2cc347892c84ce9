"""A volume for weights: what a claim asks for, and what follows from it for the pods that mount it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components.pod import MANAGED_BY

POOL_LABEL: Final = "inference/gpu-pool"
VOLUME_LABEL: Final = "inference/volume"
# A claim on a volume without a size cannot grow with the model's: it always asks for what every volume has.
NO_SIZE: Final = "1Mi"


@dataclass(frozen=True, kw_only=True)
class Volume:
    """What a claim for weights asks for, and what follows from it for the pods that mount it."""

    name: str | None = None
    """Part of the claim's name. What cannot change under a claim has another name: another volume, seeded anew."""
    storage_class: pulumi.Input[str] | None = None
    """None for the cluster's default, empty for a volume that is not provisioned."""
    access_mode: str = "ReadWriteMany"
    sized: bool = True
    """Whether the size that a claim asks for means anything."""
    csi: k8s.core.v1.CSIPersistentVolumeSourceArgs | None = None
    """What the volume is where no driver provisions it."""
    path: str | None = None
    """Folder on every node that holds the node's own copy, where no driver provisions the volume."""
    mount_options: tuple[str, ...] = ()
    node_selector: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Labels of the nodes that can mount it; empty for all."""
    taints: tuple[str, ...] = ()
    gpus: int | None = None
    """GPUs of the node that mounts it, where that is one node for all replicas."""
    depends_on: tuple[pulumi.Resource, ...] = ()
    """What has to be there before a pod can mount it, where no input says so."""

    @property
    def static(self) -> bool:
        """Whether the volume is there already, and needs a PersistentVolume that says so."""
        return self.csi is not None or self.path is not None

    @property
    def per_node(self) -> bool:
        """Whether every node has its own copy, which its replicas seed."""
        return self.path is not None

    @property
    def one_node(self) -> bool:
        """Whether one node at a time mounts it: every pod with it has to run there."""
        return self.access_mode == "ReadWriteOnce"

    @property
    def labels(self) -> dict[str, str]:
        """Labels by which pods with a volume of one node find each other."""
        return {VOLUME_LABEL: self.name} if self.one_node and self.name else {}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the weights of a model lie."""

    volume: Volume
    claim_name: pulumi.Input[str]
    root: str
    """Folder of every container with the volume that is this model's alone; `root` of components/weight_seeder.py."""
    folder: str
    """The revision that is wanted, relative to the root."""

    @property
    def path(self) -> str:
        """The revision that is wanted, in every container with the volume."""
        return f"{self.root}/{self.folder}"


def digest(*parts: object) -> str:
    """Eight hexadecimal digits of what cannot change under a claim."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


def persistent_volume_spec(
    volume: Volume, *, namespace: pulumi.Input[str], claim: str, size: str
) -> k8s.core.v1.PersistentVolumeSpecArgs:
    """The PersistentVolume of a volume that no driver provisions, kept for one claim; `size` is for the reader."""
    terms = [
        k8s.core.v1.NodeSelectorRequirementArgs(key=key, operator="In", values=[value])
        for key, value in volume.node_selector.items()
    ]
    return k8s.core.v1.PersistentVolumeSpecArgs(
        # The second for the kubelet's sake alone, see components/aws/fsx.py: the claim asks for the first.
        access_modes=[volume.access_mode, "ReadWriteOnce"] if volume.csi else [volume.access_mode],
        capacity={"storage": size},
        claim_ref=k8s.core.v1.ObjectReferenceArgs(
            api_version="v1", kind="PersistentVolumeClaim", namespace=namespace, name=claim
        ),
        csi=volume.csi,
        local=k8s.core.v1.LocalVolumeSourceArgs(path=volume.path) if volume.path else None,
        mount_options=list(volume.mount_options) or None,
        node_affinity=k8s.core.v1.VolumeNodeAffinityArgs(
            required=k8s.core.v1.NodeSelectorArgs(
                node_selector_terms=[k8s.core.v1.NodeSelectorTermArgs(match_expressions=terms)]
            )
        )
        if terms
        else None,
        persistent_volume_reclaim_policy="Retain",
        storage_class_name="",
    )


def beside_the_volume(instance: str, volume: Volume) -> k8s.core.v1.PodAffinityArgs:
    """Only on the node of the pods that mount the same volume of one node.

    The first one fits its own term, so that the scheduler lets it choose. Pods that still drain count, since the volume
    is still theirs.
    """
    return k8s.core.v1.PodAffinityArgs(
        required_during_scheduling_ignored_during_execution=[
            k8s.core.v1.PodAffinityTermArgs(
                topology_key="kubernetes.io/hostname",
                label_selector=k8s.meta.v1.LabelSelectorArgs(
                    match_labels={"app.kubernetes.io/instance": instance, **volume.labels}
                ),
            )
        ]
    )


def storage_class(
    name: str,
    *,
    provisioner: str,
    parameters: Mapping[str, pulumi.Input[str]],
    binding: str,
    reclaim: str,
    zone: str | None = None,
    mount_options: tuple[str, ...] = (),
    opts: pulumi.ResourceOptions,
) -> k8s.storage.v1.StorageClass:
    """A class of this stack's, named `inference-NAME`, beside the cluster's own."""
    zones = k8s.core.v1.TopologySelectorLabelRequirementArgs(key="topology.kubernetes.io/zone", values=[zone or ""])
    return k8s.storage.v1.StorageClass(
        name,
        metadata=k8s.meta.v1.ObjectMetaArgs(name=f"inference-{name}", labels=MANAGED_BY),
        provisioner=provisioner,
        parameters=parameters,
        reclaim_policy=reclaim,
        volume_binding_mode=binding,
        allow_volume_expansion=binding == "WaitForFirstConsumer",
        allowed_topologies=[k8s.core.v1.TopologySelectorTermArgs(match_label_expressions=[zones])] if zone else None,
        mount_options=list(mount_options) or None,
        opts=opts,
    )
