"""Settings of how many replicas there are, and how they come and go."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from components.settings.section import OVERLAY, SECTION, over
from components.settings.types import NOT_BOOL


class Replicas(BaseModel):
    """Bounds of a model's replicas."""

    model_config = SECTION

    min: Annotated[int, Field(ge=1, le=1000), NOT_BOOL] = Field(default=1, description="Replicas that always run.")
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


READINESS: Final = Probe.model_validate({"periodSeconds": 5})
LIVENESS: Final = Probe.model_validate({"failureThreshold": 6})


class Probes(BaseModel):
    """Probes of the engine."""

    model_config = SECTION

    startup_seconds: Annotated[int, Field(ge=10, le=14_400), NOT_BOOL] | None = Field(
        default=None,
        description="Time that a replica may take to load; without it twice the estimate from weights and bandwidth.",
    )
    readiness: Annotated[Probe, over(READINESS)] = Field(
        default=READINESS, description="Asks the engine's health; failing takes the pod out of the Service."
    )
    liveness: Annotated[Probe, over(LIVENESS)] = Field(
        default=LIVENESS, description="Asks whether the port is open, never the model; failing restarts the pod."
    )


class Rollout(BaseModel):
    """Times of a rollout that the load does not determine."""

    model_config = SECTION

    min_ready_seconds: Annotated[int, Field(ge=0, le=3600), NOT_BOOL] = Field(
        default=10, description="Seconds that a new replica has to stay ready before an old one goes."
    )
    image_pull_seconds: Annotated[int, Field(ge=0, le=7200), NOT_BOOL] = Field(
        default=600, description="Time to allow a node for pulling the image, before the rollout counts as failed."
    )
    node_seconds: Annotated[int, Field(ge=0, le=7200), NOT_BOOL] | None = Field(
        default=None,
        description="Time to allow an autoscaler for adding a node; without it 600 for nodes of EKS, 0 for others.",
    )
