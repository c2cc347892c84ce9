"""Settings of what a model is held to: what its alerts ask for, and its scorecard measures against."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from components.settings.section import SECTION, refusal
from components.settings.types import FRACTION, NOT_BOOL

TTFT_MILLIS: Final = MappingProxyType({"chat": 500, "rag": 5000})
"""Somebody waits for the first word of a chat; an answer from documents has thousands of tokens to read before."""


def default_ttft(objectives: dict[str, Any]) -> int:
    """Milliseconds to the first token that users of such a model put up with."""
    return TTFT_MILLIS[objectives.get("kind", "chat")]


class KvCache(BaseModel):
    """Shares of the KV cache in use, above which requests soon wait, or are thrown out of it."""

    model_config = SECTION

    warning: Annotated[float, Field(ge=0.1, le=0.99), FRACTION, NOT_BOOL] = Field(
        default=0.85, description="Share of the KV cache that a replica uses for long at most."
    )
    critical: Annotated[float, Field(ge=0.1, le=1), FRACTION, NOT_BOOL] = Field(
        default=0.95,
        description="Share of the KV cache at which running requests are about to be thrown out.",
        validate_default=True,
    )

    @field_validator("critical")
    @classmethod
    def _above_the_warning(cls, value: float, info: ValidationInfo) -> float:
        warning = info.data.get("warning")
        if warning is not None and value <= warning:
            raise refusal(
                f"is not above warning {warning:g}",
                allowed="a number above kvCache.warning, to 1",
                example=round((1 + warning) / 2, 3),
            )
        return value


class Objectives(BaseModel):
    """What a model is held to, over all its replicas."""

    model_config = SECTION

    kind: Literal["chat", "rag"] = Field(
        default="chat",
        description="What the model is for, from which ttftP99Millis follows: 500 for chat, 5000 for rag.",
    )
    ttft_p99_millis: Annotated[int, Field(ge=1, le=600_000), NOT_BOOL] = Field(
        default_factory=default_ttft,
        description="Time to first token that 99 of 100 requests keep to, in milliseconds; without it the kind's.",
        json_schema_extra={"examples": [500]},
    )
    tpot_p99_millis: Annotated[int, Field(ge=1, le=10_000), NOT_BOOL] | None = Field(
        default=None,
        description="Time per output token that 99 of 100 keep to, in milliseconds; without it the model's tpotMillis.",
    )
    queue: Annotated[int, Field(ge=1, le=100_000), NOT_BOOL] = Field(
        default=100, description="Requests that wait at most, over all replicas."
    )
    kv_cache: KvCache = Field(default=KvCache(), description="Shares of the KV cache in use.")
    availability: Annotated[float, Field(ge=0.95, le=0.99999), FRACTION, NOT_BOOL] = Field(
        default=0.999, description="Share of the requests that succeed; the rest is the error budget."
    )

    @property
    def ttft_p99(self) -> float:
        """Seconds to the first token."""
        return self.ttft_p99_millis / 1000

    @property
    def error_budget(self) -> float:
        """Share of the requests that may fail."""
        return round(1 - self.availability, 6)
