"""The one table of what is measured of a model: recorded by rules, held against objectives, shown on the dashboard.

Each row is a recorded series `model:...` with the labels `namespace` and `model`, the same for every engine. A row
whose metrics an engine lacks is none of its model's rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from components.observability import measures
from components.observability.measures import WINDOW, Named, Query
from components.settings import Model

BUDGET_WINDOWS: Final = ("5m", "30m", "1h", "6h")
FAST_BURN: Final = 14.4
"""Times the error budget: so fast 2 % of a month's budget are gone in an hour (Google's SRE workbook, chapter 5)."""
SLOW_BURN: Final = 6
"""So fast it is 5 % in six hours."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a signal's value is worth: 1 where the target is met, 0 from the severe breach on, straight in between."""

    target: Callable[[Model], float]
    severe: Callable[[Model], float]


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A row: one number of a model at a time."""

    key: str
    panel: str
    """Title of the panel that shows it, with its like."""
    legend: str
    unit: str
    """Grafana's name of the unit."""
    record: str
    query: Query
    score: Score | None = None
    of_replica: Named | None = None
    """The metric of one replica, where it is shown for each."""
    rate: bool = False
    """Whether that metric is a counter."""


def tpot_seconds(model: Model) -> float:
    """The objective of time per output token."""
    return (model.objectives.tpot_p99_millis or model.tpot_millis) / 1000


SIGNALS: Final = (
    Signal(
        key="replicas",
        panel="Replicas",
        legend="serve",
        unit="short",
        record="model:inference_replicas:sum",
        query=measures.replicas,
        score=Score(target=lambda model: max(1, model.replicas.min), severe=lambda _: 0),
    ),
    Signal(
        key="running",
        panel="Requests",
        legend="run",
        unit="short",
        record="model:inference_running:sum",
        query=measures.total(lambda metrics: metrics.running),
        of_replica=lambda metrics: metrics.running,
    ),
    Signal(
        key="queue",
        panel="Requests",
        legend="wait",
        unit="short",
        record="model:inference_waiting:sum",
        query=measures.total(lambda metrics: metrics.waiting),
        score=Score(
            target=lambda model: model.objectives.queue,
            severe=lambda model: 2 * model.objectives.queue,
        ),
        of_replica=lambda metrics: metrics.waiting,
    ),
    Signal(
        key="in_flight",
        panel="Requests",
        legend="in flight",
        unit="short",
        record="model:inference_in_flight:sum",
        query=measures.in_flight,
    ),
    Signal(
        key="kv_cache",
        panel="KV cache in use",
        legend="fullest replica",
        unit="percentunit",
        record="model:inference_kv_cache:max",
        query=measures.kv_cache,
        score=Score(
            target=lambda model: model.objectives.kv_cache.warning,
            severe=lambda model: model.objectives.kv_cache.critical,
        ),
        of_replica=lambda metrics: metrics.kv_cache,
    ),
    *(
        Signal(
            key=f"ttft_p{100 * share:g}",
            panel="Time to first token",
            legend=f"p{100 * share:g}",
            unit="s",
            record=f"model:inference_ttft_seconds:p{100 * share:g}",
            query=measures.quantile(share, lambda metrics: metrics.ttft),
            score=score,
        )
        for share, score in (
            (0.5, None),
            (0.95, None),
            (
                0.99,
                Score(
                    target=lambda model: model.objectives.ttft_p99,
                    severe=lambda model: 3 * model.objectives.ttft_p99,
                ),
            ),
        )
    ),
    *(
        Signal(
            key=f"tpot_p{100 * share:g}",
            panel="Time per output token",
            legend=f"p{100 * share:g}",
            unit="s",
            record=f"model:inference_tpot_seconds:p{100 * share:g}",
            query=measures.quantile(share, lambda metrics: metrics.tpot),
            score=score,
        )
        for share, score in (
            (0.5, None),
            (0.99, Score(target=tpot_seconds, severe=lambda model: 3 * tpot_seconds(model))),
        )
    ),
    Signal(
        key="requests",
        panel="Requests a second",
        legend="end",
        unit="reqps",
        record="model:inference_requests:rate5m",
        query=measures.total(lambda metrics: metrics.requests, f"rate({{}}[{WINDOW}])"),
    ),
    Signal(
        key="tokens",
        panel="Tokens a second",
        legend="of answers",
        unit="short",
        record="model:inference_tokens:rate5m",
        query=measures.total(lambda metrics: metrics.tokens, f"rate({{}}[{WINDOW}])"),
        of_replica=lambda metrics: metrics.tokens,
        rate=True,
    ),
    *(
        Signal(
            key=f"errors_{window}",
            panel="Share of requests that fail",
            legend=f"over {window}",
            unit="percentunit",
            record=f"model:inference_errors:ratio_rate{window}",
            query=measures.errors(window),
            score=Score(
                target=lambda model: model.objectives.error_budget,
                severe=lambda model: FAST_BURN * model.objectives.error_budget,
            )
            if window == "1h"
            else None,
        )
        for window in BUDGET_WINDOWS
    ),
)
BY_KEY: Final = {signal.key: signal for signal in SIGNALS}
