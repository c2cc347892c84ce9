"""Drops no stream: a replica that leaves ends its answers before anything ends it.

    preStop sleep + drain < grace period <= what ends the node <= what cuts the connection

And the drain is as long as the longest answer: its tokens x the time per output token.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from claims.claim import Claim
from claims.front_doors import cut
from claims.node_ends import node_end
from claims.parts import Part, claim_of, of_model, setting
from claims.versions import has, version_of, written
from components.drain import grace_seconds, sleep_seconds
from components.engines import Drain, engine_of
from components.settings import Model, Settings
from components.settings.model import answer_seconds

SHUTDOWN_TIMEOUT: Final = "--shutdown-timeout"


def claims(settings: Settings) -> Iterator[Claim]:
    """One claim a model."""
    for name, model in settings.models.items():
        parts = (
            *_drains(name, model),
            _longest(name, model),
            *node_end(settings, name, model),
            *cut(settings, name, model),
        )
        sentence = f"a replica that leaves gets {model.drain_seconds:,} s to end its answers, and nothing cuts them"
        yield claim_of("drops", of_model(name), sentence, parts)


def _drains(name: str, model: Model) -> Iterator[Part]:
    engine, grace, sleep = engine_of(model), grace_seconds(model), sleep_seconds(model)
    rest = model.pre_stop_seconds + model.drain_seconds - sleep
    yield Part(
        line=f"drain: {sleep} s sleep before the stop + {rest} s of {engine.title}'s own = {sleep + rest} s "
        f"{'<' if sleep + rest < grace else '>='} {grace} s grace period, {engine.exit_seconds} s of them to exit",
        change=None
        if sleep + rest < grace
        else setting(f"models.{name}.drainSeconds", max(0, model.drain_seconds - (sleep + rest - grace) - 1)),
    )
    if engine.drain is not Drain.BY_ARGUMENT:
        return
    version = version_of(model)
    line = f"{engine.title} {written(version)}: {SHUTDOWN_TIMEOUT} {model.drain_seconds}, without which it cuts streams"
    able = has(model, SHUTDOWN_TIMEOUT)
    if able is False:
        yield Part(line=f"{line}, is newer", change=setting(f"models.{name}.image", "of 0.18 or newer, by its digest"))
    else:
        ask = f"the image's `vllm serve --help` names {SHUTDOWN_TIMEOUT}; or an image whose tag is vLLM's version"
        yield Part(line=line, proof=None if able else ask)


def _longest(name: str, model: Model) -> Part:
    tokens, bound = model.output_tokens, model.output_tokens or model.context_length
    seconds = answer_seconds(bound, model.tpot_millis)
    bounded = "" if tokens is not None else ", which only contextLength bounds"
    holds = seconds <= model.drain_seconds
    line = (
        f"longest answer{bounded}: {bound:,} tokens x {model.tpot_millis} ms = {seconds:,} s {'<=' if holds else '>'} "
        f"{model.drain_seconds:,} s drain"
    )
    if holds:
        return Part(line=line)
    if tokens is not None:
        return Part(line=line, change=setting(f"models.{name}.drainSeconds", seconds))
    most = model.drain_seconds * 1000 // model.tpot_millis
    return Part(
        line=line,
        proof=f"{setting(f'models.{name}.outputTokens', 'N')}, with N the longest answer that clients ask for: up to "
        f"{most:,} end in time",
    )
