"""Settings of storage for weights on AWS; each kind knows its access mode and its reading rate."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from components.settings.section import SECTION, refusal
from components.settings.types import NOT_BOOL, NvmePath, S3Path, SecurityGroupId, Zone

AccessMode = Literal["ReadWriteMany", "ReadWriteOnce"]
CapacityGiB = Literal[1200, 2400, 4800, 7200, 9600, 12000]
CAPACITIES: Final[tuple[int, ...]] = get_args(CapacityGiB)
"""Sizes of an FSx file system that the program offers."""
SECURITY_GROUPS = Field(
    default=(), description="Security groups that let the nodes in; without it one is made for the cluster's nodes."
)
PROTECT = Field(default=True, description="Refuse to delete or replace the file system until `pulumi state unprotect`.")


IOPS_PER_GIB: Final = 500
"""EBS gives a gp3 volume at most as many operations a second for each GiB."""
GP3_IOPS: Final = 3000
"""Operations a second that every gp3 volume has."""


def throughput_for(throughput: int, iops: int | None) -> int:
    """A gp3 volume's throughput in MiB/s, checked against its operations a second: a quarter at most. For validators.

    Source: https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html.
    """
    most = (iops or GP3_IOPS) // 4
    if throughput > most:
        raise refusal(
            f"is more than a quarter of {iops or GP3_IOPS} operations a second",
            allowed=f"an integer from 125 to {most}, or more with more iops",
            fix=f"set iops to {4 * throughput} at least, or it to {most}",
        )
    return throughput


class Efs(BaseModel):
    """An EFS file system with a mount target in every zone; an access point for every volume."""

    model_config = SECTION

    kind: Literal["efs"] = Field(description="Amazon EFS: shared by all nodes of all zones.")
    throughput: Literal["elastic", "bursting", "provisioned"] = Field(
        default="elastic", description="Throughput mode; elastic is paid by use."
    )
    provisioned_mbps: Annotated[int, Field(ge=1, le=10_240), NOT_BOOL] | None = Field(
        default=None, description="Throughput in MiB/s of the mode provisioned.", validate_default=True
    )
    security_groups: tuple[SecurityGroupId, ...] = SECURITY_GROUPS
    protect: bool = PROTECT

    @field_validator("provisioned_mbps")
    @classmethod
    def _given_for_its_mode(cls, value: int | None, info: ValidationInfo) -> int | None:
        mode = info.data.get("throughput")
        if mode == "provisioned" and value is None:
            raise refusal(
                "is missing",
                at=("provisionedMBps",),
                allowed="an integer from 1 to 10240, with throughput provisioned",
                example=512,
            )
        if mode in {"elastic", "bursting"} and value is not None:
            raise refusal(
                f"belongs to throughput provisioned, not to {mode}",
                allowed="throughput provisioned with it, or another without",
                fix="take it out, or set throughput to provisioned",
            )
        return value

    @property
    def access_mode(self) -> AccessMode:
        """How many nodes mount a volume at the same time."""
        return "ReadWriteMany"

    @property
    def bandwidth_mbps(self) -> int:
        """Reading rate of one node in MB/s: https://docs.aws.amazon.com/efs/latest/ug/performance.html."""
        return {"elastic": 1500, "bursting": 100, "provisioned": self.provisioned_mbps or 1}[self.throughput]


class Gp3(BaseModel):
    """EBS volumes of type gp3, in the zone of the pool."""

    model_config = SECTION

    kind: Literal["gp3"] = Field(description="Amazon EBS gp3: one node at a time, in one zone.")
    iops: Annotated[int, Field(ge=3000, le=80_000), NOT_BOOL] = Field(
        default=3000, description="Operations a second, at most 500 a GiB."
    )
    throughput_mbps: Annotated[int, Field(ge=125, le=2000), NOT_BOOL] = Field(
        default=125, description="Throughput in MiB/s, at most a quarter of iops."
    )

    @field_validator("throughput_mbps")
    @classmethod
    def _at_most_a_quarter_of_iops(cls, value: int, info: ValidationInfo) -> int:
        return throughput_for(value, info.data.get("iops"))

    @property
    def access_mode(self) -> AccessMode:
        """How many nodes mount a volume at the same time."""
        return "ReadWriteOnce"

    @property
    def bandwidth_mbps(self) -> int:
        """Reading rate in MB/s."""
        return self.throughput_mbps


class Fsx(BaseModel):
    """An FSx for Lustre file system, which may be linked to an S3 prefix."""

    model_config = SECTION

    kind: Literal["fsx"] = Field(description="Amazon FSx for Lustre: shared by all nodes, fastest in its own zone.")
    zone: Zone = Field(description="Zone of the file system.")
    capacity_gib: CapacityGiB = Field(default=1200, description="Size in GiB.")
    throughput_per_tib: Literal[125, 250, 500, 1000] = Field(default=250, description="Throughput in MB/s a TiB.")
    s3: S3Path | None = Field(default=None, description="S3 prefix whose objects appear as files, and back.")
    security_groups: tuple[SecurityGroupId, ...] = SECURITY_GROUPS
    protect: bool = PROTECT

    @property
    def access_mode(self) -> AccessMode:
        """How many nodes mount a volume at the same time."""
        return "ReadWriteMany"

    @property
    def bandwidth_mbps(self) -> int:
        """Reading rate of the file system in MB/s."""
        return self.capacity_gib * self.throughput_per_tib // 1024


class InstanceStore(BaseModel):
    """The nodes' own NVMe disks: every node has its copy of the weights, seeded before its first replica starts."""

    model_config = SECTION

    kind: Literal["instanceStore"] = Field(description="NVMe of the instance: a copy on every node.")
    path: NvmePath = Field(
        default="/mnt/k8s-disks/0/weights", description="Folder on the node; it is never made on the root disk."
    )
    read_mbps: Annotated[int, Field(ge=100, le=100_000), NOT_BOOL] = Field(
        default=2000, description="Reading rate in MB/s."
    )

    @property
    def access_mode(self) -> AccessMode:
        """Every node mounts its own."""
        return "ReadWriteMany"

    @property
    def bandwidth_mbps(self) -> int:
        """Reading rate in MB/s."""
        return self.read_mbps


Storage = Annotated[Efs | Gp3 | Fsx | InstanceStore, Field(discriminator="kind")]
