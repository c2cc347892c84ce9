"""The NVIDIA device plugin, which announces the GPUs of a node to its kubelet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components import node_daemon, pod
from components.cluster import namespace
from components.gpu_node_pool import Placement
from components.settings import DevicePlugin

NAME: Final = "nvidia-device-plugin"
SOCKETS: Final = "/var/lib/kubelet/device-plugins"
LABELS: Final = pod.labels(NAME, NAME, "device-plugin")
CONFIG_FOLDER: Final = "/etc/nvidia-device-plugin"
CONFIG_FILE: Final = "config.yaml"


class NvidiaDevicePlugin(pulumi.ComponentResource):
    """A DaemonSet on the nodes of some pools, in a namespace of its own, because it mounts a folder of the node."""

    namespace: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: DevicePlugin,
        *,
        image: str,
        pull_secrets: Sequence[str],
        placements: Sequence[Placement],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Install the plugin on the nodes that the placements describe."""
        super().__init__("inference:index:NvidiaDevicePlugin", name, None, opts)
        home = namespace(settings.namespace, "privileged", pulumi.ResourceOptions(parent=self))
        self.namespace = home.metadata.name
        config = self._config(settings)
        k8s.apps.v1.DaemonSet(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=NAME, namespace=self.namespace, labels=LABELS),
            spec=k8s.apps.v1.DaemonSetSpecArgs(
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels={"app.kubernetes.io/instance": NAME}),
                # GPUs stay announced on all nodes but one; running pods keep theirs in any case.
                update_strategy=k8s.apps.v1.DaemonSetUpdateStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDaemonSetArgs(max_unavailable=1),
                ),
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(labels=LABELS),
                    spec=pod_spec(settings, image, pull_secrets, placements, config),
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"namespace": self.namespace})

    def _config(self, settings: DevicePlugin) -> pulumi.Output[str] | None:
        """Name of the ConfigMap with the plugin's file, where it needs one.

        The plugin reads it when it starts, so another content is another name, which rolls the plugin.
        """
        if settings.time_slicing == 1:
            return None
        content = config_file(settings.time_slicing)
        name = f"{NAME}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
        config = k8s.core.v1.ConfigMap(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=self.namespace, labels=LABELS),
            data={CONFIG_FILE: content},
            immutable=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return config.metadata.name


def config_file(replicas: int) -> str:
    """The plugin's file for time slices: https://github.com/NVIDIA/k8s-device-plugin#shared-access-to-gpus.

    A pod that asks for several could be given slices of one GPU, so it is refused. Environment variables go before the
    file, and say all the rest.
    """
    return f"""\
version: v1
sharing:
  timeSlicing:
    failRequestsGreaterThanOne: true
    resources:
    - name: nvidia.com/gpu
      replicas: {replicas}
"""


def pod_spec(
    settings: DevicePlugin,
    image: str,
    pull_secrets: Sequence[str],
    placements: Sequence[Placement],
    config: pulumi.Input[str] | None = None,
) -> k8s.core.v1.PodSpecArgs:
    """The plugin's pod: as restricted as a root process with a folder of the node can be."""
    file = {"CONFIG_FILE": f"{CONFIG_FOLDER}/{CONFIG_FILE}"} if config is not None else {}
    mounts = [k8s.core.v1.VolumeMountArgs(name="device-plugins", mount_path=SOCKETS)]
    volumes = [
        k8s.core.v1.VolumeArgs(
            name="device-plugins",
            host_path=k8s.core.v1.HostPathVolumeSourceArgs(path=SOCKETS, type="Directory"),
        )
    ]
    if config is not None:
        mounts.append(k8s.core.v1.VolumeMountArgs(name="config", mount_path=CONFIG_FOLDER, read_only=True))
        volumes.append(
            k8s.core.v1.VolumeArgs(name="config", config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(name=config))
        )
    return node_daemon.pod_spec(
        k8s.core.v1.ContainerArgs(
            name="plugin",
            image=image,
            image_pull_policy="IfNotPresent",
            command=["nvidia-device-plugin"],
            env=pod.environment(_environment(settings), file, settings.env),
            resources=pod.resources(settings.resources),
            security_context=_security(settings),
            volume_mounts=mounts,
        ),
        volumes,
        placements=placements,
        pull_secrets=pull_secrets,
        runtime_class=settings.runtime_class,
    )


def _environment(settings: DevicePlugin) -> dict[str, str]:
    """The plugin's options: https://github.com/NVIDIA/k8s-device-plugin, as of 0.18."""
    mig = {} if settings.mig_strategy == "none" else {"NVIDIA_MIG_MONITOR_DEVICES": "all"}
    return {
        "DEVICE_DISCOVERY_STRATEGY": "nvml",
        "DEVICE_ID_STRATEGY": "uuid",
        "DEVICE_LIST_STRATEGY": "envvar",
        # A node of a GPU pool without a working driver is a fault to see, not one to sleep over.
        "FAIL_ON_INIT_ERROR": "true",
        "MIG_STRATEGY": settings.mig_strategy,
        "PASS_DEVICE_SPECS": str(settings.pass_device_specs).lower(),
        # Asks NVIDIA's runtime to put the driver's libraries, NVML among them, into this container.
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        "NVIDIA_VISIBLE_DEVICES": "all",
        **mig,
    }


def _security(settings: DevicePlugin) -> k8s.core.v1.SecurityContextArgs:
    """What NVIDIA's chart grants, and only where a setting asks for it."""
    if settings.pass_device_specs:
        return k8s.core.v1.SecurityContextArgs(privileged=True, read_only_root_filesystem=True)
    if settings.mig_strategy != "none":
        return k8s.core.v1.SecurityContextArgs(
            capabilities=k8s.core.v1.CapabilitiesArgs(add=["SYS_ADMIN"], drop=["ALL"]), read_only_root_filesystem=True
        )
    return pod.container_security()
