"""Settings of a model's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from components.settings.amounts import Resources
from components.settings.section import SECTION, over, refusal
from components.settings.types import NOT_BOOL, LabelKey, LabelValue, Name, Size, Taint, Text, Url

DEFAULT_INCLUDE: Final = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "tokenizer*")
# The same weights once more, as the model's authors ship them.
DEFAULT_EXCLUDE: Final = ("original/*", "consolidated*")
SEEDER_RESOURCES: Final = Resources.model_validate(
    {
        "requests": {"cpu": "500m", "memory": "512Mi", "ephemeralStorage": "256Mi"},
        "limits": {"cpu": "4", "memory": "2Gi", "ephemeralStorage": "2Gi"},
    }
)


class Weights(BaseModel):
    """The volume with a model's weights, and how it is filled."""

    model_config = SECTION

    size: Size = Field(
        description="Size of the volume; also the bound of the weights that load and seeding times assume."
    )
    storage_class: Text | None = Field(
        default=None,
        description="Storage class that can mount on many nodes at once (ReadWriteMany); without it the default one.",
    )
    storage: Name | None = Field(
        default=None, description="Storage of the volume, a key of inference:storage; instead of storageClass."
    )
    bandwidth_mbps: Annotated[int, Field(ge=1, le=100_000), NOT_BOOL] = Field(
        default=125,
        description="Reading rate of the volume in MB/s: load times follow from it; without it that of the storage.",
    )
    endpoint: Url | None = Field(default=None, description="Address of a hub other than the public one.")
    include: Annotated[tuple[Text, ...], Field(min_length=1)] = Field(
        default=DEFAULT_INCLUDE,
        description="Patterns of the files to seed; one without a slash is for files at the top.",
    )
    exclude: tuple[Text, ...] = Field(
        default=DEFAULT_EXCLUDE, description="Patterns of files that are left out all the same."
    )
    protect: bool = Field(
        default=True,
        description="Refuse to delete or replace the volume until `pulumi state unprotect`.",
    )
    max_workers: Annotated[int, Field(ge=1, le=64), NOT_BOOL] = Field(
        default=8, description="Files downloaded at a time."
    )
    node_selector: Mapping[LabelKey, LabelValue] = Field(
        default={}, description="Labels of the nodes that the seeding Job may run on; without it all."
    )
    tolerations: tuple[Taint, ...] = Field(default=(), description="Taints that the seeding Job tolerates.")
    resources: Annotated[Resources, over(SEEDER_RESOURCES)] = Field(
        default=SEEDER_RESOURCES, description="Requests and limits of the seeding Job."
    )

    @field_validator("storage")
    @classmethod
    def _instead_of_a_class(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("storage_class") is not None:
            raise refusal(
                "is given together with storageClass, and has a class of its own",
                allowed="storage, or storageClass",
                fix="take one of the two out",
            )
        return value
