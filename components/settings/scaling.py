"""Settings of how a model is scaled: by what, how far, and how fast."""

from __future__ import annotations

import re
import zoneinfo
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, field_validator

from components.settings.section import OVERLAY, SECTION, over, refusal
from components.settings.types import FRACTION, NOT_BOOL, Cron, TimeZone

Seconds = Annotated[int, Field(ge=0, le=3600), NOT_BOOL]
"""As far as the autoscaler looks back."""
Period = Annotated[int, Field(ge=1, le=1800), NOT_BOOL]
"""As far as its policies reach."""


# As KEDA reads them (github.com/robfig/cron): Sunday is 0 and never 7.
_CRON: Final[tuple[tuple[str, int, int, tuple[str, ...]], ...]] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    ("day of the week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
_PART: Final = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9][0-9]*))?")


def _time_that_there_is(value: str) -> str:
    """KEDA makes no autoscaler at all of a scaler with a time that it cannot read."""
    for field, (what, least, most, names) in zip(value.split(" "), _CRON, strict=True):
        numbers = {name: str(number) for number, name in enumerate(names, least)}
        for part in field.split(","):
            match = _PART.fullmatch(part)
            bounds = [numbers.get(each.lower(), each) for each in (match.groups()[:2] if match else ("",)) if each]
            known = all(each.isdecimal() and least <= int(each) <= most for each in bounds)
            if match is None or not known or sorted(bounds, key=int) != bounds:
                raise refusal(
                    f'has "{part}" for the {what}',
                    allowed=f"numbers from {least} to {most}, ranges of them such as {least}-{most}, or *, each with a "
                    "step such as */2",
                    example="30 7 * * 1-5",
                )
    return value


Time = Annotated[Cron, AfterValidator(_time_that_there_is)]


def _known_zone(value: str) -> str:
    zones = zoneinfo.available_timezones()
    # A machine without the database knows none, and KEDA brings its own.
    if zones and value not in zones:
        raise refusal("is no time zone", allowed="a zone of the IANA database", example="Europe/Berlin")
    return value


class Ttft(BaseModel):
    """More replicas while the first token takes too long."""

    model_config = SECTION

    seconds: Annotated[float, Field(ge=0.05, le=600), FRACTION, NOT_BOOL] = Field(
        description="Time to first token that 95 % of the requests are to keep, in seconds.",
        json_schema_extra={"examples": [2]},
    )
    window_seconds: Annotated[int, Field(ge=30, le=3600), NOT_BOOL] = Field(
        default=120, description="Seconds of requests that are looked at, several scrapes long."
    )


class KvCache(BaseModel):
    """More replicas while the KV cache is full, as it gets by a few long prompts."""

    model_config = SECTION

    share: Annotated[float, Field(ge=0.1, le=0.98), FRACTION, NOT_BOOL] = Field(
        description="Share of the KV cache that is in use on average over the replicas.",
        json_schema_extra={"examples": [0.8]},
    )


class Schedule(BaseModel):
    """Replicas for a peak that is known, from before it begins."""

    model_config = SECTION

    timezone: Annotated[TimeZone, AfterValidator(_known_zone)] = Field(
        default="UTC", description="Time zone of start and end."
    )
    start: Time = Field(description="When it begins.")
    end: Time = Field(description="When it ends.", json_schema_extra={"examples": ["0 18 * * 1-5"]})
    replicas: Annotated[int, Field(ge=1, le=1000), NOT_BOOL] = Field(
        description="Replicas at least in that time.", json_schema_extra={"examples": [2]}
    )

    @field_validator("end")
    @classmethod
    def _another_time(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("start"):
            raise refusal("is the same as start", allowed="another time than start", example="0 18 * * 1-5")
        return value


class Pace(BaseModel):
    """How fast the number of replicas may change: by pods or by percent in a period, whichever is more."""

    model_config = OVERLAY

    stabilization_seconds: Seconds = Field(
        default=0, description="Seconds that are looked back: the least of what was wanted in them counts."
    )
    pods: Annotated[int, Field(ge=1, le=1000), NOT_BOOL] = Field(default=4, description="Replicas in a period.")
    percent: Annotated[int, Field(ge=1, le=1000), NOT_BOOL] = Field(
        default=100, description="Percent of the replicas in a period."
    )
    period_seconds: Period = Field(default=60, description="Length of a period in seconds.")


class PaceDown(Pace):
    """As on the way up, but for what is looked back at."""

    stabilization_seconds: Seconds = Field(
        default=300, description="Seconds that are looked back: the most of what was wanted in them counts."
    )


UP: Final = Pace()
DOWN: Final = PaceDown(pods=1, percent=25)


class Fallback(BaseModel):
    """What happens while Prometheus does not answer: no replica goes, and `replicas` are there at least."""

    model_config = SECTION

    failure_threshold: Annotated[int, Field(ge=1, le=100), NOT_BOOL] = Field(
        default=3, description="Answers in a row, 15 s apart, that have to be missing."
    )
    replicas: Annotated[int, Field(ge=1, le=1000), NOT_BOOL] | None = Field(
        default=None, description="Replicas at least; without it replicas.min, and 1 where that is 0."
    )


class Scaling(BaseModel):
    """How a model is scaled between replicas.min and replicas.max, in a stack with inference:autoscaling."""

    model_config = SECTION

    target: Annotated[int, Field(ge=1, le=4096), NOT_BOOL] | None = Field(
        default=None,
        description="Requests, waiting or running, that a replica is to have; without it 80 % of concurrency.",
        json_schema_extra={"examples": [25]},
    )
    ttft: Ttft | None = Field(default=None, description="Time to first token as a further reason for more replicas.")
    kv_cache: KvCache | None = Field(default=None, description="The KV cache as a further reason for more replicas.")
    schedules: tuple[Schedule, ...] = Field(default=(), description="Peaks that are known.")
    scale_up: Annotated[Pace, over(UP)] = Field(default=UP, description="How fast replicas come.")
    scale_down: Annotated[PaceDown, over(DOWN)] = Field(default=DOWN, description="How fast replicas go.")
    fallback: Fallback = Field(default=Fallback(), description="What happens while Prometheus does not answer.")
    polling_seconds: Annotated[int, Field(ge=1, le=300), NOT_BOOL] | None = Field(
        default=None, description="With replicas.min 0: seconds between looks at whether to wake it; without it 5."
    )
    idle_seconds: Annotated[int, Field(ge=0, le=86_400), NOT_BOOL] | None = Field(
        default=None, description="With replicas.min 0: seconds without a request till the last goes; without it 300."
    )
