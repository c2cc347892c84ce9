"""How the numbers of a model are asked of Prometheus, in its engine's own names.

Each query gives one element without labels, or none; None stands for what the engine does not measure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from components.engines import queries
from components.engines.profile import Metrics
from components.observability.watched import Watched

WINDOW: Final = "5m"
"""Of rates: long enough for a quantile of few requests, short enough to see what goes on."""
Query = Callable[[Watched], str | None]
Named = Callable[[Metrics], str | None]
"""What an engine calls one of its metrics."""


def total(metric: Named, wrap: str = "{}") -> Query:
    """Over all replicas, each in `wrap`."""
    return lambda watched: _of(watched, metric, lambda name: f"sum({wrap.format(watched.of(name))})")


def quantile(share: float, metric: Named) -> Query:
    """Of a histogram, over all replicas: quantiles cannot be averaged, buckets can be summed."""

    def query(watched: Watched, name: str) -> str:
        buckets = watched.of(f"{name}_bucket")
        return f"histogram_quantile({share:g}, sum by (le) (rate({buckets}[{WINDOW}])))"

    return lambda watched: _of(watched, metric, lambda name: query(watched, name))


def in_flight(watched: Watched) -> str | None:
    """What waits and what runs, as the scaler asks for it."""
    metrics = watched.metrics
    zero = watched.model.replicas.min == 0
    return None if metrics is None else queries.in_flight(metrics, watched.name, watched.labels, zero=zero)


def kv_cache(watched: Watched) -> str | None:
    """Of the fullest replica, which is the one that throws requests out."""
    return _of(watched, lambda metrics: metrics.kv_cache, lambda name: f"max({watched.of(name)})")


def errors(window: str) -> Query:
    """Share of the requests of a window that the engine failed."""

    def query(watched: Watched) -> str | None:
        metrics = watched.metrics
        if metrics is None or metrics.requests is None:
            return None
        # A counter of failures is there from the first failure on.
        failures = (f"(sum(rate({watched.of(each)}[{window}])) or vector(0))" for each in metrics.failures)
        # Without a request there is no share of them.
        return f"({' + '.join(failures)}) / (sum(rate({watched.of(metrics.requests)}[{window}])) > 0)"

    return query


def replicas(watched: Watched) -> str | None:
    """Those that answer: one that loads its model refuses to be read."""
    return None if watched.metrics is None else f"sum({watched.of('up')}) or vector(0)"


def _of(watched: Watched, metric: Named, query: Callable[[str], str]) -> str | None:
    name = None if watched.metrics is None else metric(watched.metrics)
    return None if name is None else query(name)
