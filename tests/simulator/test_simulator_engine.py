"""The scheduler: batches, queues, the KV cache, stops and the drain."""

from __future__ import annotations

import asyncio
import math
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.simulator import answer, environment
from rehearsal.simulator.engine import Engine, Limits, Output, QueueOverflowError, Request, ShutDownError
from rehearsal.simulator.metrics import Metrics
from rehearsal.simulator.stops import StopFilter

QUICK = environment.read({"SIMULATOR_STEP_MS": "1", "SIMULATOR_STEP_MS_PER_SEQ": "0", "SIMULATOR_PREFILL_TPS": "0"})


def engine(
    *,
    seqs: int = 4,
    blocks: int = 1000,
    queued: int | None = None,
    queued_tokens: int | None = None,
    metrics: Metrics | None = None,
) -> Engine:
    limits = Limits(
        max_num_seqs=seqs,
        max_num_batched_tokens=64,
        max_num_queued_reqs=queued,
        max_num_queued_tokens=queued_tokens,
        blocks=blocks,
        block_size=16,
    )
    return Engine(limits, QUICK, metrics or Metrics("chat", max_model_len=2048))


def request(tokens: int, *, prompt: int = 4, natural: float = math.inf, stop: tuple[str, ...] = ()) -> Request:
    return Request(
        prompt_tokens=prompt,
        tokens=(f" {number}" for number in count(1)),
        max_tokens=tokens,
        natural_length=natural,
        stops=StopFilter(stop),
    )


async def collect(running: Engine, wanted: Request) -> list[Output]:
    return [output async for output in running.outputs(wanted)]


async def run(running: Engine, *wanted: Request) -> list[list[Output]]:
    """Serve the requests to their ends."""
    steps = asyncio.create_task(running.run())
    try:
        for each in wanted:
            running.submit(each)
        return await asyncio.gather(*(collect(running, each) for each in wanted))
    finally:
        steps.cancel()


def text(outputs: list[Output]) -> str:
    return "".join(output.text for output in outputs)


def test_an_answer_ends_by_its_own_length_or_by_its_limit() -> None:
    short, long = asyncio.run(run(engine(), request(9, natural=3), request(5)))

    assert (text(short), short[-1].finish_reason, short[-1].tokens) == (" 1 2 3", "stop", 3)
    assert (text(long), long[-1].finish_reason, long[-1].tokens) == (" 1 2 3 4 5", "length", 5)


def test_a_stop_string_over_two_tokens_is_found_and_not_sent() -> None:
    (outputs,) = asyncio.run(run(engine(), request(20, stop=("4 5",))))

    assert (text(outputs), outputs[-1].finish_reason, outputs[-1].tokens) == (" 1 2 3 ", "stop", 5)


def test_what_a_stop_string_has_kept_back_is_sent_at_the_end() -> None:
    (outputs,) = asyncio.run(run(engine(), request(5, stop=(" 5 6 7",))))

    assert (text(outputs), outputs[-1].finish_reason) == (" 1 2 3 4 5", "length")


def test_preempted_requests_lose_no_token() -> None:
    # Room for 6 blocks of 16 tokens; four answers of 40 tokens need 12 at their ends.
    metrics = Metrics("chat", max_model_len=2048)
    running = engine(metrics=metrics, blocks=6)

    answers = asyncio.run(run(running, *(request(40) for _ in range(4))))

    assert {text(outputs) for outputs in answers} == {"".join(f" {number}" for number in range(1, 41))}
    preemptions = metrics.registry.get_sample_value("vllm:num_preemptions_total", {"model_name": "chat", "engine": "0"})
    assert preemptions is not None
    assert preemptions > 0
    assert running.kv_cache_usage == 0


def test_the_last_to_arrive_is_preempted_and_the_first_ends_first() -> None:
    wanted = [request(40) for _ in range(4)]

    asyncio.run(run(engine(blocks=6), *wanted))

    ends = [each.latest_token for each in wanted]
    assert ends == sorted(ends)


def test_a_waiting_request_that_nobody_listens_to_leaves_the_queue() -> None:
    async def left() -> int:
        running = engine(seqs=1)
        running.submit(gone := request(5))
        listening = running.outputs(gone)
        waiting = asyncio.ensure_future(anext(listening))
        await asyncio.sleep(0)
        assert running.waiting == 1
        waiting.cancel()
        await asyncio.wait([waiting])
        return running.in_flight

    assert asyncio.run(left()) == 0


