"""What is asked of Prometheus about a model, in the names that its engine has for it."""

from __future__ import annotations

from collections.abc import Mapping

from components.engines.profile import Metrics


def in_flight(metrics: Metrics, name: str, scraped: Mapping[str, str]) -> str:
    """Requests of a model that wait or run, over all its replicas: one number, and 0 where there is none to scrape.

    Those that only wait would be a bad signal: they are none as soon as there are enough replicas, every one of them
    full. `scraped` are labels that the scraping adds, such as the namespace and the Service, for engines that do not
    say which model they count.
    """
    matchers = {**scraped, **({metrics.label: name} if metrics.label else {})}
    return f"sum({_of(metrics.waiting, matchers)}) + sum({_of(metrics.running, matchers)}) or vector(0)"


def _of(metric: str, matchers: Mapping[str, str]) -> str:
    """The metric with matchers beside those that it has itself."""
    name, _, own = metric.partition("{")
    given = (f'{label}="{value}"' for label, value in sorted(matchers.items()))
    return f"{name}{{{','.join([*filter(None, [own.removesuffix('}')]), *given])}}}"
