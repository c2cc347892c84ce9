"""A model without a replica wakes up when it is asked, and sleeps again: KEDA's HTTP add-on holds requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from rehearsal.answer import service_address
from tests.cluster.rehearsed import Rehearsed
from tests.cluster.scaling import ENV, Watched
from tests.cluster.scenarios import eventually, replicas
from tests.figures import FIGURES, SCENARIOS

pytestmark = [pytest.mark.cluster, pytest.mark.scaling]

IDLE_S = 20
REQUESTS, TOKENS = 24, 8
"""At once, three times what a replica runs."""


@pytest.fixture(scope="module")
def asleep(rehearsed: Rehearsed) -> Iterator[Rehearsed]:
    """A model that has no replica unless somebody asks."""
    changes: dict[str, Any] = {
        "autoscaling": {"httpAddOn": {}},
        "monitoring": {"scrapeSeconds": 2},
        "models.chat.replicas": {"min": 0, "max": 3},
        "models.chat.scaling": {"idleSeconds": IDLE_S, "pollingSeconds": 2},
        "models.chat.rollout.minReadySeconds": 1,
        "models.chat.env": ENV,
    }
    rehearsed.restore_configuration()
    try:
        for key, value in changes.items():
            rehearsed.configure(key, value)
        said = rehearsed.make("up").stdout
        # `make up` itself has asked: by the door that wakes the model up.
        assert "Host: chat-on-demand" in said
        yield rehearsed
    finally:
        rehearsed.restore_configuration()


def client(asleep: Rehearsed) -> openai.OpenAI:
    address = service_address(asleep.client, "keda", "keda-add-ons-http-interceptor-proxy")
    return openai.OpenAI(
        base_url=f"http://{address}/v1",
        api_key="none",
        max_retries=0,
        timeout=180,
        http_client=openai.DefaultHttpxClient(trust_env=False),
        default_headers={"Host": "chat-on-demand"},
    )


def ending(asking: openai.OpenAI, number: int) -> str | None:
    """Why a stream has ended, of which every part has come."""
    parts = asking.chat.completions.create(
        model="chat",
        messages=[{"role": "user", "content": f"Wake up, {number}"}],
        max_tokens=TOKENS,
        stream=True,
    )
    choices = [part.choices[0] for part in parts if part.choices]
    assert sum(bool(choice.delta.content) for choice in choices) == TOKENS
    return choices[-1].finish_reason


def test_a_model_that_sleeps_answers_everybody_who_wakes_it_and_sleeps_again(asleep: Rehearsed) -> None:
    eventually(lambda: replicas(asleep) == [], 120 + IDLE_S)
    asking = client(asleep)
    with Watched(asleep) as watched:
        began = time.time()
        with ThreadPoolExecutor(REQUESTS) as together:
            endings = list(together.map(lambda number: ending(asking, number), range(REQUESTS)))
        answered = time.time() - began
        eventually(lambda: watched.now.there == 0, 120 + IDLE_S)
        slept = time.time() - began - answered
    most = max(count.there for count in watched.counts)
    SCENARIOS["model that slept"] = (
        f"{REQUESTS} streams to the end {answered:.0f} s after the first; 0 -> {most} -> 0 replicas, "
        f"asleep {slept:.0f} s later"
    )
    FIGURES["streams checked"] += REQUESTS
    assert endings == ["length"] * REQUESTS
    assert most >= 1
