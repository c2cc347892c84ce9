"""What a replica's pod takes from its model's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as k8s

from components.volume import Place

FOLDER_ANNOTATION = "inference/weights"
"""The folder that a pod reads: cleaning leaves every one alone that a pod names here."""


@dataclass(frozen=True, kw_only=True)
class MountedWeights:
    """Weights as a replica sees them: on a volume, or with no `place` in the engine's own image."""

    path: str
    """The folder in the engine's container."""
    place: Place | None = None
    init_containers: tuple[k8s.core.v1.ContainerArgs, ...] = ()
    volumes: tuple[k8s.core.v1.VolumeArgs, ...] = ()
    """Volumes of the init containers, beside those of every replica."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str | None = None
    """The user's own, where replicas seed and so need its identity."""
    after: tuple[pulumi.Resource, ...] = ()
    """What has to be there before a replica starts, and no input of its pod says so."""

    @property
    def one_node(self) -> bool:
        """Whether all replicas run on the one node that mounts the volume."""
        return self.place is not None and self.place.volume.one_node

    @property
    def seeds(self) -> bool:
        """Whether replicas seed the node that they start on."""
        return self.place is not None and self.place.volume.per_node

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels by which pods with a volume of one node find each other."""
        return {} if self.place is None else self.place.volume.labels
