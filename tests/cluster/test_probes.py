"""Probes on the cluster: a startup by a token makes no noise, and a rollout waits for no more than it has to."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.cluster.rehearsed import Rehearsed
from tests.figures import FIGURES

pytestmark = pytest.mark.cluster


def _unhealthy(rehearsed: Rehearsed) -> list[str]:
    """What probes of the engine have complained of."""
    events = rehearsed.get("events", "--namespace=inference")
    return [each["message"] for each in events if each["reason"] == "Unhealthy" and _of_engine(each)]


def _of_engine(event: dict[str, Any]) -> bool:
    return "engine" in event["involvedObject"].get("fieldPath", "")


def test_a_rollout_is_proved_by_a_token_without_a_word_from_any_probe(rehearsed: Rehearsed) -> None:
    rehearsed.make("up")
    before = len(_unhealthy(rehearsed))
    try:
        rehearsed.configure("models.chat.annotations", {"example.com/rollout": str(time.time_ns())})
        begun = time.monotonic()
        assert "finish_reason" in rehearsed.make("up").stdout
        took = time.monotonic() - begun
    finally:
        rehearsed.restore_configuration()
    pods = rehearsed.get("pods", "--namespace=inference", "--selector=app.kubernetes.io/component=engine")
    (pod,) = [each for each in pods if "deletionTimestamp" not in each["metadata"]]
    probe = pod["spec"]["containers"][0]["startupProbe"]
    assert probe["exec"]["command"][0] == "python3"
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    # One attempt of the probe lasts longer than the load, so that none fails.
    assert _unhealthy(rehearsed)[before:] == []
    FIGURES["seconds of a rollout"] += int(took)
    rehearsed.make("up")
