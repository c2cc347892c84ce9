"""Settings of what the models run on: a cluster that is there, images and the device plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from components.settings.amounts import Resources
from components.settings.section import SECTION, over, refusal
from components.settings.types import (
    NOT_BOOL,
    EnvName,
    FreeText,
    Image,
    Name,
    NamespaceName,
    SecretName,
    Text,
)

# The newest release of 0.18 whose digest stands in public: two github.com projects pin it, independently of each other.
DEVICE_PLUGIN: Final = (
    "nvcr.io/nvidia/k8s-device-plugin:v0.18.2@sha256:b5788e29e7ae5272de8de863ebe386d6611e608421a6ecc5b4e7d5952aba637f"
)
PLUGIN_RESOURCES: Final = Resources.model_validate(
    {
        "requests": {"cpu": "10m", "memory": "64Mi", "ephemeralStorage": "64Mi"},
        "limits": {"cpu": "1", "memory": "256Mi", "ephemeralStorage": "256Mi"},
    }
)


class KubernetesCluster(BaseModel):
    """A Kubernetes cluster that a kubeconfig names."""

    model_config = SECTION

    provider: Literal["kubernetes"] = Field(description="Where the cluster comes from: one that a kubeconfig names.")
    name: Name = Field(
        description="Identity of the cluster in Pulumi's state: the same name is the same one, whatever its address."
    )
    kubeconfig: Text | None = Field(
        default=None, description="Path of the kubeconfig; without it KUBECONFIG or ~/.kube/config."
    )
    context: Text | None = Field(default=None, description="Context of the kubeconfig; without it the current one.")


class Images(BaseModel):
    """Images that are no model's own."""

    model_config = SECTION

    weight_seeder: Image = Field(
        description="Image built from images/weight-seeder; it holds the command weight-seeder."
    )
    device_plugin: Image = Field(
        default=DEVICE_PLUGIN, description="Image of the NVIDIA device plugin, 0.18, pinned by digest."
    )
    dcgm_exporter: Image = Field(
        default="nvcr.io/nvidia/k8s/dcgm-exporter:4.6.0-4.8.3-distroless",
        description="Image of NVIDIA's DCGM exporter, 4.8.",
    )
    pull_secrets: tuple[SecretName, ...] = Field(
        default=(), description="Secrets of yours to pull images with, in the namespace of each pod."
    )


class DevicePlugin(BaseModel):
    """The NVIDIA device plugin, which announces the GPUs of a node to its kubelet."""

    model_config = SECTION

    enabled: bool = Field(
        default=True, description="Whether to install it; not where nodes bring one (Bottlerocket, EKS Auto Mode)."
    )
    namespace: NamespaceName = Field(default="nvidia-device-plugin", description="Namespace, made by this program.")
    runtime_class: Name | None = Field(
        default=None,
        description="RuntimeClass that gives the plugin the driver's libraries, where that is not the node's default.",
    )
    mig_strategy: Literal["none", "single", "mixed"] = Field(
        default="none", description="How MIG slices are announced; other than none it needs the capability SYS_ADMIN."
    )
    time_slicing: Annotated[int, Field(ge=1, le=48), NOT_BOOL] = Field(
        default=1,
        description="Pods that take turns on a GPU; each sees all of its memory, which nothing divides between them.",
    )
    dcgm_exporter: bool = Field(
        default=False, description="Whether to run NVIDIA's DCGM exporter, with metrics of every GPU, on port 9400."
    )
    pass_device_specs: bool = Field(
        default=False,
        description="Pass device nodes to the kubelet, needed with the static CPU manager; runs the plugin privileged.",
    )
    env: Mapping[EnvName, FreeText] = Field(
        default={}, description="Environment variables of the plugin, over the program's own."
    )
    resources: Annotated[Resources, over(PLUGIN_RESOURCES)] = Field(
        default=PLUGIN_RESOURCES, description="Requests and limits of the plugin."
    )

    @field_validator("time_slicing")
    @classmethod
    def _sliced_by_this_plugin(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and info.data.get("enabled") is False:
            raise refusal(
                "is for the plugin that this program installs, and enabled is false",
                allowed="1 with enabled false",
                fix="take it out, or set enabled to true",
            )
        return value
