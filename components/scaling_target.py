"""How many replicas a demand asks for: our target, and the arithmetic of the autoscaler that reaches it.

    target     80 % of concurrency. The autoscaler does nothing within a tenth of its target, so that it acts at 88 %,
               before requests wait; what is left is for the demand that comes while a new replica loads
    average    ceil(total / target): a total over all replicas, against what each is to have
    value      ceil(value / target x ready replicas): one number for all, such as a time

Of several metrics the one that asks for most counts. One that is missing asks for nothing, and lets no replica go.
https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/ (Algorithm details).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal

from components.engines import engine_of

if TYPE_CHECKING:  # settings check targets here, so that an import at run time would be a circle
    from components.settings import Model

SHARE: Final = Fraction(4, 5)
TOLERANCE: Final = Fraction(1, 10)
"""The autoscaler's default: --horizontal-pod-autoscaler-tolerance."""


def target_of(model: Model) -> int:
    """Requests, waiting or running, that each replica of a model is to have."""
    given = model.scaling.target if model.scaling else None
    return given or max(1, math.floor(SHARE * model.concurrency))


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the autoscaler knows of one metric; `value` is None where nobody could tell it."""

    kind: Literal["AverageValue", "Value"]
    value: Fraction | None
    target: Fraction


def desired(readings: Sequence[Reading], *, current: int, ready: int, least: int, most: int) -> int:
    """Replicas that the autoscaler wants, before its pace and its looking back: of `current`, `ready` are ready.

    A replica that loads is one of `current`: what waits for it asks for no second one. Not so with kind Value, which
    only knows of the ready ones.
    """
    wanted = [_wanted(each, current, ready) for each in readings]
    known = [each for each in wanted if each is not None]
    highest = max(known, default=current)
    # With a metric that is missing nobody knows whether fewer would do.
    floor = current if len(known) < len(wanted) else 0
    return min(max(highest, floor, least), most)


def _wanted(reading: Reading, current: int, ready: int) -> int | None:
    if reading.value is None:
        return None
    ratio = reading.value / reading.target
    if reading.kind == "AverageValue":
        return current if current and _close(ratio / current) else math.ceil(ratio)
    if not current:
        return math.ceil(ratio)
    return current if _close(ratio) else math.ceil(ratio * ready)


def _close(ratio: Fraction) -> bool:
    return abs(ratio - 1) <= TOLERANCE


def counted_in_front(model: Model) -> bool:
    """Whether requests come by way of the HTTP add-on: it holds them while there is no replica, and counts them.

    Its count is the one there is of an engine that counts nothing itself.
    """
    return model.scaling is not None and (model.replicas.min == 0 or engine_of(model).metrics is None)
