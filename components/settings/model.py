"""Settings of a model that is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from components.settings.amounts import Resources
from components.settings.engine import (
    Dtype,
    EngineName,
    Quantization,
    arguments_leave_ours_alone,
    variables_leave_ours_alone,
)
from components.settings.objectives import Objectives
from components.settings.rollout import Probes, Replicas, Rollout
from components.settings.scaling import Scaling
from components.settings.section import SECTION, over, refusal
from components.settings.shape import ModelFacts
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
    ObjectName,
    PathInWeights,
    SecretName,
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


DRAIN_SECONDS: Final = 300
LONGEST_DRAIN: Final = 3600


def default_shared_memory(gpus: int) -> str:
    """Size of /dev/shm for one replica: tensor parallel workers exchange tensors there, a single one needs little."""
    return "1Gi" if gpus == 1 else f"{4 * gpus}Gi"


def default_drain(model: dict[str, Any]) -> int:
    """Seconds that the longest answer takes at the model's time per output token; 300 where nothing says how long."""
    tokens, millis = model.get("output_tokens"), model.get("tpot_millis", 50)
    return DRAIN_SECONDS if tokens is None else answer_seconds(tokens, millis)


def answer_seconds(tokens: int, millis: int) -> int:
    """Seconds that an answer of so many tokens takes, of so many milliseconds each."""
    return -(-tokens * millis // 1000)


class Model(BaseModel):
    """A model that is served under its key's name."""

    model_config = SECTION

    engine: EngineName = Field(default="vllm", description="Inference engine.")
    triton: bool = Field(
        default=False,
        description="Serve by a Triton server with the engine inside, from a model repository: for tensorrt-llm.",
    )
    image: Image | None = Field(
        default=None,
        description="Image of the engine; without it the program's own, pinned by digest, where it has one.",
    )
    cuda: Cuda | None = Field(
        default=None, description="CUDA of the image, checked against the nodes' driver; needed for an own image only."
    )
    dtype: Dtype | None = Field(
        default=None, description="Data type to compute in; without it the engine takes that of the weights."
    )
    quantization: Quantization | None = Field(
        default=None, description="Quantization of the weights, where the engine does not see it by itself."
    )
    weights_file: PathInWeights | None = Field(
        default=None,
        description="The one file of the weights that the engine loads, for quantization gguf.",
        json_schema_extra={"examples": ["model-Q4_K_M.gguf"]},
    )
    adapters: Mapping[Name, PathInWeights] = Field(
        default={}, description="LoRA adapters by the name that requests give as their model: folders of the weights."
    )
    ngc_key_secret: SecretName | None = Field(
        default=None,
        description="Secret of the namespace with the key of NVIDIA's registry as NGC_API_KEY; needed for nim.",
        json_schema_extra={"examples": ["ngc"]},
    )
    source: Source = Field(description="Where the weights come from, and which revision of them.")
    facts: ModelFacts | None = Field(
        default=None, description="Facts of the model that the program does not know, or knows wrongly."
    )
    gpus: Annotated[int, Field(ge=1, le=16), NOT_BOOL] = Field(
        default=1, description="GPUs of one replica, which is its tensor parallel size."
    )
    nodes_per_replica: Annotated[int, Field(ge=1, le=64), NOT_BOOL] = Field(
        default=1, description="Nodes of one replica, each with `gpus` GPUs; more than 1 needs LeaderWorkerSet."
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
    scaling: Scaling | None = Field(
        default=None, description="How it is scaled between them, in a stack with inference:autoscaling."
    )
    weights: Weights = Field(default=Weights(), description="The volume with the weights.")
    output_tokens: Annotated[int, Field(ge=1, le=10_485_760), NOT_BOOL] | None = Field(
        default=None, description="Tokens of the longest answer, from which drainSeconds follows."
    )
    tpot_millis: Annotated[int, Field(ge=1, le=10_000), NOT_BOOL] = Field(
        default=50, description="Time per output token that a full replica takes at most, in milliseconds."
    )
    tokens_per_second: Annotated[int, Field(ge=1, le=1_000_000), NOT_BOOL] | None = Field(
        default=None,
        description="Output tokens a second of a full replica, as you measured them; a million tokens' cost follows.",
        json_schema_extra={"examples": [1200]},
    )
    objectives: Objectives = Field(default=Objectives(), description="What its alerts and scorecard hold it to.")
    drain_seconds: Annotated[int, Field(ge=0, le=LONGEST_DRAIN), NOT_BOOL] = Field(
        default_factory=default_drain,
        description="Time that running answers get to end after a replica is told to stop; without it outputTokens x "
        "tpotMillis, or 300 where no outputTokens are given.",
        json_schema_extra={"examples": [300]},
    )
    pre_stop_seconds: Annotated[int, Field(ge=1, le=300), NOT_BOOL] = Field(
        default=10, description="Time before the stop in which endpoints learn that the replica goes."
    )
    probes: Probes = Field(default=Probes(), description="Probes of the engine.")
    rollout: Rollout = Field(default=Rollout(), description="How a rollout goes.")
    priority_class: ObjectName | None = Field(
        default=None,
        description="Priority of the replicas: a key of inference:priorityClasses, or a class of the cluster.",
    )
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

    _engine_args = field_validator("engine_args")(arguments_leave_ours_alone)
    _env = field_validator("env")(variables_leave_ours_alone)

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
