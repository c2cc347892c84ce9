"""Settings of a model's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from components.settings.amounts import Resources
from components.settings.section import SECTION, over, refusal
from components.settings.types import (
    NOT_BOOL,
    BucketRegion,
    Cidr,
    LabelKey,
    LabelValue,
    Name,
    ObjectName,
    SecretName,
    Size,
    Taint,
    Text,
    Url,
)

DEFAULT_INCLUDE: Final = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "tokenizer*")
# The same weights once more, as the model's authors ship them.
DEFAULT_EXCLUDE: Final = ("original/*", "consolidated*")
SEEDER_RESOURCES: Final = Resources.model_validate(
    {
        "requests": {"cpu": "500m", "memory": "512Mi", "ephemeralStorage": "256Mi"},
        "limits": {"cpu": "4", "memory": "512Mi", "ephemeralStorage": "2Gi"},
    }
)


class DataSource(BaseModel):
    """What a volume begins as a copy of."""

    model_config = SECTION

    kind: Literal["VolumeSnapshot", "PersistentVolumeClaim"] = Field(
        description="What the volume is cloned from, where its class can: a snapshot, or another claim."
    )
    name: ObjectName = Field(description="Name of that snapshot or claim, in the models' namespace.")


class Weights(BaseModel):
    """The volume with a model's weights, and how it is filled."""

    model_config = SECTION

    size: Size | None = Field(
        default=None,
        description="Size of the volume; without it that of keepRevisions and two more revisions, and a tenth, "
        "where the program knows the source's files (`make model-facts`).",
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
    endpoint: Url | None = Field(
        default=None, description="Address of a hub, S3 service or registry other than the source's public one."
    )
    region: BucketRegion | None = Field(
        default=None, description="Region of the bucket of an s3:// source; without it the stack's, where it has one."
    )
    credentials: SecretName | None = Field(
        default=None,
        description="Secret of yours in the models' namespace, which only the seeder gets: key token for hf://, "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for s3://, .dockerconfigjson for oci://, NGC_API_KEY for "
        "ngc:// (without it ngcKeySecret).",
    )
    service_account: ObjectName | None = Field(
        default=None,
        description="ServiceAccount of yours that the seeder runs as, with an identity that may read an s3:// source.",
    )
    egress: tuple[Cidr, ...] = Field(
        default=(), description="Ranges that the seeder may reach; without it those that follow from the source."
    )
    source_claim: ObjectName | None = Field(
        default=None,
        description="Claim of yours with the folder of a file:// source; without it the folder is on the nodes of "
        "nodeSelector.",
    )
    include: Annotated[tuple[Text, ...], Field(min_length=1)] = Field(
        default=DEFAULT_INCLUDE,
        description="Patterns of the files to seed; one without a slash is for files at the top.",
    )
    exclude: tuple[Text, ...] = Field(
        default=DEFAULT_EXCLUDE, description="Patterns of files that are left out all the same."
    )
    keep_revisions: Annotated[int, Field(ge=0, le=10), NOT_BOOL] = Field(
        default=1, description="Earlier revisions that stay on the volume, for going back without a download."
    )
    check: Literal["sizes", "checksums"] = Field(
        default="sizes",
        description="What replicas and the seeder compare with the manifest; checksums read every byte.",
    )
    data_source: DataSource | None = Field(default=None, description="What the volume begins as a copy of.")
    snapshot_class: Text | None = Field(
        default=None, description="VolumeSnapshotClass with which a snapshot is taken of what was seeded."
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
