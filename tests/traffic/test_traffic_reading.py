"""What is read of a stream, how it counts, and what all of them add up to: pure."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice, pairwise
from statistics import fmean
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rehearsal.simulator import answer
from rehearsal.traffic.load import Load, arrivals, asked
from rehearsal.traffic.outcome import Ending, Outcome, ending
from rehearsal.traffic.reading import Reading
from rehearsal.traffic.result import result

LOAD = Load(base_url="http://engine/v1", model="chat", tokens=6, long_tokens=60, long_every=10)


def events(words: list[str], reason: str = "length") -> bytes:
    choices: list[Any] = [[{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]]
    choices += [[{"delta": {"content": word}, "finish_reason": None}] for word in words[:-1]]
    choices += [[{"delta": {"content": words[-1]}, "finish_reason": reason}]]
    chunks = [{"choices": each} for each in choices]
    usage = {"choices": [], "usage": {"completion_tokens": len(words)}}
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in (*chunks, usage)]
    return "".join([": a comment\n\n", *lines, "data: [DONE]\n\n"]).encode()


@given(cuts=st.lists(st.integers(0, 800), max_size=20))
def test_a_stream_reads_the_same_however_its_bytes_are_cut(cuts: list[int]) -> None:
    wanted = asked(LOAD, 0)
    data = events(list(islice(answer.tokens("Stream 0 of seed 6"), 6)))
    read = Reading()
    for start, end in pairwise(sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})):
        read.feed(data[start:end], at=float(start))

    assert (read.text, read.events, read.counted, read.finish_reason, read.done) == (wanted.text, 6, 6, "length", True)
    assert ending(wanted, read, None, opened=True, silent=False) == (Ending.COMPLETE, "")


def test_times_are_those_of_the_tokens_and_not_of_the_role_before_them() -> None:
    read = Reading()
    lines = events([" a", " b", " c"]).split(b"\n\n")
    for at, line in enumerate(lines):
        read.feed(line + b"\n\n", at=float(at * at))

    assert (read.first_token_at, read.last_token_at, read.longest_gap) == (4.0, 16.0, 7.0)


def test_a_connection_that_breaks_after_the_last_word_loses_the_stream_still() -> None:
    read = Reading()
    read.feed(events(list(islice(answer.tokens("Stream 0 of seed 6"), 6))).removesuffix(b"data: [DONE]\n\n"), 1.0)

    assert ending(asked(LOAD, 0), read, "reset", opened=True, silent=False)[0] == Ending.TRUNCATED


def test_what_is_no_event_of_a_completion_is_an_error_of_the_engine() -> None:
    for line in (b"data: {", b"data: 1", b'data: {"id": 1}', b'data: {"choices": [1]}'):
        read = Reading()
        read.feed(line + b"\n\n", 1.0)
        assert ending(asked(LOAD, 0), read, None, opened=True, silent=False)[0] == Ending.REFUSED, line
        assert "no chunk of a completion" in (read.fault or "")


def test_every_tenth_stream_is_a_long_one_and_each_has_a_prompt_of_its_own() -> None:
    every = [asked(LOAD, number) for number in range(100)]

    assert [each.tokens for each in every].count(60) == 10
    assert len({each.body["messages"][0]["content"] for each in every}) == 100
    assert {each.body["max_tokens"] - each.tokens for each in every} == {0}


def test_arrivals_come_at_the_rate_that_was_asked_for_and_at_the_same_times_again() -> None:
    times = list(islice(arrivals(50, seed=1), 5000))

    assert times == sorted(times) == list(islice(arrivals(50, seed=1), 5000))
    assert 0.019 < fmean(later - earlier for earlier, later in pairwise(times)) < 0.021


def outcome(number: int, how: Ending = Ending.COMPLETE, *, first_token: float = 0.1, detail: str = "") -> Outcome:
    return Outcome(
        number=number,
        ending=how,
        detail=detail,
        pod="pod-1",
        due=number / 10,
        lag=0.001,
        total=1.0,
        first_token=first_token,
        per_token=0.02,
        longest_gap=0.1,
        tokens=6,
    )


def test_percentiles_are_measured_values_and_leave_lost_streams_out() -> None:
    every = [outcome(number, first_token=number / 1000) for number in range(1, 201)]
    broken = outcome(201, Ending.TRUNCATED, first_token=99.0)
    added = result(LOAD, [*every, broken], most_open=3)

    assert (added.first_token.p50, added.first_token.p99, added.first_token.most) == (0.1, 0.198, 0.2)
    assert (added.streams, added.endings[Ending.COMPLETE], added.lost) == (201, 200, (broken,))


def test_slow_ones_are_counted_among_the_complete_only() -> None:
    late = replace(outcome(1), first_token=LOAD.first_token_s + 0.1)
    gap = replace(outcome(2), longest_gap=LOAD.gap_s + 0.1)
    every = [outcome(0), late, gap, replace(late, number=3, ending=Ending.ABORTED)]

    assert result(LOAD, every, most_open=4).slow == 2


def test_the_summary_says_what_was_lost_where_and_why() -> None:
    lost = [outcome(number, Ending.ABORTED, detail="finish_reason abort after 3 tokens") for number in range(7)]
    shown = result(LOAD, [*lost, outcome(7)], most_open=8).summary()

    assert "8 streams in 1.7 s, 8 open at most" in shown
    assert "1 complete, 0 of them slow; lost: 7 aborted" in shown
    assert "aborted at 1.0 s on pod-1: stream 0, finish_reason abort after 3 tokens" in shown
    assert "and 2 more lost" in shown


def test_nothing_sent_is_no_measurement() -> None:
    assert "first token not measured" in result(LOAD, [], most_open=0).summary()
