"""Asks Debian's promtool what the rules of a stack make of series that a test invents."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from components.observability.panels import MODEL, REPLICA
from rehearsal import toolchain
from rehearsal.places import Places
from tests.components.program import plain, run_program
from tests.components.samples import SMALLEST, changed

WATCHED: Final[dict[str, Any]] = changed(SMALLEST, "models.chat.replicas", {"min": 1, "max": 4}) | {
    "monitoring": {},
    "autoscaling": {},
}
"""A model of vLLM that is watched and scaled."""
SAMPLE: Final = re.compile(r"(\w*\{[^}]*\}) ([^\s,]+)")
LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
MINUTES: Final = 600
"""For which a constant series of `always` goes on."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rule files of a stack, and the promtool that evaluates them."""

    promtool: Path
    files: tuple[Path, ...]

    def check(self) -> subprocess.CompletedProcess[str]:
        """Whether Prometheus takes the rules."""
        return _run(self.promtool, "check", "rules", *self.files)

    def at(self, minutes: Sequence[int], query: str, series: Mapping[str, str]) -> list[dict[str, float]]:
        """What a query gives so many minutes after the series began, each time by its labels.

        promtool only compares: asked for something that is never so, it says what it got instead.
        """
        never = {"labels": "never", "value": 0}
        test = {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {"expr": query, "eval_time": f"{minute}m", "exp_samples": [never]} for minute in minutes
            ],
        }
        file = self.files[0].with_name("test.json")
        files = [str(each) for each in self.files]
        file.write_text(json.dumps({"rule_files": files, "evaluation_interval": "1m", "tests": [test]}))
        said = _run(self.promtool, "test", "rules", file)
        got = re.findall(r"got:(.*)", said.stdout + said.stderr)
        assert len(got) == len(minutes), said
        return [{labels: float(value) for labels, value in SAMPLE.findall(each)} for each in got]

    def firing(self, minutes: Sequence[int], series: Mapping[str, str]) -> list[dict[str, str]]:
        """Severity of every alert that fires then, by its name."""
        answers = self.at(minutes, 'sum by (alertname, severity) (ALERTS{alertstate="firing"})', series)
        found = ([dict(LABEL.findall(labels)) for labels in answer] for answer in answers)
        return [{each["alertname"]: each["severity"] for each in alerts} for alerts in found]


def rules_of(config: Mapping[str, Any], folder: Path) -> Rules:
    """The rules that the program would have a cluster's Prometheus evaluate."""
    files = []
    for each in run_program(config).of("PrometheusRule"):
        file = folder / f"{each.name}.json"
        file.write_text(json.dumps(plain(each.inputs)["spec"]))
        files.append(file)
    return Rules(promtool=programs() / "promtool", files=tuple(files))


@cache
def programs() -> Path:
    """The folder of Prometheus and promtool; once they are there, nobody has to wait for who builds something else."""
    places = Places.of_user()
    there = places.cache / "prometheus/usr/bin"
    return there if there.exists() else toolchain.ensure_prometheus(places)


def queries(board: dict[str, Any]) -> list[str]:
    """Every query of a dashboard, for all models and replicas: what Prometheus is asked when it is opened."""
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return [query.replace(MODEL, ".+").replace(REPLICA, ".+") for query in asked]


def always(value: float) -> str:
    """A series that stays as it is."""
    return f"{value:g}+0x{MINUTES}"


def rising(per_minute: float) -> str:
    """A counter."""
    return f"0+{per_minute:g}x{MINUTES}"


def histogram(name: str, labels: str, buckets: Mapping[str, float]) -> dict[str, str]:
    """A histogram that gets so many observations up to each bound a minute."""
    return {f'{name}_bucket{{{labels},le="{bound}"}}': rising(count) for bound, count in buckets.items()}


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    """The rules of the watched model."""
    return rules_of(WATCHED, tmp_path_factory.mktemp("rules"))
