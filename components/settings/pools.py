"""Settings of GPU pools: nodes that are there, or nodes that EKS provides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Discriminator, Field, Tag, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from components.facts import ec2
from components.facts.ec2 import InstanceFacts
from components.settings.section import SECTION, alias, each_once, refusal
from components.settings.storage import GP3_IOPS, IOPS_PER_GIB, throughput_for
from components.settings.types import (
    NOT_BOOL,
    Cpu,
    FreeText,
    InstanceType,
    LabelKey,
    LabelValue,
    Name,
    ReservationId,
    Size,
    TagKey,
    Taint,
    Text,
    Zone,
)

GPU_TAINT: Final = "nvidia.com/gpu=present:NoSchedule"
# Labels of nodes that the kubelet, EKS or Karpenter refuses; and the program's own, which placement goes by.
RESERVED_DOMAINS: Final = ("kubernetes.io", "k8s.io", "eks.amazonaws.com", "karpenter.sh", "karpenter.k8s.aws")
OWN_LABELS: Final = ("inference/gpu-pool", "inference/gpu-generation")
# By AMI, a release's pattern and what it looks like.
RELEASES: Final = MappingProxyType(
    {
        "al2023": (re.compile(r"^1\.[0-9]{2}\.[0-9]+-20[0-9]{6}$"), "1.34.1-20251112"),
        "bottlerocket": (re.compile(r"^[0-9]+\.[0-9]+\.[0-9]+-[0-9a-f]{8}$"), "1.53.0-abcdef12"),
    }
)
_ARM_FAMILY: Final = re.compile(r"^(a1|[a-z]+[0-9]+[a-z]*g[a-z]*(-.*)?|.*-gb[0-9]+)$")
_NVIDIA: Final = re.compile(r"^[gp]r?[0-9](?!ad)")
# Those of which AWS sells blocks: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-blocks.html.
_IN_BLOCKS: Final = re.compile(r"^p[4-9]")


class Gpu(BaseModel):
    """The GPUs of a node."""

    model_config = SECTION

    product: LabelValue = Field(description="Product, as the node label nvidia.com/gpu.product has it.")
    memory_gib: Annotated[int, Field(ge=1, le=1024), NOT_BOOL] = Field(
        description="Memory of one GPU in GiB.", json_schema_extra={"examples": [24]}
    )
    count: Annotated[int, Field(ge=1, le=16), NOT_BOOL] = Field(default=1, description="GPUs a node.")


class Allocatable(BaseModel):
    """What a node has for pods, its GPUs apart, as `kubectl describe node` says under Allocatable."""

    model_config = SECTION

    cpu: Cpu = Field(description="CPUs that pods can request on a node.")
    memory: Size = Field(description="Memory that pods can request on a node.")


class ExistingPool(BaseModel):
    """Nodes with the same GPUs that are there already."""

    model_config = SECTION

    nodes: Annotated[int, Field(ge=1, le=10_000), NOT_BOOL] = Field(
        description="Number of nodes.", json_schema_extra={"examples": [1]}
    )
    gpu: Gpu = Field(description="The GPUs of each node.")
    allocatable: Allocatable | None = Field(
        default=None,
        description="What a node has for pods; without it nobody here can say whether the replicas' requests fit.",
    )
    node_selector: Annotated[Mapping[LabelKey, LabelValue], Field(min_length=1)] | None = Field(
        default=None, description="Labels of the pool's nodes; without it inference/gpu-pool: NAME."
    )
    taint: Taint = Field(default=GPU_TAINT, description="Taint of the pool's nodes, which its pods tolerate.")
    runtime_class: Name | None = Field(
        default=None, description="RuntimeClass that gives pods their GPU, where that is not the node's default."
    )


class Facts(BaseModel):
    """What has to be known of an instance type that the program's data does not have."""

    model_config = SECTION

    gpu: Gpu = Field(description="Its GPUs.")
    vcpus: Annotated[int, Field(ge=1, le=1024), NOT_BOOL] = Field(description="Its vCPUs.")
    memory_gib: Annotated[int, Field(ge=1, le=65_536), NOT_BOOL] = Field(description="Its memory in GiB.")
    nvme_gb: Annotated[int, Field(ge=0, le=1_000_000), NOT_BOOL] = Field(
        default=0, description="Its instance store in GB, 0 for none."
    )
    network_gbps: Annotated[int, Field(ge=1, le=10_000), NOT_BOOL] = Field(
        default=10, description="Its network bandwidth in Gb/s."
    )
    efa_interfaces: Annotated[int, Field(ge=0, le=64), NOT_BOOL] = Field(
        default=0, description="Its Elastic Fabric Adapters."
    )

    @property
    def of_type(self) -> InstanceFacts:
        """As the program's own facts are."""
        return InstanceFacts(
            product=self.gpu.product,
            gpus=self.gpu.count,
            gpu_memory_mib=self.gpu.memory_gib * 1024,
            vcpus=self.vcpus,
            memory_mib=self.memory_gib * 1024,
            nvme_gb=self.nvme_gb,
            network_gbps=self.network_gbps,
            efa_interfaces=self.efa_interfaces,
        )


