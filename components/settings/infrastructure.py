"""Settings of what the models run on: cluster, GPU pools and the device plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from components.settings.amounts import Resources
from components.settings.section import SECTION, over
from components.settings.types import (
    NOT_BOOL,
    EnvName,
    FreeText,
    Image,
    LabelKey,
    LabelValue,
    Name,
    NamespaceName,
    SecretName,
    Taint,
    Text,
)

PLUGIN_RESOURCES: Final = Resources.model_validate(
    {
        "requests": {"cpu": "10m", "memory": "64Mi", "ephemeralStorage": "64Mi"},
        "limits": {"cpu": "1", "memory": "256Mi", "ephemeralStorage": "256Mi"},
    }
)


class Cluster(BaseModel):
    """The Kubernetes cluster that everything goes to."""

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
        default="nvcr.io/nvidia/k8s-device-plugin:v0.18.0", description="Image of the NVIDIA device plugin, 0.18."
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


class Gpu(BaseModel):
    """The GPUs of a node."""

    model_config = SECTION

    product: LabelValue = Field(description="Product, as the node label nvidia.com/gpu.product has it.")
    memory_gib: Annotated[int, Field(ge=1, le=1024), NOT_BOOL] = Field(
        description="Memory of one GPU in GiB.", json_schema_extra={"examples": [24]}
    )
    count: Annotated[int, Field(ge=1, le=16), NOT_BOOL] = Field(default=1, description="GPUs a node.")


class GpuPool(BaseModel):
    """Nodes with the same GPUs that are there already."""

    model_config = SECTION

    nodes: Annotated[int, Field(ge=1, le=10_000), NOT_BOOL] = Field(
        description="Number of nodes.", json_schema_extra={"examples": [1]}
    )
    gpu: Gpu = Field(description="The GPUs of each node.")
    node_selector: Annotated[Mapping[LabelKey, LabelValue], Field(min_length=1)] | None = Field(
        default=None, description="Labels of the pool's nodes; without it inference/gpu-pool: NAME."
    )
    taint: Taint = Field(
        default="nvidia.com/gpu=present:NoSchedule", description="Taint of the pool's nodes, which its pods tolerate."
    )
    runtime_class: Name | None = Field(
        default=None, description="RuntimeClass that gives pods their GPU, where that is not the node's default."
    )
