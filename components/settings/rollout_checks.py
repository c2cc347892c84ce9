"""Whether the times of a rollout are in order: load, startup, progress deadline, Pulumi's timeout; and the drain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

# As a module, which may be the one that is being imported: its own settings come from this package.
from components import timing
from components.engines import engine_of
from components.settings.mistakes import Mistake, refused
from components.settings.model import DRAIN_SECONDS, LONGEST_DRAIN, Model, answer_seconds
from components.settings.source import parse_source
from components.settings.stack import Settings
from components.sizing import revision_bytes, volume_size
from components.surge import replaced, surge_of


def _startup_is_not_below_the_load(settings: Settings) -> Iterator[Mistake]:
    for name, model in _measured(settings):
        given = model.probes.startup_seconds
        if given is None or given >= timing.load_estimate(model):
            continue
        estimate = timing.load_estimate(model)
        yield refused(
            ("models", name, "probes", "startupSeconds"),
            f"{given} is less than the {estimate} that a replica takes to load: {_load(model)}",
            allowed=f"at least {estimate}, or a larger weights.bandwidthMBps or smaller engineStartSeconds as measured",
            example=timing.STARTUP_SAFETY * estimate,
        )


def _measured(settings: Settings) -> Iterator[tuple[str, Model]]:
    """The models of which it is known how much they load; others are refused for that."""
    for name, model in settings.models.items():
        in_image = parse_source(model.source).scheme == "image"
        known = model.weights.size is not None or revision_bytes(model) is not None
        if (model.probes.startup_seconds is not None) if in_image else known:
            yield name, model


def _load(model: Model) -> str:
    """The arithmetic of the load estimate."""
    known = revision_bytes(model)
    size = f"{known:,} bytes" if known is not None else volume_size(model)
    return (
        f"{size} / {model.weights.bandwidth_mbps} MB/s = {timing.transfer_seconds(model)}, and "
        f"{timing.engine_start_seconds(model)} for {engine_of(model).title} to start"
    )


def _deadline_is_not_below_what_it_waits_for(settings: Settings) -> Iterator[Mistake]:
    for name, model in _measured(settings):
        given = model.rollout.progress_deadline_seconds
        parts = timing.between_replicas(model, seeds=settings.seeds_nodes(model))
        least = sum(parts.values())
        if given is None or given >= least:
            continue
        yield refused(
            ("models", name, "rollout", "progressDeadlineSeconds"),
            f"{given} is less than what may come between one replica and the next: {_sum(parts)} = {least}",
            allowed=f"at least {least}, or less of its parts",
            example=least,
        )


def _pulumi_waits_longer_than_kubernetes(settings: Settings) -> Iterator[Mistake]:
    for name, model in _measured(settings):
        given = model.rollout.timeout_seconds
        deadline = timing.timing(model, seeds=settings.seeds_nodes(model)).progress_deadline
        rounds = timing.rounds(model)
        if given is None or given > rounds * deadline:
            continue
        yield refused(
            ("models", name, "rollout", "timeoutSeconds"),
            f"{given} is not above the progress deadlines of the rollout: {replaced(model)} replicas with surge "
            f"{surge_of(model)} are {rounds} round{'' if rounds == 1 else 's'} x {deadline} = "
            f"{rounds * deadline}",
            allowed=f"more than {rounds * deadline}, or a larger rollout.surge",
            example=rounds * deadline + timing.WAIT_MARGIN,
        )


def _sum(parts: Mapping[str, int]) -> str:
    return " + ".join(f"{seconds} for {name}" for name, seconds in parts.items())


def _drain_outlasts_the_answers(settings: Settings) -> Iterator[Mistake]:
    for name, model in settings.models.items():
        tokens = model.output_tokens
        if tokens is None:
            continue
        needed = answer_seconds(tokens, model.tpot_millis)
        arithmetic = f"{tokens} outputTokens x {model.tpot_millis} ms = {needed} s"
        if tokens > model.context_length:
            yield refused(
                ("models", name, "outputTokens"),
                f"{tokens} is more than contextLength {model.context_length}, which holds prompt and answer",
                allowed=f"an integer from 1 to {model.context_length}",
                example=model.context_length // 2,
            )
        elif needed > LONGEST_DRAIN:
            yield refused(
                ("models", name, "outputTokens"),
                f"{tokens} would have a replica drain for longer than drainSeconds can be: {arithmetic}",
                allowed=f"at most {LONGEST_DRAIN * 1000 // model.tpot_millis} at that time per token",
                fix="set the outputTokens that users really ask for, or tpotMillis as it is measured",
            )
        elif model.drain_seconds < needed:
            yield refused(
                ("models", name, "drainSeconds"),
                f"{model.drain_seconds} would cut the longest answers: {arithmetic}",
                allowed=f"an integer from {needed} to {LONGEST_DRAIN}; without it {needed}",
                example=max(needed, DRAIN_SECONDS),
            )


def _a_token_gets_its_turn(settings: Settings) -> Iterator[Mistake]:
    """A probe that asks for a token waits behind those that run; one that gives up before fails where it is busy."""
    for name, model in settings.models.items():
        readiness, path = model.probes.readiness, ("models", name, "probes", "readiness", "timeoutSeconds")
        least = timing.inference_seconds(model)
        given = readiness.timeout_seconds
        if readiness.kind == "inference" and given is not None and given < least:
            yield refused(
                path,
                f"{given} is less than a token takes on a replica that is merely full: {model.concurrency} answers run "
                f"for up to drainSeconds {model.drain_seconds}, and {timing.TOKEN_SECONDS} for the token",
                allowed=f"at least {least}, or kind health",
                example=least,
            )


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (
    _startup_is_not_below_the_load,
    _deadline_is_not_below_what_it_waits_for,
    _pulumi_waits_longer_than_kubernetes,
    _drain_outlasts_the_answers,
    _a_token_gets_its_turn,
)
