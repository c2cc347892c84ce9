"""Secrets where none belong: no message, preview or log may show them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

HIDDEN: Final = "***"

# What is kept says of which kind it was, and is the same for everybody.
_TOKENS: Final = re.compile(
    r"""
      \b(?P<token>hf_|gh[opsu]_)[A-Za-z0-9]{8,}
    | \b(?P<api>sk-|nvapi-|github_pat_|glpat-|xox[bp]-|AIza)[A-Za-z0-9_-]{8,}
    | \b(?P<aws>AKIA|ASIA)[A-Z0-9]{12,}
    | \b(?P<jwt>eyJ)[A-Za-z0-9_.-]{16,}
    | (?P<login>"(?:auth|password|identitytoken|registrytoken)\\?"\s*:\s*\\?)"[^"\\]+
    | (?P<config>\{\s*\\?"auths\\?")(?!\*).*
    | (?P<key>-----BEGIN\ [A-Z ]*PRIVATE\ KEY)(?!\*).*
    | (?P<bearer>\b[Bb]earer\ )[^\s"']+
    | (?<![A-Za-z0-9+=])(?=[a-z0-9/+]*[A-Z])(?=[A-Z0-9/+]*[a-z])(?=[A-Za-z/+]*[0-9])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])
    """,
    re.VERBOSE | re.DOTALL,
)
_SCHEME: Final = re.compile(r"^[A-Za-z0-9+.-]*:?/+")
# A user before the host, or a password that holds slashes itself: what follows its colon is no port, tag or digest.
_CREDENTIALS: Final = re.compile(
    r"[^/]*@[^/]*/|[^/@]*:(?![0-9]{1,5}(?:/|$)).*@(?!(?:sha256:)?[0-9A-Fa-f]{64}$|sha256:)", re.DOTALL
)


def masked(text: str) -> str:
    """The text with *** for what looks like a secret: tokens of hubs and clouds, keys, passwords of registries.

    The last pattern is that of AWS's secret keys, 40 characters of Base64: no digest has letters of both cases.
    """
    return _TOKENS.sub(lambda found: f"{found[found.lastgroup] if found.lastgroup else ''}{HIDDEN}", text)


@dataclass(frozen=True, kw_only=True)
class Concealed:
    """A part of an address that is not shown, and what to do about it."""

    problem: str
    fix: str


_IN_CLEAR: Final = Concealed(
    problem="holds credentials in clear",
    fix="take them out and revoke them; what signs in is a Secret: weights.credentials, or inference:hfToken",
)
_QUERY: Final = Concealed(
    problem="has a query, which no address here may have and which may sign in, so that it is not shown",
    fix="take out what follows the question mark; if it signs in, revoke it: what signs in is a Secret: "
    "weights.credentials, or inference:hfToken",
)


def concealed_part(address: str) -> Concealed | None:
    """What of an address stack files and previews must not show: a user and a password, or a query; None for others."""
    rest = _SCHEME.sub("", address.strip())
    if _CREDENTIALS.match(rest) is not None:
        return _IN_CLEAR
    return _QUERY if "?" in rest else None
