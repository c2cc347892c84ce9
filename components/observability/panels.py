"""What the dashboard shows: panels of queries, for the models and replicas that its reader has chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from components.engines.queries import selected
from components.observability.measures import WINDOW
from components.observability.recording import OBJECTIVE, SCORE, WORST
from components.observability.table import SIGNALS
from components.observability.watched import Watched

MODEL: Final = "$model"
REPLICA: Final = "$replica"
"""Variables of the dashboard."""
_GPU_METRICS: Final = (
    ("GPU utilisation", "DCGM_FI_DEV_GPU_UTIL", "percent"),
    ("GPU memory in use", "DCGM_FI_DEV_FB_USED", "decmbytes"),
    ("GPU power", "DCGM_FI_DEV_POWER_USAGE", "watt"),
    ("GPU temperature", "DCGM_FI_DEV_GPU_TEMP", "celsius"),
    ("Last GPU error (XID)", "DCGM_FI_DEV_XID_ERRORS", "short"),
)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel: what it asks, each query with the legend of its series."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    most: float | None = None


def scorecard(namespace: str) -> tuple[Panel, ...]:
    """How well the models are, and what fires."""
    chosen = {"namespace": namespace, "model": f"=~{MODEL}"}
    firing = selected("ALERTS", {**chosen, "alertstate": "firing"})
    return (
        Panel(
            title="Worst signal: 1 is well, 0 a severe breach",
            unit="percentunit",
            queries=((selected(WORST, chosen), "{{model}}"),),
            kind="stat",
            most=1,
        ),
        Panel(
            title="Signals",
            unit="percentunit",
            queries=((selected(SCORE, chosen), "{{model}} {{signal}}"),),
            most=1,
        ),
        Panel(
            title="Alerts",
            unit="short",
            queries=((f"sum by (model, alertname, severity) ({firing})", "{{model}} {{alertname}} ({{severity}})"),),
        ),
    )


def of_models(namespace: str, models: Sequence[Watched]) -> Iterator[Panel]:
    """What at least one of the models measures, and under it what it is held to."""
    chosen = {"namespace": namespace, "model": f"=~{MODEL}"}
    measured = [signal for signal in SIGNALS if any(signal.query(each) for each in models)]
    panels: dict[str, list[tuple[str, str]]] = {signal.panel: [] for signal in measured}
    units = {signal.panel: signal.unit for signal in measured}
    for signal in measured:
        panels[signal.panel].append((selected(signal.record, chosen), f"{{{{model}}}} {signal.legend}"))
    for signal in measured:
        if signal.score is not None:
            line = selected(OBJECTIVE, {**chosen, "signal": signal.key})
            panels[signal.panel].append((line, "{{model}} objective"))
    return (Panel(title=title, unit=units[title], queries=tuple(asked)) for title, asked in panels.items())


def of_replicas(namespace: str, models: Sequence[Watched]) -> Iterator[Panel]:
    """Each engine's own metrics, which have names of their own."""
    chosen = {"namespace": namespace, "model": f"=~{MODEL}", "pod": f"=~{REPLICA}"}
    counted = [each.metrics for each in models if each.metrics is not None]
    for signal in SIGNALS:
        of_replica = signal.of_replica
        if of_replica is None:
            continue
        names = dict.fromkeys(name for metrics in counted if (name := of_replica(metrics)) is not None)
        series = (selected(name, chosen) for name in names)
        each = (f"rate({one}[{WINDOW}])" if signal.rate else one for one in series)
        asked = tuple((f"sum by (pod) ({one})", "{{pod}}") for one in each)
        if asked:
            yield Panel(title=f"{signal.panel}: {signal.legend}, by replica", unit=signal.unit, queries=asked)


def of_scalers(namespace: str) -> tuple[Panel, ...]:
    """What KEDA reads, and how it fares: the numbers that the replicas follow."""
    chosen = {"namespace": namespace, "scaledObject": f"=~{MODEL}"}
    errors = selected("keda_scaled_object_errors_total", chosen)
    return (
        Panel(
            title="What the scaler reads",
            unit="short",
            queries=((selected("keda_scaler_metrics_value", chosen), "{{scaledObject}} {{metric}}"),),
        ),
        Panel(
            title="Time that the scaler's queries take",
            unit="s",
            queries=((selected("keda_scaler_metrics_latency_seconds", chosen), "{{scaledObject}} {{metric}}"),),
        ),
        Panel(
            title="Errors of the scaler, in five minutes",
            unit="short",
            queries=((f"sum by (scaledObject) (increase({errors}[5m]))", "{{scaledObject}}"),),
        ),
    )


def of_gpus(namespace: str) -> Iterator[Panel]:
    """Of the GPUs that the replicas hold; who scrapes the exporter otherwise may keep its labels under other names."""
    for title, metric, unit in _GPU_METRICS:
        ours = selected(metric, {"namespace": namespace, "pod": f"=~{REPLICA}"})
        others = selected(metric, {"exported_namespace": namespace, "exported_pod": f"=~{REPLICA}"})
        asked = f'{ours} or label_replace({others}, "pod", "$1", "exported_pod", "(.+)")'
        yield Panel(title=title, unit=unit, queries=((asked, "{{pod}} {{gpu}}"),))
