"""What is asked of Prometheus about a model, in the names that its engine has for it: each answer is one number."""

from __future__ import annotations

from collections.abc import Mapping

from components.engines.profile import Metrics


def in_flight(metrics: Metrics, name: str, scraped: Mapping[str, str], *, zero: bool = False) -> str:
    """Requests of a model that wait or run, over all its replicas.

    Those that only wait would be a bad signal: they are none as soon as there are enough replicas, every one of them
    full. `scraped` are labels that the scraping adds, such as the namespace and the model. Engines that have counted
    nothing yet show nothing, which is 0 as long as one is scraped; where none is, the answer is empty, and no reason to
    let replicas go. Only a model that may have no replica (`zero`) has 0 requests then.
    """
    demand = (
        f"sum({_of(metrics.waiting, metrics, name, scraped)}) + sum({_of(metrics.running, metrics, name, scraped)})"
    )
    one_is_scraped = f"0 * sum({selected('up', {'container': 'engine', **scraped})} == 1)"
    return f"{demand} or {'vector(0)' if zero else one_is_scraped}"


def ttft(histogram: str, metrics: Metrics, name: str, scraped: Mapping[str, str], *, seconds: int) -> str:
    """Time to first token that 95 % of the requests of the last seconds have kept; NaN where there were none."""
    buckets = _of(f"{histogram}_bucket", metrics, name, scraped)
    return f"histogram_quantile(0.95, sum by (le) (rate({buckets}[{seconds}s])))"


def kv_cache(share: str, metrics: Metrics, name: str, scraped: Mapping[str, str]) -> str:
    """Share of the KV cache that is in use, 0 to 1, on average over the replicas."""
    return f"avg({_of(share, metrics, name, scraped)})"


def selected(metric: str, labels: Mapping[str, str]) -> str:
    """The metric with matchers beside those that it has itself; a label that begins with `=~` is a pattern."""
    name, _, own = metric.partition("{")
    given = (f"{label}{_matcher(value)}" for label, value in sorted(labels.items()))
    return f"{name}{{{','.join([*filter(None, [own.removesuffix('}')]), *given])}}}"


def _of(metric: str, metrics: Metrics, name: str, scraped: Mapping[str, str]) -> str:
    """The metric of the model, where its engine says which one it counts."""
    return selected(metric, {**scraped, **({metrics.label: name} if metrics.label else {})})


def _matcher(value: str) -> str:
    return f'=~"{value[2:]}"' if value.startswith("=~") else f'="{value}"'
