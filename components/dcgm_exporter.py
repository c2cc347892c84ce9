"""NVIDIA's DCGM exporter: utilisation, memory, temperature and errors of every GPU as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components import node_daemon, pod
from components.cluster import namespace
from components.gpu_node_pool import Placement
from components.settings import Resources

NAME: Final = "dcgm-exporter"
LABELS: Final = pod.labels(NAME, NAME, "metrics")
PORT: Final = 9400
POD_RESOURCES: Final = "/var/lib/kubelet/pod-resources"
RESOURCES: Final = Resources.model_validate(
    {
        "requests": {"cpu": "50m", "memory": "256Mi", "ephemeralStorage": "64Mi"},
        "limits": {"cpu": "1", "memory": "1Gi", "ephemeralStorage": "256Mi"},
    }
)


class DcgmExporter(pulumi.ComponentResource):
    """A DaemonSet on the nodes of every pool, in a namespace of its own; it takes no GPU from anyone."""

    namespace: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        image: str,
        pull_secrets: Sequence[str],
        placements: Sequence[Placement],
        runtime_class: str | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Run the exporter on the nodes that the placements describe."""
        super().__init__("inference:index:DcgmExporter", name, None, opts)
        self.namespace = namespace(NAME, "privileged", pulumi.ResourceOptions(parent=self)).metadata.name
        k8s.apps.v1.DaemonSet(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=NAME, namespace=self.namespace, labels=LABELS),
            spec=k8s.apps.v1.DaemonSetSpecArgs(
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels={"app.kubernetes.io/instance": NAME}),
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(labels=LABELS),
                    spec=pod_spec(image, pull_secrets, placements, runtime_class),
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"namespace": self.namespace})


def pod_spec(
    image: str, pull_secrets: Sequence[str], placements: Sequence[Placement], runtime_class: str | None
) -> k8s.core.v1.PodSpecArgs:
    """The exporter's pod, with the rights that NVIDIA's chart grants and no other.

    Root and SYS_ADMIN are for the profiling metrics, which drivers give to administrators only. On Bottlerocket they
    also let it see GPUs that it has not asked for: https://github.com/bottlerocket-os/bottlerocket/issues/3992.
    """
    scratch, scratch_mount = pod.scratch("tmp", "/tmp", "64Mi")  # noqa: S108 - the pod's own emptyDir
    node = k8s.core.v1.EnvVarSourceArgs(field_ref=k8s.core.v1.ObjectFieldSelectorArgs(field_path="spec.nodeName"))
    # Pods are named by the kubelet's socket; only their labels would take the API server.
    return node_daemon.pod_spec(
        k8s.core.v1.ContainerArgs(
            name="exporter",
            image=image,
            image_pull_policy="IfNotPresent",
            env=[
                *pod.environment(
                    {
                        "DCGM_EXPORTER_KUBERNETES": "true",
                        "DCGM_EXPORTER_LISTEN": f":{PORT}",
                        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
                        "NVIDIA_VISIBLE_DEVICES": "all",
                    }
                ),
                k8s.core.v1.EnvVarArgs(name="NODE_NAME", value_from=node),
            ],
            ports=[k8s.core.v1.ContainerPortArgs(name="metrics", container_port=PORT, protocol="TCP")],
            # Reading every GPU for the first time takes up to a minute.
            startup_probe=_health(failures=24, period=5),
            readiness_probe=_health(failures=3, period=10),
            liveness_probe=_health(failures=6, period=10),
            resources=pod.resources(RESOURCES),
            security_context=k8s.core.v1.SecurityContextArgs(
                capabilities=k8s.core.v1.CapabilitiesArgs(add=["SYS_ADMIN"], drop=["ALL"]),
                read_only_root_filesystem=True,
            ),
            volume_mounts=[
                k8s.core.v1.VolumeMountArgs(name="pod-resources", mount_path=POD_RESOURCES, read_only=True),
                scratch_mount,
            ],
        ),
        [
            k8s.core.v1.VolumeArgs(
                name="pod-resources",
                host_path=k8s.core.v1.HostPathVolumeSourceArgs(path=POD_RESOURCES, type="Directory"),
            ),
            scratch,
        ],
        placements=placements,
        pull_secrets=pull_secrets,
        runtime_class=runtime_class,
    )


def _health(failures: int, period: int) -> k8s.core.v1.ProbeArgs:
    return k8s.core.v1.ProbeArgs(
        http_get=k8s.core.v1.HTTPGetActionArgs(path="/health", port="metrics"),
        period_seconds=period,
        timeout_seconds=5,
        failure_threshold=failures,
    )
