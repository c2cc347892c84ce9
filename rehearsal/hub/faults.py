"""The faults that the hub can inject: what networks, mirrors and rate limits do to a download."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_UNLIMITED = 1 << 40


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class _Fault(_Strict):
    """Which requests are hit: those whose path is like `path`.

    Of them the `next` ones, those of so many `seconds` from when the plan came, or each with a `probability`.
    """

    path: str = "*"
    next: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0


class Throttle(_Fault):
    """No more bytes a second than `rate` over all responses, and than `each` in one. Ends with its plan."""

    kind: Literal["throttle"]
    rate: Annotated[int, Field(gt=0)] | None = None
    each: Annotated[int, Field(gt=0)] | None = None

    @property
    def piece(self) -> int:
        """How many bytes go at once: a fiftieth of a second's."""
        rates = [rate for rate in (self.rate, self.each) if rate is not None]
        return max(1, min(rates, default=_UNLIMITED) // 50)


class Status(_Fault):
    """An error, with a Retry-After in seconds or, if `dated`, as the date that they lead to."""

    kind: Literal["status"]
    code: Annotated[int, Field(ge=400, le=599)]
    retry_after: Annotated[int, Field(ge=0)] | None = None
    dated: bool = False


class Cut(_Fault):
    """`after` so many bytes of a longer response there come no more.

    The connection stays (stall), is closed (cut), or Content-Length has said so (truncate). A stall without `after`
    is no answer at all.
    """

    kind: Literal["stall", "cut", "truncate"]
    after: Annotated[int, Field(ge=0)] | None = None


class Corrupt(_Fault):
    """The lowest bit of the byte at `offset` of the file is flipped."""

    kind: Literal["corrupt"]
    offset: Annotated[int, Field(ge=0)]


class IgnoreRange(_Fault):
    """The whole file is the answer to a request for a part of it."""

    kind: Literal["ignoreRange"]


Fault = Annotated[Throttle | Status | Cut | Corrupt | IgnoreRange, Field(discriminator="kind")]


class Plan(_Strict):
    """What to inject: of each kind of fault the first that a request is like. `seed` is that of the probabilities."""

    seed: int = 0
    faults: tuple[Fault, ...] = ()
