"""What an alert is: a number that somebody has to do something about, and what that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from components.engines.queries import selected
from components.observability.table import BY_KEY
from components.observability.watched import Watched

Severity = Literal["critical", "warning", "info"]
"""Critical wakes somebody up, warning is for the day, info for the bill."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert that fires when its query has had a result for as long as `lasting` says."""

    name: str
    severity: Severity
    query: str
    lasting: str
    summary: str
    """One sentence; `{{ $value }}` is the query's."""
    action: str
    """What to look at, and what to do."""


def rule(alert: Alert, labels: Mapping[str, str], about: str) -> dict[str, Any]:
    """The alert as Prometheus takes it, with labels that say whose it is."""
    return {
        "alert": alert.name,
        "expr": alert.query,
        "for": alert.lasting,
        "labels": {**labels, "severity": alert.severity},
        "annotations": {"summary": f"{about}: {alert.summary}", "description": alert.action},
    }


def recorded(watched: Watched, key: str) -> str | None:
    """The recorded series, where the model has it."""
    signal = BY_KEY[key]
    return None if signal.query(watched) is None else selected(signal.record, watched.labels)