class Disk(BaseModel):
    """The root volume of a node, where images are unpacked."""

    model_config = SECTION

    size_gib: Annotated[int, Field(ge=20, le=16_384), NOT_BOOL] = Field(default=100, description="Size in GiB.")
    iops: Annotated[int, Field(ge=3000, le=80_000), NOT_BOOL] | None = Field(
        default=None, description="Operations a second; without it gp3's 3000."
    )
    throughput_mbps: Annotated[int, Field(ge=125, le=2000), NOT_BOOL] | None = Field(
        default=None, description="Throughput in MiB/s; without it gp3's 125. More pulls large images faster."
    )

    @field_validator("iops")
    @classmethod
    def _at_most_as_its_size_allows(cls, value: int | None, info: ValidationInfo) -> int | None:
        most = max(GP3_IOPS, IOPS_PER_GIB * info.data.get("size_gib", value or 0))
        if value is not None and value > most:
            raise refusal(
                f"is more than {IOPS_PER_GIB} a GiB",
                allowed=f"an integer from {GP3_IOPS} to {most}, or more with a larger sizeGiB",
                example=most,
            )
        return value

    @field_validator("throughput_mbps")
    @classmethod
    def _at_most_a_quarter_of_iops(cls, value: int | None, info: ValidationInfo) -> int | None:
        return value and throughput_for(value, info.data.get("iops"))


