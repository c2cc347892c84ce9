"""Settings of how many replicas there are, and how they come and go."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, PlainValidator, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError

from components.settings.section import OVERLAY, SECTION, over, refusal
from components.settings.types import NOT_BOOL


class Replicas(BaseModel):
    """Bounds of a model's replicas."""

    model_config = SECTION

    min: Annotated[int, Field(ge=0, le=1000), NOT_BOOL] = Field(
        default=1,
        description="Replicas that always run; 0 needs inference:autoscaling.httpAddOn, which holds requests.",
    )
    max: Annotated[int, Field(ge=1, le=1000), NOT_BOOL] = Field(
        default=1, description="Replicas at most.", validate_default=True
    )

    @field_validator("max")
    @classmethod
    def _not_below_min(cls, value: int, info: ValidationInfo) -> int:
        lowest = info.data.get("min", 1)
        if value < lowest:
            raise PydanticCustomError(
                "replicas",
                "is less than min {lowest}",
                {"lowest": lowest, "allowed": "an integer of at least replicas.min", "example": lowest},
            )
        return value


class Probe(BaseModel):
    """How often a probe asks, and how many failures in a row count."""

    model_config = OVERLAY

    period_seconds: Annotated[int, Field(ge=1, le=300), NOT_BOOL] = Field(
        default=10, description="Seconds between two probes."
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=300), NOT_BOOL] = Field(
        default=5, description="Seconds that an answer may take."
    )
    failure_threshold: Annotated[int, Field(ge=1, le=100), NOT_BOOL] = Field(
        default=3, description="Failures in a row that count."
    )


class Readiness(BaseModel):
    """What takes a replica out of the Service, and brings it back."""

    model_config = OVERLAY

    kind: Literal["health", "inference"] = Field(
        default="health",
        description="What is asked: the engine's health, or one token, which waits in the queue like any request.",
    )
    period_seconds: Annotated[int, Field(ge=1, le=300), NOT_BOOL] = Field(
        default=5, description="Seconds between two probes."
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=7200), NOT_BOOL] | None = Field(
        default=None,
        description="Seconds that an answer may take; without it 5, and with kind inference 5 more than drainSeconds.",
    )
    failure_threshold: Annotated[int, Field(ge=1, le=100), NOT_BOOL] = Field(
        default=3, description="Failures in a row that count."
    )


READINESS: Final = Readiness()
LIVENESS: Final = Probe.model_validate({"failureThreshold": 6})


class Probes(BaseModel):
    """Probes of the engine."""

    model_config = SECTION

    startup_seconds: Annotated[int, Field(ge=10, le=14_400), NOT_BOOL] | None = Field(
        default=None,
        description="Time that a replica may take to load; without it twice the estimate from weights and bandwidth.",
    )
    engine_start_seconds: Annotated[int, Field(ge=0, le=14_400), NOT_BOOL] | None = Field(
        default=None,
        description="Time from the weights being in memory to the first token, as you measured it; without it what the "
        "program knows of the engine.",
    )
    first_token_seconds: Annotated[int, Field(ge=2, le=300), NOT_BOOL] = Field(
        default=10, description="Time that the startup probe's one token may take, again and again until it comes."
    )
    readiness: Annotated[Readiness, over(READINESS)] = Field(
        default=READINESS, description="Failing takes the pod out of the Service."
    )
    liveness: Annotated[Probe, over(LIVENESS)] = Field(
        default=LIVENESS, description="Asks whether the port is open, never the model; failing restarts the pod."
    )


MOST_SURGE: Final = 1000


def _surge(value: Any) -> int | Literal["auto"]:
    """A number of replicas, or `auto`."""
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if value == "auto":
        return "auto"
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_SURGE:
        raise refusal("is neither a number of replicas nor auto", example=1)
    return number


Surge = Annotated[
    int | Literal["auto"],
    PlainValidator(_surge),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST_SURGE}, {"const": "auto"}],
            "patternErrorMessage": f"an integer from 1 to {MOST_SURGE}, or auto",
        }
    ),
]


class Rollout(BaseModel):
    """How a rollout goes, and the times of it that the load does not determine."""

    model_config = SECTION

    surge: Surge = Field(
        default=1,
        description="Replicas beyond the wanted number while a rollout goes on; auto: as many as spare GPUs of the "
        "pool hold beside replicas.max of all its models, and at least 1.",
    )
    min_ready_seconds: Annotated[int, Field(ge=0, le=3600), NOT_BOOL] = Field(
        default=30, description="Seconds that a new replica has to stay ready before an old one goes."
    )
    image_pull_seconds: Annotated[int, Field(ge=0, le=7200), NOT_BOOL] = Field(
        default=600, description="Time to allow a node for pulling the image, before the rollout counts as failed."
    )
    node_seconds: Annotated[int, Field(ge=0, le=7200), NOT_BOOL] | None = Field(
        default=None,
        description="Time to allow an autoscaler for adding a node; without it 600 for nodes of EKS, 0 for others.",
    )
    progress_deadline_seconds: Annotated[int, Field(ge=1, le=1_000_000), NOT_BOOL] | None = Field(
        default=None,
        description="Time from one replica to the next before the rollout counts as failed; without it the sum of "
        "what may come between.",
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=100_000_000), NOT_BOOL] | None = Field(
        default=None,
        description="Time that Pulumi waits for a rollout; without it a progress deadline for each of its rounds.",
    )


class PriorityClass(BaseModel):
    """A priority that models can have."""

    model_config = SECTION

    value: Annotated[int, Field(ge=-1_000_000_000, le=1_000_000_000), NOT_BOOL] = Field(
        description="Who has more comes first; pods without a class have the cluster's default, most often 0.",
        json_schema_extra={"examples": [1000]},
    )
    preempt: bool = Field(default=True, description="Whether pods with less are put out where there is no room.")
