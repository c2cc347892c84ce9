"""What the scenarios of scaling share: a scaled model, load in steps, and what is seen of it while it runs."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from rehearsal.counts import Counts
from rehearsal.places import Places
from rehearsal.prometheus import Points, Prometheus
from rehearsal.timeline import Line, Panel, draw
from rehearsal.traffic.load import Load
from tests.cluster.rehearsed import Rehearsed
from tests.cluster.scenarios import HERE

CONCURRENCY, TARGET, MOST = 32, 25, 7
STREAM_S = 4.0
"""What a stream takes where it need not wait: twenty tokens, one in each fifth of a second."""
ENV = {
    "SIMULATOR_LOAD_MBPS": 40,
    "SIMULATOR_STARTUP_SECONDS": 0.5,
    "SIMULATOR_GPU_MEMORY_GIB": 24,
    "SIMULATOR_STEP_MS": 200,
    "SIMULATOR_STEP_MS_PER_SEQ": 0,
}
# Patient: what has to wait for a replica shall wait, and count, and not fail. At least one stream, whatever it takes.
LOAD = Load(
    base_url="", model="chat", streams=1, rate=4, tokens=20, long_every=0, first_token_s=300, gap_s=10, patience_s=300
)
WAITING, RUNNING = "sum(vllm:num_requests_waiting)", "sum(vllm:num_requests_running)"
DEMAND = f"{WAITING} + {RUNNING}"
TTFT = "histogram_quantile({}, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[10s])))"


def load(rehearsed: Rehearsed, in_flight: float, seed: int = 7) -> Load:
    """So many requests in flight on average, where none has to wait."""
    return replace(LOAD, base_url=f"http://{rehearsed.address}/v1", rate=in_flight / STREAM_S, seed=seed)


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many replicas were wanted, there and ready, from a time in seconds since the epoch on."""

    at: float
    wanted: int
    there: int
    ready: int


class Watched(Counts):
    """The Deployment's replicas while the block runs, each change with its time."""

    def __init__(self, rehearsed: Rehearsed) -> None:
        fields = (".spec.replicas", ".status.replicas", ".status.readyReplicas")
        super().__init__(rehearsed.client, "inference", "chat", *fields)

    def __enter__(self) -> Self:
        self.began = time.time()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        self.ended = time.time()
        super().__exit__()

    @property
    def counts(self) -> list[Count]:
        """All of them, in their order."""
        return [Count(at=at, wanted=wanted, there=there, ready=ready) for at, (wanted, there, ready) in self.seen]

    @property
    def now(self) -> Count:
        """The newest count."""
        return self.counts[-1]

    def since(self, at: float) -> list[Count]:
        """Counts that held at some moment from `at` on."""
        later = [count for count in self.counts if count.at > at]
        return [*[count for count in self.counts if count.at <= at][-1:], *later]

    def turns(self) -> int:
        """How often a rise of what was wanted was followed by a fall, or a fall by a rise."""
        wanted = [count.wanted for count in self.counts]
        steps = [after > before for before, after in itertools.pairwise(wanted) if after != before]
        return sum(before != after for before, after in itertools.pairwise(steps))


def needed(in_flight: float) -> int:
    """Replicas for so many requests in flight, within the model's bounds."""
    return min(MOST, max(1, math.ceil(in_flight / TARGET)))


def report(title: str, prometheus: Prometheus, watched: Watched, steps: Sequence[tuple[float, float]]) -> Path:
    """Draw the timeline: `steps` are times, and the streams a second that were due from then on."""
    start, end = watched.began, watched.ended
    every = prometheus.points

    def line(name: str, query: str) -> Line:
        return Line(name=name, points=every(query, start, end))

    def counted(name: str, field: str) -> Line:
        points = [(count.at, float(getattr(count, field))) for count in watched.counts]
        return Line(name=name, points=[*points, (end, points[-1][1])], holds=True)

    panels = (
        Panel(title="load, streams/s", lines=(Line(name="due", points=_until(steps, end), holds=True),)),
        Panel(title="requests", lines=(line("waiting", WAITING), line("running", RUNNING))),
        Panel(title="replicas", lines=(counted("wanted", "wanted"), counted("ready", "ready"))),
        Panel(title="time to first token, s", lines=(line("p50", TTFT.format(0.5)), line("p99", TTFT.format(0.99)))),
    )
    path = Places.of_user().reports / f"{title.replace(' ', '-')}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(title, panels))
    return path


def _until(points: Points, end: float) -> Points:
    return [*points, (end, points[-1][1])]


def scaled_object(rehearsed: Rehearsed) -> dict[str, Any]:
    """The scaler's own object."""
    found: dict[str, Any] = rehearsed.get("scaledobject", "chat", HERE)
    return found


def condition(rehearsed: Rehearsed, name: str) -> str:
    """What the scaler says of itself: Ready, Active, Fallback."""
    conditions = scaled_object(rehearsed).get("status", {}).get("conditions", [])
    return next((each["status"] for each in conditions if each["type"] == name), "Unknown")
