"""Probes on the cluster: a startup by a token makes no noise, and a rollout waits for no more than it has to."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.cluster.rehearsed import Rehearsed
from tests.figures import FIGURES

pytestmark = pytest.mark.cluster


def _unhealthy(rehearsed: Rehearsed, pod: str) -> list[str]:
    """What probes of a replica's engine have complained of."""
    events = rehearsed.get("events", "--namespace=inference")
    return [each["message"] for each in events if each["reason"] == "Unhealthy" and _of_engine(each, pod)]


def _of_engine(event: dict[str, Any], pod: str) -> bool:
    of = event["involvedObject"]
    return of["name"] == pod and "engine" in of.get("fieldPath", "")


def test_a_rollout_is_proved_by_a_token_without_a_word_from_any_probe(rehearsed: Rehearsed) -> None:
    rehearsed.make("up")
    try:
        rehearsed.configure("models.chat.annotations", {"example.com/rollout": str(time.time_ns())})
        begun = time.monotonic()
        assert "finish_reason" in rehearsed.make("up").stdout
        took = time.monotonic() - begun
        pods = rehearsed.get("pods", "--namespace=inference", "--selector=app.kubernetes.io/component=engine")
        (pod,) = [each for each in pods if "deletionTimestamp" not in each["metadata"]]
        # One attempt of the probe lasts longer than the load, so that none fails.
        assert _unhealthy(rehearsed, pod["metadata"]["name"]) == []
    finally:
        rehearsed.restore_configuration()
        rehearsed.make("up")
    assert pod["spec"]["containers"][0]["startupProbe"]["exec"]["command"][0] == "python3"
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    FIGURES["seconds of a rollout"] += int(took)
