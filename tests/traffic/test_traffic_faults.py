"""Traffic against a server that breaks its streams: each is counted as what it is."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import asdict, replace

import pytest

from rehearsal.fault import Fault
from rehearsal.traffic.background import Background
from rehearsal.traffic.load import Load
from rehearsal.traffic.outcome import Ending
from rehearsal.traffic.result import Result
from rehearsal.traffic.sending import Tally, send
from tests.traffic.faulty import PAUSE_S, serving

FAULTS = {
    "busy": (Ending.REFUSED, "HTTP 503: busy"),
    "reset before the answer": (Ending.REFUSED, "Error"),
    "abort at once": (Ending.REFUSED, "finish_reason abort after 0 tokens"),
    "connection lost": (Ending.TRUNCATED, "after 3 tokens"),
    "ended without a word": (Ending.TRUNCATED, "no finish_reason after 3 tokens"),
    "no finish reason": (Ending.TRUNCATED, "no finish_reason after 12 tokens"),
    "no [DONE]": (Ending.TRUNCATED, "no [DONE] after 12 tokens"),
    "abort": (Ending.ABORTED, "finish_reason abort after 3 tokens"),
    "error": (Ending.ABORTED, "error: EngineCore died after 3 tokens"),
    "words after [DONE]": (Ending.ABORTED, "an event after [DONE]"),
    "token skipped": (Ending.DAMAGED, "token 4 is 'but', not 'here,'"),
    "token doubled": (Ending.DAMAGED, "token 5 is 'here,', not 'but'"),
    "another's token": (Ending.DAMAGED, "token 4 is 'elsewhere-4'"),
    "one token less": (Ending.DAMAGED, "token 12 is '', not"),
}
STREAMS = 40
LOAD = Load(base_url="", model="chat", streams=STREAMS, rate=400, tokens=12, long_every=0, patience_s=20)


def sent(load: Load) -> Result:
    return asyncio.run(send(load, Tally()))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_stream_is_counted_as_what_it_is_and_no_other_one_with_it(fault: str) -> None:
    with serving({7: fault, 23: fault}) as url:
        result = sent(replace(LOAD, base_url=url))

    kind, detail = FAULTS[fault]
    assert result.endings == {kind: 2, Ending.COMPLETE: STREAMS - 2}
    assert [outcome.number for outcome in result.lost] == [7, 23]
    assert all(detail in outcome.detail for outcome in result.lost), result.lost


def test_a_stream_that_falls_silent_is_given_up_and_lost() -> None:
    with serving({5: "gap"}) as url:
        result = sent(replace(LOAD, base_url=url, patience_s=PAUSE_S / 2))

    assert result.endings == {Ending.STALLED: 1, Ending.COMPLETE: STREAMS - 1}
    assert result.lost[0].detail == "silence for 0.25 s after 3 tokens"


@pytest.mark.parametrize("fault", ["late first token", "gap"])
def test_a_slow_stream_is_complete_and_counted_as_slow(fault: str) -> None:
    with serving({3: fault}) as url:
        result = sent(replace(LOAD, base_url=url, first_token_s=PAUSE_S * 0.9, gap_s=PAUSE_S * 0.9))

    assert result.endings == {Ending.COMPLETE: STREAMS}
    # A busy machine may make others slow too.
    assert result.slow >= 1
    measured = result.longest_gap if fault == "gap" else result.first_token
    assert measured.most is not None
    assert measured.most >= PAUSE_S * 0.9


def test_a_port_that_nobody_listens_on_refuses_every_stream() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = sent(replace(LOAD, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1"))

    assert result.endings == {Ending.REFUSED: STREAMS}
    assert result.lost_on == {None: STREAMS}
    assert result.first_token.p50 is None


def test_a_lost_stream_is_laid_to_the_pod_that_answered_it() -> None:
    with serving({1: "abort", 2: "busy"}) as url:
        result = sent(replace(LOAD, base_url=url))

    assert result.lost_on == {"pod-1": 1, None: 1}
    assert result.by_pod == {"pod-1": STREAMS - 1, None: 1}


def test_an_answer_of_unknown_words_is_held_to_its_length_alone() -> None:
    with serving({1: "another's token", 2: "one token less"}) as url:
        result = sent(replace(LOAD, base_url=url, numbered=False))

    assert [(outcome.number, outcome.ending) for outcome in result.lost] == [(2, Ending.DAMAGED)]
    assert result.lost[0].detail == "11 tokens, not 12"


def test_latency_counts_from_when_a_stream_was_due_and_not_from_its_turn() -> None:
    with serving(dict.fromkeys(range(4), "gap")) as url:
        result = sent(replace(LOAD, base_url=url, streams=4, concurrency=1))

    # Three others took their half second each before the last one had its turn.
    assert result.most_open == 1
    assert result.first_token.most is not None
    assert result.first_token.most > 3 * PAUSE_S * 0.9
    assert result.lag.most is not None
    assert result.lag.most > 3 * PAUSE_S * 0.9


def test_streams_are_open_at_the_same_time() -> None:
    with serving(dict.fromkeys(range(STREAMS), "gap")) as url:
        result = sent(replace(LOAD, base_url=url))

    assert result.most_open == STREAMS


def test_traffic_in_the_background_goes_on_until_the_block_has_ended() -> None:
    with serving({}) as url, Background(replace(LOAD, base_url=url, streams=1, rate=50)) as traffic:
        pass

    # One second before the block begins, in any case.
    assert 25 < traffic.result.streams < 100
    assert traffic.result.lost == ()


def test_traffic_in_the_background_sends_its_minimum_however_short_the_block_is() -> None:
    with serving({}) as url, Background(replace(LOAD, base_url=url, streams=600, rate=400)) as traffic:
        pass

    assert traffic.result.streams == 600


def test_more_connections_than_this_process_may_have_are_refused_by_name() -> None:
    with pytest.raises(Fault, match=r"--concurrency needs .* open files"):
        sent(replace(LOAD, base_url="http://127.0.0.1:1/v1", concurrency=2**40))


@pytest.mark.parametrize("name", ["streams", "rate", "concurrency", "tokens", "patience_s"])
def test_a_load_of_nothing_is_refused_by_name(name: str) -> None:
    with pytest.raises(Fault, match=f"--{name.replace('_', '-')} 0"):
        Load(**{**asdict(LOAD), name: 0})
