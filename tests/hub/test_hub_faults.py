"""What the hub breaks when it is asked to, as a plain client sees it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from rehearsal.hub import model
from rehearsal.hub.injector import PATH
from tests.hub import hubs
from tests.hub.hubs import RunningHub

SHARD = "model-00001-of-00002.safetensors"
COMMIT = model.commit()
CONTENT = dict(model.files())[SHARD]


@pytest.fixture
def breaking(hub: RunningHub) -> Iterator[RunningHub]:
    """The hub, which breaks nothing any more afterwards."""
    yield hub
    hub.inject()


def get(hub: RunningHub, name: str = SHARD, **headers: str) -> httpx.Response:
    url = f"{hub.url}/{model.REPOSITORY}/resolve/{COMMIT}/{name}"
    return hub.http.get(url, headers=headers, follow_redirects=True, timeout=1)


def test_a_bit_is_flipped_in_the_answers_that_hold_it_as_often_as_asked(breaking: RunningHub) -> None:
    breaking.inject({"kind": "corrupt", "path": f"*/{SHARD}", "offset": 4_000_000, "next": 2})
    flipped = bytearray(CONTENT)
    flipped[4_000_000] ^= 1

    assert get(breaking, Range="bytes=4000001-").content == CONTENT[4_000_001:]
    assert get(breaking).content == flipped
    assert get(breaking, Range="bytes=3999999-").content == flipped[3_999_999:]
    assert get(breaking).content == CONTENT
    assert breaking.injected() == {"corrupt": 2}


def test_a_truncated_answer_looks_whole(breaking: RunningHub) -> None:
    breaking.inject({"kind": "truncate", "after": 5_000_000, "next": 1})

    short = get(breaking)

    assert short.headers["Content-Length"] == "5000000"
    assert short.content == CONTENT[:5_000_000]
    assert get(breaking).content == CONTENT


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "cut", "after": 100_000}, httpx.RemoteProtocolError),
        ({"kind": "cut"}, httpx.RemoteProtocolError),
        ({"kind": "stall", "after": 100_000}, httpx.ReadTimeout),
        ({"kind": "stall"}, httpx.ReadTimeout),
    ],
)
def test_an_answer_is_cut_off_or_falls_silent(
    breaking: RunningHub, fault: dict[str, Any], error: type[Exception]
) -> None:
    breaking.inject({**fault, "path": "/storage/*"})

    with pytest.raises(error):
        get(breaking)

    assert breaking.injected() == {fault["kind"]: 1}
    assert [request["sent"] for request in breaking.requests()] == [0, fault.get("after", 0)]


def test_a_range_is_ignored(breaking: RunningHub) -> None:
    breaking.inject({"kind": "ignoreRange"})

    whole = get(breaking, Range="bytes=1000-")

    assert (whole.status_code, whole.content) == (httpx.codes.OK, CONTENT)
    assert breaking.injected() == {"ignoreRange": 2}  # of the redirect, which has no use for it, and of the storage


def test_an_error_says_in_seconds_or_as_a_date_when_to_come_again(breaking: RunningHub) -> None:
    status = {"kind": "status", "code": 429, "retryAfter": 7, "next": 1}
    breaking.inject(status, {**status, "dated": True}, {"kind": "status", "code": 503, "next": 1})
    before = time.time()

    seconds, date, bare = get(breaking), get(breaking), get(breaking)

    assert (seconds.status_code, seconds.headers["Retry-After"]) == (429, "7")
    stated = parsedate_to_datetime(date.headers["Retry-After"]).timestamp()
    assert before + 7 <= stated <= time.time() + 8
    assert (bare.status_code, "Retry-After" in bare.headers) == (503, False)
    assert get(breaking).content == CONTENT
    assert breaking.injected() == {"429": 2, "503": 1}
    first, second, *_ = breaking.requests()
    assert (first["notBefore"] - first["at"], second["notBefore"]) == (7, stated)


def test_errors_end_with_their_time(breaking: RunningHub) -> None:
    breaking.inject({"kind": "status", "code": 500, "seconds": 2})
    assert get(breaking).status_code == 500
    time.sleep(2)
    assert get(breaking).content == CONTENT


def test_the_same_seed_hits_the_same_requests(breaking: RunningHub) -> None:
    def statuses(seed: int) -> list[int]:
        breaking.inject({"kind": "status", "code": 500, "probability": 0.5}, seed=seed)
        return [get(breaking, "config.json").status_code for _ in range(20)]

    first = statuses(1)
    assert set(first) == {200, 500}
    assert statuses(1) == first
    assert statuses(2) != first


@pytest.mark.parametrize("limit", ["rate", "each"])
def test_a_throttled_answer_takes_its_time_until_there_is_another_plan(breaking: RunningHub, limit: str) -> None:
    breaking.inject({"kind": "throttle", limit: len(CONTENT) * 2})
    started = time.monotonic()

    assert get(breaking).content == CONTENT

    assert time.monotonic() - started >= 0.4
    assert breaking.injected()["throttle"] == 1


def test_a_plan_with_an_unknown_word_is_refused_and_the_old_one_stays(breaking: RunningHub) -> None:
    breaking.inject({"kind": "status", "code": 500})
    for wrong in ('{"faults": [{"kind": "status", "code": 500, "retry": 1}]}', '{"fault": []}', '{"faults": [{}]}'):
        assert breaking.http.put(f"{breaking.url}{PATH}", content=wrong).status_code == 422
    assert get(breaking).status_code == 500


def test_a_hub_can_be_started_with_faults(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"faults": [{"kind": "status", "code": 503, "next": 1}]}))
    with hubs.running(tmp_path, f"--faults={plan}") as broken:
        assert [get(broken).status_code for _ in range(2)] == [503, 200]
