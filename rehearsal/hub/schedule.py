"""Which fault hits which request, and what has been injected so far."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any, TypeVar

from .faults import Corrupt, Cut, IgnoreRange, Plan, Status, Throttle

_LAST_REQUESTS = 10_000

_F = TypeVar("_F", Throttle, Status, Cut, Corrupt, IgnoreRange)


class Pace:
    """When the next bytes may go."""

    def __init__(self) -> None:
        self._free_at = 0.0

    async def take(self, size: int, rate: int | None) -> None:
        """Wait for the turn of so many bytes at so many a second."""
        if rate is not None:
            self._free_at = max(self._free_at, time.monotonic()) + size / rate
            await asyncio.sleep(self._free_at - time.monotonic())


class Schedule:
    """A plan that is being carried out. With one request at a time, its seed decides who is hit."""

    def __init__(self, plan: Plan) -> None:
        self.over = False
        self.requests: deque[dict[str, Any]] = deque(maxlen=_LAST_REQUESTS)
        self.pace = Pace()
        self._plan = plan
        self._begun = time.monotonic()
        self._random = random.Random(plan.seed)  # noqa: S311  # repeatable on purpose
        self._left = [fault.next for fault in plan.faults]
        self._injected: Counter[str] = Counter()

    def hit(self, kind: type[_F], path: str, when: Callable[[_F], bool] = lambda _: True) -> _F | None:
        """The fault of this kind that a request for `path` gets now, if any; it counts as injected."""
        for index, fault in enumerate(self._plan.faults):
            if isinstance(fault, kind) and fnmatch(path, fault.path) and when(fault) and self._due(index):
                self._injected[str(fault.code) if isinstance(fault, Status) else fault.kind] += 1
                return fault
        return None

    def facts(self) -> dict[str, Any]:
        """The plan, what of it was injected, and the requests."""
        plan = self._plan.model_dump(by_alias=True, exclude_none=True)
        return {"plan": plan, "injected": dict(self._injected), "requests": list(self.requests)}

    def _due(self, index: int) -> bool:
        fault, left = self._plan.faults[index], self._left[index]
        over = fault.seconds is not None and time.monotonic() > self._begun + fault.seconds
        if left == 0 or over or (fault.probability < 1 and self._random.random() >= fault.probability):
            return False
        self._left[index] = left and left - 1
        return True
