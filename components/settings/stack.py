"""All settings of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from components.settings.infrastructure import Cluster, DevicePlugin, GpuPool, Images
from components.settings.model import Model
from components.settings.section import SECTION
from components.settings.types import Name, NamespaceName


class Settings(BaseModel):
    """All of a stack's settings, secrets apart."""

    model_config = SECTION

    cluster: Cluster = Field(description="The cluster.")
    namespace: NamespaceName = Field(default="inference", description="Namespace of the models, made by this program.")
    images: Images = Field(description="Images that are no model's own.")
    device_plugin: DevicePlugin = Field(
        default=DevicePlugin(), description="The NVIDIA device plugin.", validate_default=True
    )
    gpu_pools: Annotated[Mapping[Name, GpuPool], Field(min_length=1)] = Field(description="GPU pools by name.")
    models: Annotated[Mapping[Name, Model], Field(min_length=1)] = Field(description="Models by name.")

    @field_validator("device_plugin")
    @classmethod
    def _namespace_of_its_own(cls, value: DevicePlugin, info: ValidationInfo) -> DevicePlugin:
        if value.enabled and value.namespace == info.data.get("namespace"):
            other = next(name for name in ("nvidia-device-plugin", "gpu-device-plugin") if name != value.namespace)
            raise PydanticCustomError(
                "namespace",
                '"{namespace}" is that of the models, whose pods may do less',
                {
                    "path": ("devicePlugin", "namespace"),
                    "namespace": value.namespace,
                    "allowed": "another one than inference:namespace",
                    "example": other,
                    "hide": True,
                },
            )
        return value
