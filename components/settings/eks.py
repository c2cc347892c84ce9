"""Settings of an EKS cluster: one that is there, or one to be created."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from components.settings.section import SECTION, each_once, refusal
from components.settings.types import (
    NOT_BOOL,
    AddonVersion,
    Arn,
    Cidr,
    EksName,
    EndpointName,
    FreeText,
    InstanceType,
    KubernetesVersion,
    Name,
    SubnetId,
    TagKey,
    VpcCidr,
    Zone,
)

SUPPORTED: Final = ("1.34", "1.35", "1.36")
"""Versions in EKS's standard support in November 2026; 1.34 leaves it on 2 December."""
ENDPOINT_CIDRS: Final = 40
"""As many as EKS takes."""
PRIVATE: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
CREATED_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
GIB = Annotated[int, Field(ge=20, le=16_384), NOT_BOOL]


class SystemNodes(BaseModel):
    """The node group without GPUs: CoreDNS, controllers and the seeding Jobs run there."""

    model_config = SECTION

    instance_types: Annotated[tuple[InstanceType, ...], Field(min_length=1)] = Field(
        default=("m7i.large",), description="Instance types, alike in size."
    )
    min: Annotated[int, Field(ge=1, le=100), NOT_BOOL] = Field(default=2, description="Nodes at least.")
    max: Annotated[int, Field(ge=1, le=100), NOT_BOOL] = Field(
        default=4, description="Nodes at most.", validate_default=True
    )
    disk_gib: GIB = Field(default=50, description="Root volume of a node in GiB.")

    @field_validator("max")
    @classmethod
    def _not_below_min(cls, value: int, info: ValidationInfo) -> int:
        lowest = info.data.get("min", 1)
        if value < lowest:
            raise refusal(f"is less than min {lowest}", allowed="an integer of at least system.min", example=lowest)
        return value


