"""Traffic beside something else: it begins with the block, and goes on until the block and its streams have ended."""

from __future__ import annotations

import asyncio
import threading
import time
from types import TracebackType
from typing import Self

from rehearsal.traffic.load import Load
from rehearsal.traffic.result import Result
from rehearsal.traffic.sending import Tally, send

_WARM_S = 1.0


class Background:
    """`with Background(load) as traffic: ...`, then `traffic.result`. At least `load.streams` are sent in any case."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._going = threading.Event()
        self._going.set()
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.tally = Tally()

    @property
    def result(self) -> Result:
        """What became of the streams, after the block."""
        if self._result is None:
            raise RuntimeError("the traffic has not ended")
        return self._result

    def __enter__(self) -> Self:
        self._thread.start()
        # What the block does shall meet streams that are under way.
        time.sleep(_WARM_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._going.clear()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            self._result = asyncio.run(send(self._load, self.tally, self._going.is_set))
        except BaseException as error:  # noqa: BLE001 - raised again where the block ends
            self._error = error
