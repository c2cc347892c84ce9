"""Private: no secret in clear, wherever people put one: arguments, variables, annotations, values of charts.

What looks like a token is recognized by its form (components/settings/concealment.py), all else by its name. No
line shows what it is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from claims.claim import Claim
from claims.parts import Part, claim_of
from components.settings import Settings
from components.settings.concealment import masked
from components.settings.mistakes import key_path

# As words of a name: HF_TOKEN, adminPassword, api-key, but neither TOKENIZERS_PARALLELISM nor maxTokens.
_SECRET_WORDS: Final = re.compile(
    r"(?:^|_)(?:token|password|passwd|passphrase|secret|credentials?|private_key|access_key|api_?key|secret_key)$"
)
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
# What a variable of that name may well say: nothing, a switch, a number of tokens, a path, another variable.
_NO_SECRET: Final = re.compile(r"|true|false|none|null|auto|\d{1,7}(\.\d+)?|/.*|\$\(.*\)|\$\{.*\}", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"(?:^|_)(?:existing|name|ref)(?:_|$)")


def claims(settings: Settings) -> Iterator[Claim]:
    """One claim for the stack."""
    tree = settings.model_dump(by_alias=True)
    found = [_in_clear(path) for path, value in _texts(tree) if _is_secret(path, value)]
    count = sum(1 for _ in _texts(tree))
    line = Part(line=f"{count:,} texts of the settings: {len(found)} with a secret in clear")
    yield claim_of("private", "stack", "no secret stands in clear in the stack file", (line, *found))


def _texts(node: Any, path: tuple[int | str, ...] = ()) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Every text below a node, with its path."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _texts(value, (*path, str(key)))
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for index, value in enumerate(node):
            yield from _texts(value, (*path, index))
    elif isinstance(node, str):
        yield path, node


def _is_secret(path: Sequence[int | str], value: str) -> bool:
    if masked(value) != value:
        return True
    if not _free(path):
        return False
    if isinstance(path[-1], int):
        flag, _, given = value.partition("=")
        return bool(given) and flag.startswith("-") and _named_secret(flag) and not _NO_SECRET.fullmatch(given)
    return _named_secret(path[-1]) and not _NO_SECRET.fullmatch(value)


def _free(path: Sequence[int | str]) -> bool:
    """Whether the user chose the name: a setting of the program's own names Secrets, and holds none."""
    return any(step in {"env", "values", "annotations", "labels", "tags", "engineArgs"} for step in path[:-1])


def _named_secret(name: str) -> bool:
    words = _WORD.sub("_", name).strip("_").lower()
    return _SECRET_WORDS.search(words) is not None and _REFERENCE.search(words) is None


def _in_clear(path: Sequence[int | str]) -> Part:
    key = key_path(path)
    return Part(
        line=f"{key}: reads like a secret, which is not shown here",
        change=f"{key} taken out and revoked, and a Secret in its place (weights.credentials, inference:hfToken, "
        "inference:apiKeys, or one that the chart's values name)",
    )