class CreateCluster(BaseModel):
    """What a cluster is created with: a VPC of its own, control plane, system nodes, add-ons."""

    model_config = SECTION

    version: KubernetesVersion = Field(
        default="1.35",
        description="Kubernetes version of the control plane. EKS raises it by itself when standard support ends: then "
        "raise it here.",
    )
    zones: Annotated[tuple[Zone, ...], Field(min_length=2, max_length=6)] = Field(
        description="Availability zones of the VPC, at least two. Those that it is created with stay those of the "
        "control plane and the system nodes; add further ones, for GPU nodes, at the end: one NAT is in the first."
    )
    cidr: VpcCidr = Field(default="10.0.0.0/16", description="Private IPv4 range of the VPC, /16 to /20.")
    nat: Literal["one", "perZone"] = Field(
        default="one", description="NAT gateways: one is cheaper, perZone outlives the loss of a zone."
    )
    interface_endpoints: tuple[EndpointName, ...] = Field(
        default=(), description="AWS services to reach inside the VPC, such as ecr.api, ecr.dkr and sts; S3 always is."
    )
    endpoint_cidrs: tuple[Cidr, ...] = Field(
        default=("0.0.0.0/0",), description="Ranges that reach the API server's public endpoint; [] closes it."
    )
    admins: tuple[Arn, ...] = Field(default=(), description="ARNs of IAM principals that administer the cluster.")
    creator_is_admin: bool = Field(
        default=True,
        description="Whether who runs `pulumi up` first administers the cluster: then not to be one of admins, where "
        "EKS refuses a second entry; else to be one.",
    )
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 180, 365] = Field(
        default=30, description="Days that the control plane's logs are kept."
    )
    addons: Mapping[Name, AddonVersion] = Field(
        default={},
        description="Versions of EKS add-ons by name; without one EKS takes its default for the cluster's. Others than "
        "the program's are installed too, without a role.",
    )
    system: SystemNodes = Field(default=SystemNodes(), description="Nodes without GPUs.")
    protect: bool = Field(
        default=True,
        description="Refuse to delete or replace VPC, cluster and key until `pulumi state unprotect`.",
    )

    @field_validator("zones", "interface_endpoints", "endpoint_cidrs", "admins")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(value)

    @field_validator("version")
    @classmethod
    def _supported(cls, value: str) -> str:
        if value not in SUPPORTED:
            raise refusal(
                f'"{value}" is not in EKS\'s standard support, as of November 2026',
                allowed=", ".join(SUPPORTED),
                example=SUPPORTED[-2],
                hide=True,
            )
        return value

    @field_validator("cidr", mode="before")
    @classmethod
    def _private(cls, value: Any) -> Any:
        # Before the type's own check, whose suggestion is a range about the same address.
        address = _address(value)
        if address is not None and not any(address in each for each in PRIVATE):
            raise refusal(
                f'"{value}" is not private',
                allowed="a range of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10",
                example="10.0.0.0/16",
                hide=True,
            )
        return value

    @field_validator("interface_endpoints")
    @classmethod
    def _s3_is_a_gateway(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "s3" in value:
            raise refusal(
                "holds s3, which is always there, as a gateway",
                allowed="other services",
                fix="take it out",
                hide=True,
            )
        return value

    @field_validator("endpoint_cidrs")
    @classmethod
    def _public(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            reason = _no_way_in(IPv4Network(each))
            if reason is not None:
                raise refusal(f"holds {each}, which is {reason}", allowed="public ranges", fix="take it out", hide=True)
        if len(value) > ENDPOINT_CIDRS:
            raise refusal(
                f"has {len(value)} ranges",
                allowed=f"at most {ENDPOINT_CIDRS}",
                fix="take some together in the stack file",
                hide=True,
            )
        return value

    @field_validator("creator_is_admin")
    @classmethod
    def _somebody_is_admin(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic passes it so
        if not value and info.data.get("admins") == ():
            raise refusal(
                "leaves nobody to administer the cluster",
                allowed="false together with admins",
                fix="name who runs `pulumi up` under admins, or take it out",
                hide=True,
            )
        return value


class EksCluster(BaseModel):
    """An EKS cluster in the region that aws:region names."""

    model_config = SECTION

    provider: Literal["aws"] = Field(description="Where the cluster comes from: EKS.")
    name: EksName = Field(
        description="Name of the EKS cluster, and its identity in Pulumi's state; one that is created has lower-case "
        "letters, digits and hyphens, at most 40."
    )
    subnets: Mapping[Zone, SubnetId] = Field(
        default={}, description="Private subnet of each zone, for an existing cluster; a created one has its own."
    )
    create: CreateCluster | None = Field(
        default=None, description="Create the cluster; without it the one of that name is used."
    )
    auto_mode: bool = Field(
        default=False, description="Whether the existing cluster runs in EKS Auto Mode, which brings the device plugin."
    )
    tags: Mapping[TagKey, FreeText] = Field(default={}, description="Further tags of every AWS resource.")

    @field_validator("create")
    @classmethod
    def _created_under_a_name_with_room_for_more(
        cls, value: CreateCluster | None, info: ValidationInfo
    ) -> CreateCluster | None:
        name = info.data.get("name", "")
        if value is not None and name and not CREATED_NAME.fullmatch(name):
            raise refusal(
                f'"{name}" is no name for a cluster to be created, from which others are made',
                at=("name",),
                allowed="lower-case letters, digits and hyphens, first a letter, at most 40 characters",
                fix="choose another in the stack file",
            )
        return value

    @field_validator("create")
    @classmethod
    def _created_with_subnets_of_its_own(
        cls, value: CreateCluster | None, info: ValidationInfo
    ) -> CreateCluster | None:
        if value is not None and info.data.get("subnets"):
            raise refusal(
                "are those of an existing cluster, and create makes its own",
                at=("subnets",),
                allowed="subnets without create, or create without subnets",
                fix="take one of the two out",
            )
        return value

    @field_validator("auto_mode")
    @classmethod
    def _auto_mode_where_it_is(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001
        if value and info.data.get("create") is not None:
            raise refusal(
                "is what an existing cluster has; create makes one with node groups",
                allowed="autoMode without create",
                fix="take one of the two out",
                hide=True,
            )
        return value


def _address(value: Any) -> IPv4Address | None:
    """The address that a range is written with; None for what is no range, about which its type says more."""
    try:
        return IPv4Interface(value).ip if isinstance(value, str) else None
    except ValueError:
        return None


def _no_way_in(network: IPv4Network) -> str | None:
    """Why nobody reaches a public endpoint from the range, if so."""
    if any(network.subnet_of(each) for each in PRIVATE):
        return "private: from inside the VPC the API server is reached in any case"
    if network.is_loopback or network.is_link_local or network.is_multicast or network.is_reserved:
        return "loopback, link-local, multicast or reserved: nobody comes from there"
    return None
