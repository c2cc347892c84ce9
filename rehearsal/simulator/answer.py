"""What the simulator answers: a function of the prompt alone, so that a client can check a stream token by token.

A token is a word with its leading space, or the word at the start. The answer says that no model is speaking, quotes a
few words of the prompt, and goes on in sentences of numbered words (` cache-32` is the 32nd token), so that a lost,
doubled or swapped token shows.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from itertools import count, islice

_WORDS = (
    *("replica", "token", "cache", "batch", "prompt", "stream", "queue", "weight"),
    *("layer", "tensor", "kernel", "memory", "node", "pool", "volume", "probe"),
    *("surge", "drain", "metric", "scaler", "request", "latency", "budget", "model"),
    *("context", "window", "decode", "prefill", "shard", "engine", "gateway", "rollout"),
)
_PREAMBLE = "No model speaks here, but a simulator in numbered words, so that a lost token shows."
_QUOTED_WORDS = 8
_SENTENCE_TOKENS = 12
_SHORTEST, _SPREAD = 48, 80


def tokens(prompt: str) -> Iterator[str]:
    """The answer's tokens in order, without end: the caller stops at `length`, or at its own limit."""
    quoted = re.findall(r"\w+", prompt)[:_QUOTED_WORDS]
    opening = re.findall(r"\s?\S+", f"{_PREAMBLE} You asked: {' '.join(quoted)}...")
    yield from opening
    seed = _seed(prompt)
    for index in count(len(opening)):
        word = _WORDS[(seed + index * index) % len(_WORDS)]
        yield f" {word}-{index + 1}{'.' if index % _SENTENCE_TOKENS == 0 else ''}"


def length(prompt: str) -> int:
    """Tokens after which the answer ends of itself (`finish_reason` stop): 48 to 127, by the prompt."""
    return _SHORTEST + _seed(prompt) % _SPREAD


def text(prompt: str, limit: int) -> str:
    """The first `limit` tokens of the answer as one text."""
    return "".join(islice(tokens(prompt), limit))


def count_tokens(prompt: str) -> int:
    """Tokens of a prompt: words and single marks, about what a tokenizer for English makes of it."""
    return len(re.findall(r"\w+|[^\w\s]", prompt))


def _seed(prompt: str) -> int:
    return zlib.crc32(prompt.encode("utf-8", "surrogatepass"))
