"""Settings of a model that is served."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from components.engines import ENGINES, reserved
from components.settings.amounts import Resources
from components.settings.rollout import Probes, Replicas, Rollout
from components.settings.section import SECTION, over, refusal
from components.settings.types import (
    FRACTION,
    NOT_BOOL,
    Cuda,
    EnvName,
    FreeText,
    Image,
    LabelKey,
    LabelValue,
    Name,
    Size,
    Source,
    Text,
    size_bytes,
)
from components.settings.weights import Weights

ENGINE_RESOURCES: Final = Resources.model_validate(
    {
        "requests": {"cpu": "2", "memory": "12Gi", "ephemeralStorage": "4Gi"},
        "limits": {"cpu": "8", "memory": "12Gi", "ephemeralStorage": "16Gi"},
    }
)


_SET_INSTEAD: Final = "take it out and set it as a secret: pulumi config set --secret inference:hfToken"
# Environment variables that are secrets, each with what to do instead.
SECRETS: Final = MappingProxyType(
    {
        "HF_TOKEN": _SET_INSTEAD,
        "HUGGING_FACE_HUB_TOKEN": _SET_INSTEAD,
        "VLLM_API_KEY": "take it out: stack files and previews would show it",
        "AWS_SECRET_ACCESS_KEY": "take it out: give the pods a role instead",
    }
)


def default_shared_memory(gpus: int) -> str:
    """Size of /dev/shm for one replica: tensor parallel workers exchange tensors there, a single one needs little."""
    return "1Gi" if gpus == 1 else f"{4 * gpus}Gi"


class Model(BaseModel):
    """A model that is served under its key's name."""

    model_config = SECTION

    engine: Literal["vllm"] = Field(default="vllm", description="Inference engine.")
    image: Image | None = Field(default=None, description=f"Image of the engine; without it the pinned one of the program.")
    cuda: Cuda | None = Field(
        default=None, description="CUDA of the image, checked against the nodes' driver; needed for an own image only."
    )
    source: Source = Field(description="Where the weights come from, and which revision of them.")
    gpus: Annotated[int, Field(ge=1, le=16), NOT_BOOL] = Field(
        default=1, description="GPUs of one replica, which is its tensor parallel size."
    )
    pool: Name = Field(description="GPU pool, a key of inference:gpuPools.")
    context_length: Annotated[int, Field(ge=16, le=10_485_760), NOT_BOOL] = Field(
        description="Tokens of prompt and answer together.", json_schema_extra={"examples": [8192]}
    )
    concurrency: Annotated[int, Field(ge=1, le=4096), NOT_BOOL] = Field(
        default=32, description="Requests that a replica runs at a time."
    )
    gpu_memory_utilization: Annotated[float, Field(ge=0.1, le=0.98), FRACTION, NOT_BOOL] = Field(
        default=0.9, description="Share of a GPU's memory that the engine takes."
    )
    replicas: Replicas = Field(default=Replicas(), description="Bounds of the replicas; min are deployed.")
    weights: Weights = Field(default=Weights(), description="The volume with the weights.")
    drain_seconds: Annotated[int, Field(ge=0, le=3600), NOT_BOOL] = Field(
        default=300, description="Time that running answers get to end after a replica is told to stop."
    )
    pre_stop_seconds: Annotated[int, Field(ge=1, le=300), NOT_BOOL] = Field(
        default=10, description="Time before the stop in which endpoints learn that the replica goes."
    )
    probes: Probes = Field(default=Probes(), description="Probes of the engine.")
    rollout: Rollout = Field(default=Rollout(), description="Times of a rollout.")
    engine_args: tuple[Text, ...] = Field(
        default=(), description="Further arguments of the engine, after the program's own."
    )
    env: Mapping[EnvName, FreeText] = Field(
        default={}, description="Environment variables of the engine, over the program's own."
    )
    shared_memory: Size | None = Field(
        default=None,
        description="Size of /dev/shm, part of the memory limit; without it 1Gi, or 4Gi a GPU with several.",
    )
    resources: Annotated[Resources, over(ENGINE_RESOURCES)] = Field(
        default=ENGINE_RESOURCES, description="Requests and limits of the engine, GPUs apart.", validate_default=True
    )
    read_only_root: bool = Field(
        default=True,
        description="Read-only root filesystem; some nodes' CDI hooks need it writable.",
    )
    labels: Mapping[LabelKey, LabelValue] = Field(
        default={}, description="Further labels of the model's resources and pods."
    )
    annotations: Mapping[LabelKey, FreeText] = Field(default={}, description="Further annotations of the model's pods.")

    @field_validator("pool")
    @classmethod
    def _pool_exists_and_holds_a_replica(cls, value: str, info: ValidationInfo) -> str:
        pools, gpus = _pools(info), info.data.get("gpus")
        if pools is None:
            return value
        if value not in pools:
            enough = (name for name, count in pools.items() if count is not None and count >= (gpus or 1))
            raise refusal(
                "is no GPU pool",
                allowed=f"a key of inference:gpuPools ({', '.join(pools) or 'none yet'})",
                example=next(enough, None),
            )
        count = pools[value]
        if gpus is not None and count is not None and gpus > count:
            raise refusal(
                f"{gpus} is more than the {count} GPU{'' if count == 1 else 's'} of a node of pool {value}",
                at=("gpus",),
                allowed="1" if count == 1 else f"an integer from 1 to {count}",
                example=count,
            )
        return value

    @field_validator("engine_args")
    @classmethod
    def _engine_args_leave_ours_alone(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        engine = ENGINES.get(info.data.get("engine", ""))
        if engine is None:
            return value
        flag = next(filter(None, (reserved(engine, argument) for argument in value)), None)
        if flag is not None:
            raise PydanticCustomError(
                "engine_args",
                "holds {flag}, which is reserved",
                {
                    "flag": flag,
                    "allowed": "arguments other than " + ", ".join(engine.reserved),
                    "fix": f"take it out: {engine.reserved[flag]}",
                    "hide": True,
                },
            )
        return value

    @field_validator("env")
    @classmethod
    def _env_holds_no_secret(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        name = next((name for name in SECRETS if name in value), None)
        if name is not None:
            raise PydanticCustomError(
                "secret",
                "holds {name} in clear",
                {"name": name, "allowed": "variables without secrets", "fix": SECRETS[name], "hide": True},
            )
        return value

    @field_validator("resources")
    @classmethod
    def _memory_holds_shared_memory(cls, value: Resources, info: ValidationInfo) -> Resources:
        # A number of GPUs that the pool does not have is a mistake of its own, and no measure.
        gpus = info.data.get("gpus", 1) if "pool" in info.data else 1
        shared = info.data.get("shared_memory") or default_shared_memory(gpus)
        if size_bytes(shared) >= size_bytes(value.limits.memory):
            raise PydanticCustomError(
                "memory",
                "limits.memory {limit} is not above the shared memory of {shared}, which is part of it",
                {
                    "limit": value.limits.memory,
                    "shared": shared,
                    "allowed": "limits.memory above sharedMemory",
                    "fix": "raise resources.limits.memory in the stack file, or set a smaller sharedMemory",
                    "hide": True,
                },
            )
        return value


def _pools(info: ValidationInfo) -> Mapping[str, int | None] | None:
    """GPUs a node of each pool (None where that is a mistake itself), from the loader."""
    pools: Mapping[str, int | None] | None = (info.context or {}).get("pools")
    return pools