def test_the_kv_cache_is_never_used_beyond_its_size() -> None:
    async def highest() -> float:
        running, usage = engine(blocks=6), list[float]()

        async def watch() -> None:
            while len(usage) < 100 or usage[-1]:
                usage.append(running.kv_cache_usage)
                await asyncio.sleep(0.0005)

        await asyncio.gather(run(running, *(request(40) for _ in range(4))), watch())
        return max(usage)

    assert 0.5 < asyncio.run(highest()) <= 1


def test_requests_start_in_order_of_arrival() -> None:
    waiting = [request(3) for _ in range(4)]

    asyncio.run(run(engine(seqs=1), *waiting))

    for earlier, later in pairwise(waiting):
        assert later.first_token is not None
        assert earlier.latest_token < later.first_token


def test_requests_in_flight_beyond_the_limit_are_refused() -> None:
    running = engine(seqs=1, queued=2)
    running.submit(request(5))
    running.submit(request(5))

    with pytest.raises(QueueOverflowError, match="currently busy"):
        running.submit(request(5))


def test_queued_prompt_tokens_beyond_the_limit_are_refused() -> None:
    running = engine(queued_tokens=100)
    running.submit(request(5, prompt=80))

    running.submit(request(5, prompt=80))
    with pytest.raises(QueueOverflowError, match="prefill token backlog"):
        running.submit(request(5, prompt=1))


def test_a_drain_waits_for_what_runs_and_refuses_what_comes() -> None:
    async def drained() -> list[Output]:
        running, early, late = engine(), request(30), request(5)
        serving = asyncio.create_task(run(running, early))
        await asyncio.sleep(0)
        draining = asyncio.create_task(running.drain(30))
        await asyncio.sleep(0)
        with pytest.raises(ShutDownError):
            running.submit(late)
        await draining
        assert early.finished
        return (await serving)[0]

    served = asyncio.run(drained())
    assert (served[-1].finish_reason, served[-1].tokens) == ("length", 30)


def test_a_drain_that_takes_too_long_aborts_the_rest() -> None:
    async def drained() -> list[list[Output]]:
        running = engine(seqs=1)
        serving = asyncio.create_task(run(running, request(100_000), request(5)))
        await asyncio.sleep(0.02)
        await running.drain(0.05)
        return await serving

    answers = asyncio.run(drained())
    assert [outputs[-1].finish_reason for outputs in answers] == ["abort", "abort"]
    assert answers[0][-1].tokens > 0


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=4), max_size=3), st.integers(1, 5))
def test_a_stop_filter_sends_exactly_what_stands_before_the_first_stop_string(
    whole: str, stops: list[str], size: int
) -> None:
    sent, kept = "", StopFilter(tuple(stops))
    tokens = [whole[start : start + size] for start in range(0, len(whole), size)]
    for token in tokens:
        sent += kept.feed(token)
        if kept.stopped:
            break
    sent += kept.flush()

    found = [whole.index(stop) for stop in stops if stop in whole]
    if not found:
        assert sent == whole
    else:
        # With several stop strings that end in different tokens, the one that is complete first counts.
        assert sent in {whole[:position] for position in found}
        assert kept.stopped


def test_an_answer_follows_from_the_prompt_alone_and_numbers_its_tokens() -> None:
    first = answer.text("What is a drain?", 60)

    assert first == answer.text("What is a drain?", 60)
    assert first != answer.text("What is a surge?", 60)
    assert "You asked: What is a drain..." in first
    assert first.split()[-1].rstrip(".").endswith("-60")
    assert 48 <= answer.length("What is a drain?") < 128


@pytest.mark.parametrize(
    ("listed", "gpus"), [("GPU-1,GPU-2", 2), ("GPU-1", 1), ("", 0), ("void", 0), ("none", 0), ("all", 0)]
)
def test_gpus_are_those_that_the_device_plugin_lists(listed: str, gpus: int) -> None:
    assert environment.read({"NVIDIA_VISIBLE_DEVICES": listed}).visible_gpus == gpus


def test_a_constant_that_is_no_number_is_named() -> None:
    with pytest.raises(ValueError, match="SIMULATOR_STEP_MS='fast' is not a number"):
        environment.read({"SIMULATOR_STEP_MS": "fast"})
