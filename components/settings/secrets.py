"""What is secret in a stack: keys of their own, never a part of the structured settings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.settings.mistakes import Mistake, key_path
from components.settings.schema import API_KEYS_KEY, SECRETS, TOKEN_KEY


@dataclass(frozen=True, kw_only=True)
class ApiKeys:
    """The keys of a stack's API."""

    keys: pulumi.Output[list[str]]
    """Secret."""
    digest: str
    """Eight hexadecimal digits of the keys in their order: enough to tell them apart, too little to find them."""


def hub_token(config: pulumi.Config) -> pulumi.Output[str] | None:
    """The hub's token as a secret output, or None where the stack has none."""
    return config.get_secret(TOKEN_KEY)


def api_keys(config: pulumi.Config) -> ApiKeys | None:
    """The API's keys, or None where the stack has none."""
    text, secret = config.get(API_KEYS_KEY), config.get_secret(API_KEYS_KEY)
    if text is None or secret is None:
        return None
    whole = "\n".join([API_KEYS_KEY, *text.split()])
    return ApiKeys(keys=secret.apply(str.split), digest=hashlib.sha256(whole.encode()).hexdigest()[:8])


def misplaced_secrets(values: Mapping[str, str], secrets: frozenset[str]) -> list[Mistake]:
    """Sections that are stored as a secret, which no preview could show."""
    ours = " and ".join(key_path([key]) for key in SECRETS)
    return [
        Mistake(
            key=key_path([key]),
            problem="holds a secret",
            allowed=f"plain values; the secrets are {ours}",
            fix="take the value under secure: out of the stack file",
        )
        for key in values
        if key in secrets and key not in SECRETS
    ]


def plain_secrets(values: Mapping[str, str], secrets: frozenset[str]) -> list[Mistake]:
    """Secrets that are stored in plain text."""
    what = {TOKEN_KEY: ("revoke that token", "a new one"), API_KEYS_KEY: ("give up those keys", "new ones")}
    return [
        Mistake(
            key=key_path([key]),
            problem="is stored in plain text",
            allowed="a secret",
            fix=f"{leave} and set {new} with: pulumi config set --secret {key_path([key])}",
        )
        for key, (leave, new) in what.items()
        if key in values and key not in secrets
    ]