class EksPool(BaseModel):
    """Nodes with the same GPUs that EKS provides: a managed node group, or Karpenter's."""

    model_config = SECTION

    instance_type: InstanceType = Field(description="Instance type of the nodes.")
    alternatives: tuple[InstanceType, ...] = Field(
        default=(), description="Further instance types with the same GPUs, taken where the first is scarce."
    )
    min: Annotated[int, Field(ge=0, le=1000), NOT_BOOL] = Field(
        default=0, description="Nodes at least; 0 with autoscaler karpenter."
    )
    max: Annotated[int, Field(ge=1, le=1000), NOT_BOOL] = Field(
        description="Nodes at most.", json_schema_extra={"examples": [2]}
    )
    quota_vcpus: Annotated[int, Field(ge=0, le=10_000_000), NOT_BOOL] | None = Field(
        default=None,
        description="vCPUs that the account's quota lets run of the family and purchase option, in the region: without "
        "it nobody here can say whether max nodes can come.",
        json_schema_extra={"examples": [192]},
    )
    zones: Annotated[tuple[Zone, ...], Field(min_length=1)] = Field(
        description="Availability zones; one for weights on a gp3 volume."
    )
    ami: Literal["al2023", "bottlerocket"] = Field(
        default="al2023", description="NVIDIA variant of the EKS AMI; Bottlerocket brings the device plugin."
    )
    ami_release: Text | None = Field(
        default=None, description="Release of the AMI; without it the latest when the node group is created."
    )
    driver: Annotated[int, Field(ge=400, le=999), NOT_BOOL] | None = Field(
        default=None, description="Branch of the AMI's NVIDIA driver, where the program does not know it."
    )
    capacity: Literal["ON_DEMAND", "SPOT", "CAPACITY_BLOCK"] = Field(
        default="ON_DEMAND", description="Purchase option; CAPACITY_BLOCK needs a reservation."
    )
    reservation: ReservationId | None = Field(
        default=None, description="Capacity reservation that the nodes take.", validate_default=True
    )
    autoscaler: Literal["cluster-autoscaler", "karpenter"] = Field(
        default="cluster-autoscaler", description="Who adds and removes nodes between min and max."
    )
    updates: Literal["replace", "inPlace"] = Field(
        default="replace",
        description="Another AMI release: new nodes first and the models move by surge, or EKS drains node after node.",
    )
    max_unavailable: Annotated[int, Field(ge=1, le=100), NOT_BOOL] = Field(
        default=1, description="Nodes that EKS updates at a time where it updates in place."
    )
    repair: bool = Field(default=True, description="Whether EKS replaces nodes with a broken GPU or kubelet.")
    disk: Disk = Field(default=Disk(), description="Root volume of a node.")
    instance_store: bool = Field(
        default=False, description="Make one RAID 0 of the instance's NVMe disks, for weights, images and scratch."
    )
    efa: bool = Field(default=False, description="Attach the Elastic Fabric Adapters, for models over several nodes.")
    labels: Mapping[LabelKey, LabelValue] = Field(default={}, description="Further labels of the nodes.")
    tags: Mapping[TagKey, FreeText] = Field(default={}, description="Further tags of the node group and its nodes.")
    facts: Facts | None = Field(
        default=None,
        description="Facts of an instance type that the program does not know, or knows wrongly.",
        validate_default=True,
    )
    check_offering: bool = Field(
        default=True,
        description="Refuse zones that do not offer the instance type; zone names differ between accounts.",
    )

    @field_validator("instance_type")
    @classmethod
    def _runs_the_amis(cls, value: str) -> str:
        _check_processors(value, ("instanceType",))
        return value

    @field_validator("alternatives")
    @classmethod
    def _alternatives_once(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for index, name in enumerate(value):
            _check_processors(name, ("alternatives", index))
        each_once((info.data.get("instance_type", ""), *value))
        return value

    @field_validator("max")
    @classmethod
    def _not_below_min(cls, value: int, info: ValidationInfo) -> int:
        lowest = info.data.get("min", 0)
        if value < lowest:
            raise refusal(f"is less than min {lowest}", allowed="an integer of at least the pool's min", example=lowest)
        return value

    @field_validator("ami_release")
    @classmethod
    def _release_of_its_ami(cls, value: str | None, info: ValidationInfo) -> str | None:
        pattern, example = RELEASES[info.data.get("ami", "al2023")]
        if value is not None and "ami" in info.data and not pattern.match(value):
            raise refusal(
                f"is no release of ami {info.data['ami']}",
                allowed=f"a release such as {example}",
                fix="name the release in full, or take it out for the latest",
            )
        return value

    @field_validator("capacity")
    @classmethod
    def _sold_in_blocks(cls, value: str, info: ValidationInfo) -> str:
        kind, lowest = info.data.get("instance_type"), info.data.get("min")
        if value == "CAPACITY_BLOCK" and kind is not None and not _IN_BLOCKS.match(kind):
            raise refusal(
                f"is not for {kind}, of which AWS sells no blocks",
                allowed="CAPACITY_BLOCK for instance types of P4 to P6 and newer; ON_DEMAND or SPOT for others",
                example="ON_DEMAND",
            )
        if value == "CAPACITY_BLOCK" and lowest:
            raise refusal(
                f"{lowest} is more than EKS can have before the capacity block begins",
                at=("min",),
                allowed="0 with capacity CAPACITY_BLOCK",
                example=0,
            )
        return value

    @field_validator("autoscaler")
    @classmethod
    def _keeps_the_minimum(cls, value: str, info: ValidationInfo) -> str:
        lowest = info.data.get("min", 0)
        if value == "karpenter" and lowest:
            raise refusal(
                f"{lowest} is more than Karpenter keeps, whose last node goes when it is empty",
                at=("min",),
                allowed="0 with autoscaler karpenter",
                example=0,
            )
        return value

    @field_validator("zones")
    @classmethod
    def _zones_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(value)

    @field_validator("reservation")
    @classmethod
    def _as_the_capacity_needs(cls, value: str | None, info: ValidationInfo) -> str | None:
        capacity = info.data.get("capacity")
        if capacity == "CAPACITY_BLOCK" and value is None:
            raise refusal(
                "is missing, and a capacity block is one",
                allowed="a capacity reservation's id: cr-..., with capacity CAPACITY_BLOCK",
                example="cr-0123456789abcdef0",
            )
        if capacity == "SPOT" and value is not None:
            raise refusal(
                "is for ON_DEMAND and CAPACITY_BLOCK: spot instances take no reservation",
                allowed="a reservation with another capacity than SPOT",
                fix="take it out, or set capacity to ON_DEMAND",
            )
        if value is not None and (len(info.data.get("zones", ())) > 1 or info.data.get("alternatives")):
            raise refusal(
                "is of one instance type in one zone, and the pool has several",
                allowed="a reservation with one zone and no alternatives",
                fix="name its zone alone in zones, and take the alternatives out",
            )
        return value

    @field_validator("instance_store")
    @classmethod
    def _instance_store_by_user_data(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's way
        if value and info.data.get("ami") == "bottlerocket":
            raise refusal(
                "needs user data that Bottlerocket does not take",
                allowed="true with ami al2023, false with bottlerocket",
                fix="set ami to al2023, or take it out",
                hide=True,
            )
        return value

    @field_validator("efa")
    @classmethod
    def _attached_by_a_node_group(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's way
        if value and info.data.get("autoscaler") == "karpenter":
            raise refusal(
                "is for node groups: to the nodes of Karpenter no interfaces are attached",
                allowed="true with autoscaler cluster-autoscaler, false with karpenter",
                fix="take it out, or choose the other autoscaler",
                hide=True,
            )
        return value

    @field_validator("labels")
    @classmethod
    def _labels_of_the_users(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for key in value:
            domain = f".{key.rpartition('/')[0]}"
            if key in OWN_LABELS or any(domain.endswith(f".{reserved}") for reserved in RESERVED_DOMAINS):
                raise refusal(
                    "is Kubernetes', EKS's, Karpenter's or the program's own",
                    at=("labels", key),
                    allowed=f"a label key outside {', '.join(RESERVED_DOMAINS)}, and not {' or '.join(OWN_LABELS)}",
                    fix="rename it in the stack file",
                )
        return value

    @field_validator("facts")
    @classmethod
    def _types_are_known_and_alike(cls, value: Facts | None, info: ValidationInfo) -> Facts | None:
        types = (info.data.get("instance_type"), *info.data.get("alternatives", ()))
        if None in types:
            return value
        known = {name: ec2.instance_type(name) for name in types}
        if value is not None:
            known[types[0]] = value.of_type
        for index, (name, facts) in enumerate(known.items()):
            at = ("instanceType",) if index == 0 else ("alternatives", index - 1)
            if facts is None and value is None:
                raise _unknown(name, at)
            first = known[types[0]]
            if facts and first and _gpus(facts) != _gpus(first):
                raise refusal(
                    f'"{name}" has {_in_words(facts)}, and {types[0]} has {_in_words(first)}',
                    at=at,
                    allowed="instance types with the same GPUs",
                    fix="make it a pool of its own",
                )
            for key, has in (("instance_store", "nvme_gb"), ("efa", "efa_interfaces")):
                if facts and info.data.get(key) and not getattr(facts, has):
                    raise _without(key, name)
            if facts and first and info.data.get("efa") and facts.efa_interfaces != first.efa_interfaces:
                raise refusal(
                    f'"{name}" has {_adapters(facts)}, and {types[0]} has {_adapters(first)}',
                    at=at,
                    allowed="instance types with as many, with efa",
                    fix="make it a pool of its own, or take efa out",
                )
        return value

    @property
    def gpu(self) -> Gpu:
        """The GPUs of each node; memory in whole GiB, as CUDA sees it."""
        facts = self.facts_of_type
        return Gpu.model_validate(
            {"product": facts.product, "memoryGiB": facts.gpu_memory_mib // 1024, "count": facts.gpus}
        )

    @property
    def instance_types(self) -> tuple[str, ...]:
        """The type and its alternatives, the first preferred."""
        return (self.instance_type, *self.alternatives)

    @property
    def facts_of_type(self) -> InstanceFacts:
        """Facts of the instance type: those of the settings, else the program's. LookupError if neither has them."""
        facts = self.facts.of_type if self.facts else ec2.instance_type(self.instance_type)
        if facts is None:
            raise LookupError(self.instance_type)
        return facts

    @property
    def nvme_gb(self) -> int:
        """Instance store in GB that every node has, whichever of the types it is."""
        return min(facts.nvme_gb for facts in self._facts_of_all)

    @property
    def vcpus(self) -> int:
        """CPUs, as EC2 counts them, that every node has."""
        return min(facts.vcpus for facts in self._facts_of_all)

    @property
    def memory_mib(self) -> int:
        """Memory in MiB that every node has."""
        return min(facts.memory_mib for facts in self._facts_of_all)

    @property
    def _facts_of_all(self) -> list[InstanceFacts]:
        """Facts of its types, as far as they are known: of the first they are."""
        others = (ec2.instance_type(name) for name in self.alternatives)
        return [facts for facts in (self.facts_of_type, *others) if facts]

    @property
    def nodes(self) -> int:
        """Number of nodes at most."""
        return self.max

    @property
    def taint(self) -> str:
        """Taint of the pool's nodes, as kubectl writes it."""
        return GPU_TAINT

    @property
    def runtime_class(self) -> None:
        """EKS's AMIs give every container its GPU by default."""
        return


def _gpus(facts: InstanceFacts) -> tuple[str, int, int]:
    return facts.product, facts.gpu_memory_mib, facts.gpus


def _in_words(facts: InstanceFacts) -> str:
    return f"{facts.gpus} {facts.product} of {facts.gpu_memory_mib} MiB"


def _adapters(facts: InstanceFacts) -> str:
    return f"{facts.efa_interfaces} Elastic Fabric Adapter{'' if facts.efa_interfaces == 1 else 's'}"


def is_arm(instance_type: str) -> bool:
    """Whether an instance type's processor is AWS's Graviton or NVIDIA's Grace, as its family's name says."""
    return _ARM_FAMILY.match(instance_type.partition(".")[0]) is not None


def _check_processors(name: str, at: Sequence[str | int]) -> None:
    """Refuses an instance type that the AMIs of the program do not start on, or find no GPU in."""
    problem, allowed = (
        ("is Arm; the AMIs of the program are x86-64", "x86-64 instance types")
        if is_arm(name)
        else (None if _NVIDIA.match(name) else "has no NVIDIA GPU", "instance types of the families g and p")
    )
    if problem:
        raise refusal(f'"{name}" {problem}', at=at, allowed=allowed, fix="choose another instance type")


def _unknown(name: str, at: Sequence[str | int]) -> PydanticCustomError:
    prefix, _, _ = name.partition(".")
    family = [known for known in ec2.instance_types() if known.startswith(f"{prefix}.")]
    near = ", ".join(family or sorted({known.partition(".")[0] + ".*" for known in ec2.instance_types()}))
    return refusal(
        f'"{name}" is no GPU instance type that the program knows',
        at=at,
        allowed=f"{near}, or another x86-64 type with facts",
        fix="if it is right, set facts beside it: gpu.product, gpu.memoryGiB, gpu.count, vcpus, memoryGiB, nvmeGB, "
        "networkGbps, efaInterfaces",
    )


def _without(key: str, name: str) -> PydanticCustomError:
    what = {"instance_store": "NVMe disks", "efa": "an Elastic Fabric Adapter"}[key]
    return refusal(
        f"needs {what}, and {name} has none",
        at=(alias(key),),
        allowed=f"true for instance types with {what}",
        fix="take it out, or choose another instance type",
    )


def _kind(pool: Any) -> str:
    """Which kind of pool a section is: the one that has more of its keys."""
    if isinstance(pool, Mapping):
        existing, eks = (
            sum(field.alias in pool for field in kind.model_fields.values()) for kind in (ExistingPool, EksPool)
        )
        return ExistingPool.__name__ if existing >= eks else EksPool.__name__
    return type(pool).__name__ if isinstance(pool, ExistingPool | EksPool) else ExistingPool.__name__


GpuPool = Annotated[
    Annotated[ExistingPool, Tag(ExistingPool.__name__)] | Annotated[EksPool, Tag(EksPool.__name__)],
    Discriminator(_kind),
]
