"""What is sent: when, how long the answers are, and what must come back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rehearsal.fault import Fault
from rehearsal.simulator import answer


@dataclass(frozen=True, kw_only=True)
class Load:
    """At least `streams` chat completions from `base_url`, `rate` a second in Poisson arrivals, the same for each seed.

    At most `concurrency` are open at a time; what waits for its turn counts its latency from when it was due. Answers
    have `tokens` tokens, those of every `long_every`-th stream `long_tokens` (0: none).
    """

    base_url: str
    model: str
    streams: int = 2000
    rate: float = 100.0
    concurrency: int = 4096
    tokens: int = 24
    long_tokens: int = 96
    long_every: int = 10
    first_token_s: float = 5.0
    """A stream whose first token comes later, counted from when it was due, is slow."""
    gap_s: float = 2.0
    """A stream with a longer time between two tokens is slow."""
    patience_s: float = 30.0
    """A stream that says nothing for so long has stalled: it is given up and lost."""
    numbered: bool = True
    """Whether the answers are the simulator's, whose text is known beforehand."""
    keep_alive: bool = False
    """Whether connections are used again: they then lead to the replica that they were made to, even when it leaves."""
    api_key: str | None = None
    seed: int = 6

    def __post_init__(self) -> None:
        """Fault for what makes no load."""
        for name in ("streams", "rate", "concurrency", "tokens", "first_token_s", "gap_s", "patience_s"):
            if not getattr(self, name) > 0:
                raise Fault(f"traffic: --{name.replace('_', '-')} {getattr(self, name)}; allowed: more than 0")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One stream's request, and the answer that is owed; `text` is None where only its length is known."""

    number: int
    body: dict[str, Any]
    tokens: int
    text: str | None


def asked(load: Load, number: int) -> Asked:
    """The request with this number. No two have one prompt, so that answers that get mixed up show."""
    long = load.long_every > 0 and number % load.long_every == load.long_every - 1
    tokens = load.long_tokens if long else load.tokens
    prompt = f"Stream {number} of seed {load.seed}"
    return Asked(
        number=number,
        tokens=tokens,
        text=answer.text(prompt, tokens) if load.numbered else None,
        body={
            "model": load.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    )


def arrivals(rate: float, seed: int) -> Iterator[float]:
    """Seconds from the start at which streams are due, without end."""
    draw = random.Random(seed)  # noqa: S311 - the same times in every run
    at = 0.0
    while True:
        at += draw.expovariate(rate)
        yield at
