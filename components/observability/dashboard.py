"""Grafana's dashboard: a panel for each kind of row of the table, for the chosen models and replicas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from components.engines.queries import selected
from components.observability import panels
from components.observability.panels import MODEL, Panel
from components.observability.recording import WORST
from components.observability.watched import Watched
from components.volume import digest

_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3


def dashboard(namespace: str, models: Sequence[Watched], *, dcgm: bool) -> dict[str, Any]:
    """The dashboard of a stack as Grafana's JSON; models whose engine counts nothing have no series on it."""
    rows = {
        "Scorecard": panels.scorecard(namespace),
        "Models": panels.of_models(namespace, models),
        "Replicas": panels.of_replicas(namespace, models),
        "Scaler": panels.of_scalers(namespace) if any(each.model.scaling for each in models) else (),
        "GPUs": panels.of_gpus(namespace) if dcgm else (),
    }
    return {
        "uid": f"inference-{digest(namespace)}",
        "title": f"Inference: {namespace}",
        "tags": ["inference"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables(namespace)},
        "panels": _placed({title: tuple(panels) for title, panels in rows.items()}),
    }


def _variables(namespace: str) -> list[dict[str, Any]]:
    serving = selected("up", {"namespace": namespace, "model": f"=~{MODEL}"})
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return [
        source,
        _variable("model", "Model", f"label_values({selected(WORST, {'namespace': namespace})}, model)"),
        _variable("replica", "Replica", f"label_values({serving}, pod)"),
    ]


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
    }


def _placed(rows: dict[str, tuple[Panel, ...]]) -> list[dict[str, Any]]:
    """The rows one under the other, each with its panels side by side."""
    placed: list[dict[str, Any]] = []
    top = 0
    for title, shown in rows.items():
        if not shown:
            continue
        place = {"x": 0, "y": top, "w": _WIDTH * _COLUMNS, "h": 1}
        placed.append({"id": len(placed) + 1, "type": "row", "title": title, "gridPos": place, "panels": []})
        for index, panel in enumerate(shown):
            down, across = divmod(index, _COLUMNS)
            place = {"x": across * _WIDTH, "y": top + 1 + down * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            placed.append({"id": len(placed) + 1, **_panel(panel), "gridPos": place})
        top += 1 + _HEIGHT * -(-len(shown) // _COLUMNS)
    return placed


def _panel(panel: Panel) -> dict[str, Any]:
    bounds: dict[str, Any] = {"min": 0} if panel.most is None else {"min": 0, "max": panel.most}
    return {
        "type": panel.kind,
        "title": panel.title,
        "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, **bounds}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend, "datasource": _DATASOURCE}
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }
