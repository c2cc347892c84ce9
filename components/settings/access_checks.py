"""Mistakes of who reaches the models: hosts, times, policies and keys that do not go together with the models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from components.engines import ENGINES, engine_of
from components.settings.access import Ingress
from components.settings.mistakes import Mistake, key_path, refused
from components.settings.model import answer_seconds
from components.settings.schema import API_KEYS_KEY

if TYPE_CHECKING:
    from components.settings.stack import Settings

KEY_CHARACTERS: Final = 20
"""At least: what a random generator gives, and nobody guesses from the eight digits of their hash."""
_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~+/=-]*")
"""What a bearer token may hold (RFC 6750); a hyphen in front would be a flag to the engine that reads it."""
_GENERATE: Final = f'set it with: pulumi config set --secret inference:{API_KEYS_KEY} "$(openssl rand -hex 32)"'


def mistakes_of_keys(text: str) -> list[Mistake]:
    """What is wrong with the API keys as they are, one line for each kind of mistake; none shows a key."""
    keys, found = text.split(), []
    if not keys:
        found.append("holds no key")
    if any(not _KEY.fullmatch(key) for key in keys):
        found.append("holds a key with characters that no header can carry, or a hyphen in front")
    if short := min((len(key) for key in keys if len(key) < KEY_CHARACTERS), default=0):
        found.append(f"holds a key of {short} characters, which may be guessed")
    if len(set(keys)) < len(keys):
        found.append("holds a key twice")
    allowed = f"keys between spaces, each of at least {KEY_CHARACTERS} letters, digits and ._~+/=-"
    return [Mistake(key=key_path([API_KEYS_KEY]), problem=each, allowed=allowed, fix=_GENERATE) for each in found]


def mistakes_of_engines_without_keys(settings: Settings) -> list[Mistake]:
    """Models whose engine would let everybody in, in a stack with API keys."""
    able = ", ".join(key for key, each in ENGINES.items() if each.api_keys)
    return [
        Mistake(
            key=key_path([API_KEYS_KEY]),
            problem=f"protects no model {name}: {engine_of(model).title} asks for no key, or shows its own in its log",
            allowed=f"engines that read keys from a file ({able})",
            fix=f"set another engine, or serve {name} from a stack without keys, behind a gateway that asks for them",
        )
        for name, model in settings.models.items()
        if not engine_of(model).api_keys
    ]


def _hosts_are_of_models(settings: Settings) -> Iterator[Mistake]:
    if settings.gateway is None:
        return
    hosts = settings.gateway.hosts
    for name, host in hosts.items():
        path = ("gateway", "hosts", name)
        if name not in settings.models:
            yield refused(
                path,
                "is the host of no model",
                allowed=f"a key of inference:models ({', '.join(settings.models)})",
                fix="rename it in the stack file, or take it out",
            )
        twice = next((other for other, theirs in hosts.items() if other < name and theirs == host), None)
        if twice is not None:
            yield refused(
                path,
                f"{host} is the host of model {twice} too, and below it both would be /v1",
                allowed="a host for each, or none: then their paths tell them apart",
                fix="give it a host of its own, or take it out",
            )


def _no_rewriting_no_path(settings: Settings) -> Iterator[Mistake]:
    """A controller that we cannot tell to rewrite /MODEL/v1 needs a host for each model."""
    gateway = settings.gateway
    if not isinstance(gateway, Ingress) or gateway.controller != "other":
        return
    for name in settings.models:
        if name not in gateway.hosts:
            yield refused(
                ("gateway", "hosts", name),
                f"is missing: nothing tells a controller that we do not know to rewrite /{name}/v1 to /v1",
                allowed="a host for each model with controller other",
                example=f"{name}.{gateway.host}",
            )


def _answers_end_before_the_gateway_cuts_them(settings: Settings) -> Iterator[Mistake]:
    if settings.gateway is None:
        return
    cut = settings.gateway.request_seconds
    for name, model in settings.models.items():
        longest = 0 if model.output_tokens is None else answer_seconds(model.output_tokens, model.tpot_millis)
        needs = max(longest, model.drain_seconds)
        if needs <= cut:
            continue
        why = (
            f"{model.output_tokens} outputTokens x {model.tpot_millis} ms are {longest} s"
            if longest >= model.drain_seconds
            else f"its drainSeconds let answers run for {model.drain_seconds} s"
        )
        yield refused(
            ("gateway", "requestSeconds"),
            f"cuts answers of model {name} after {cut} s: {why}",
            allowed=f"at least {needs}, at most 3600",
            fix=None if needs <= 3600 else f"set a smaller outputTokens or drainSeconds for model {name}",  # noqa: PLR2004
            example=needs,
        )


def _the_gateway_gets_through(settings: Settings) -> Iterator[Mistake]:
    policy = settings.network_policy
    if settings.gateway is None or not policy.enabled or policy.gateway_namespace or policy.clients:
        return
    alb = isinstance(settings.gateway, Ingress) and settings.gateway.controller == "alb"
    key = "clients" if alb else "gatewayNamespace"
    yield refused(
        ("networkPolicy", key),
        "is missing: the NetworkPolicies would let no gateway through to the engines",
        allowed="the addresses of the load balancer's subnets" if alb else "the namespace of the gateway's pods",
        fix="write them in the stack file: clients: [10.0.0.0/16]" if alb else None,
        example=None if alb else "gateway",
    )


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (
    _hosts_are_of_models,
    _no_rewriting_no_path,
    _answers_end_before_the_gateway_cuts_them,
    _the_gateway_gets_through,
)
