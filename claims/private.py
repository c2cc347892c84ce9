"""Private: no secret in clear, wherever people put one: arguments, variables, annotations, values of charts.

What looks like a token is recognized by its form (components/settings/concealment.py), a password in an
address by where it stands, all else by its name (claims/secret_names.py). No
line shows what it is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from claims.claim import Claim
from claims.parts import Part, claim_of
from claims.secret_names import named_secret, without_logins
from components.settings import Settings
from components.settings.concealment import masked
from components.settings.mistakes import key_path

Path: TypeAlias = tuple[int | str, ...]

_FREE: Final = frozenset({"env", "values", "annotations", "labels", "tags", "engineArgs"})
# Where a name is that of a variable: a map of them, or a list of names with values.
_VARIABLES: Final = re.compile(r"env|.*(?:Env|EnvVars|envVars|environment)")


def claims(settings: Settings) -> Iterator[Claim]:
    """One claim for the stack."""
    texts = [*_texts(settings.model_dump(by_alias=True))]
    found = [_in_clear(path) for path, name, value in texts if _is_secret(path, name, value)]
    line = Part(line=f"{len(texts):,} texts of the settings: {len(found)} with a secret in clear")
    yield claim_of("private", "stack", "no secret stands in clear in the stack file", (line, *found))


def _texts(node: Any, path: Path = (), name: str = "") -> Iterator[tuple[Path, str, str]]:
    """Every text below a node, with its path and the name that it goes by: a key, a variable's name or a flag."""
    if isinstance(node, Mapping):
        own = node.get("name")
        for key, value in node.items():
            yield from _texts(value, (*path, str(key)), own if key == "value" and isinstance(own, str) else str(key))
    elif isinstance(node, Sequence) and not isinstance(node, str):
        flag = ""
        for index, value in enumerate(node):
            yield from _texts(value, (*path, index), flag)
            flag = value if isinstance(value, str) and value.startswith("-") and "=" not in value else ""
    elif isinstance(node, str):
        yield path, name, node


def _is_secret(path: Path, name: str, value: str) -> bool:
    if masked(value) != value or without_logins(value) != value:
        return True
    # The user chose the name: a setting of the program's own names Secrets, and holds none.
    if not any(step in _FREE for step in path[:-1]):
        return False
    flag, equals, given = value.partition("=")
    if isinstance(path[-1], int) and equals and flag.startswith("-"):
        return named_secret(flag, given)
    if isinstance(path[-1], int) and value.startswith("-"):
        return False
    variable = any(isinstance(step, str) and _VARIABLES.fullmatch(step) for step in path[:-1])
    return named_secret(name, value, variable=variable)


def _in_clear(path: Path) -> Part:
    key = key_path(path)
    return Part(
        line=f"{key}: reads like a secret, which is not shown here",
        change=f"{key} taken out and revoked, and a Secret in its place (weights.credentials, inference:hfToken, "
        "inference:apiKeys, or one that the chart's values name)",
    )
