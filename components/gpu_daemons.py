"""What runs on every GPU node beside the models: NVIDIA's device plugin and its metrics exporter."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.dcgm_exporter import DcgmExporter
from components.device_plugin import NvidiaDevicePlugin
from components.gpu_node_pool import Placement
from components.settings import Settings


def gpu_daemons(settings: Settings, placements: Sequence[Placement], opts: pulumi.ResourceOptions) -> None:
    """Install what the settings ask for, the device plugin only where the nodes do not bring one."""
    bare = [placement for placement in placements if not placement.built_in_plugin]
    if settings.device_plugin.enabled and bare:
        NvidiaDevicePlugin(
            "nvidia-device-plugin",
            settings.device_plugin,
            image=settings.images.device_plugin,
            pull_secrets=settings.images.pull_secrets,
            placements=bare,
            opts=opts,
        )
    if settings.device_plugin.dcgm_exporter:
        DcgmExporter(
            "dcgm-exporter",
            image=settings.images.dcgm_exporter,
            pull_secrets=settings.images.pull_secrets,
            placements=placements,
            runtime_class=settings.device_plugin.runtime_class,
            opts=opts,
        )
