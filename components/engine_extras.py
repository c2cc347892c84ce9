"""What the rest of the program adds to the engine's container of every replica."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi_kubernetes as k8s


@dataclass(frozen=True, kw_only=True)
class Extras:
    """Arguments after the engine's own, and the files that they need."""

    arguments: tuple[str, ...] = ()
    volumes: tuple[k8s.core.v1.VolumeArgs, ...] = ()
    mounts: tuple[k8s.core.v1.VolumeMountArgs, ...] = ()


NOTHING: Final = Extras()
