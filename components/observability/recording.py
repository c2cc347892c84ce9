"""Recording rules of a model: each row of the table under one name for all engines, and what the rows are worth."""

from __future__ import annotations

from typing import Any, Final

from components.engines.queries import selected
from components.observability.table import SIGNALS, Score, Signal
from components.observability.watched import Watched

SCORE: Final = "model:inference_score:ratio"
"""Label `signal` says of what."""
WORST: Final = "model:inference_score:min"
OBJECTIVE: Final = "model:inference_objective:target"
"""What each signal is held to, for the dashboard's lines."""


def recording_rules(watched: Watched) -> list[dict[str, Any]]:
    """The rules in the order in which they build on each other."""
    rows = [(signal, query) for signal in SIGNALS if (query := signal.query(watched)) is not None]
    scored = [(signal, signal.score) for signal, _ in rows if signal.score is not None]
    worst = [_rule(WORST, f"min({watched.of(SCORE)})", watched)] if scored else []
    return [
        *(_rule(signal.record, query, watched) for signal, query in rows),
        *(_objective(signal, score, watched) for signal, score in scored),
        *(_rule(SCORE, score_query(signal, score, watched), watched, signal=signal.key) for signal, score in scored),
        *worst,
    ]


def score_query(signal: Signal, score: Score, watched: Watched) -> str:
    """The signal between its target and a severe breach of it, as 1 to 0.

    A comparison drops what is not a number: without a request there is no time to a first token, and no breach of it.
    """
    target, severe = score.target(watched.model), score.severe(watched.model)
    value = selected(signal.record, watched.labels)
    return f"clamp(({severe:g} - ({value} >= 0)) / {round(severe - target, 9):g}, 0, 1)"


def _objective(signal: Signal, score: Score, watched: Watched) -> dict[str, Any]:
    return _rule(OBJECTIVE, f"vector({score.target(watched.model):g})", watched, signal=signal.key)


def _rule(record: str, query: str, watched: Watched, **labels: str) -> dict[str, Any]:
    return {"record": record, "expr": query, "labels": {**watched.labels, **labels}}
