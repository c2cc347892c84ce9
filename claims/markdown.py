"""Texts of others in Markdown: shown as they are, on one line, and doing nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_BACKTICKS: Final = re.compile(r"`{3,}")
# An entity is no way out of a mention, which forges look for in what is shown: a space of no width is.
_INERT: Final = {"&": "&amp;", "<": "&lt;", "`": "\\`", "|": "\\|", "@": "@&#8203;", "](": "]\\(", "\\": "\\\\"}
_SIGNS: Final = re.compile(r"\]\(|[&<`|@\\]")


def line(text: str) -> str:
    """One line of Markdown that shows what it is given: no tags, code, cells, links or mentions."""
    return _SIGNS.sub(lambda found: _INERT[found[0]], " ".join(text.split()))


def code(text: str) -> str:
    """What stands between two backticks."""
    return " ".join(text.replace("`", "'").split())


def fence(lines: Sequence[str]) -> str:
    """So many backticks that nothing in the lines ends the fence."""
    longest = max((len(found) for text in lines for found in _BACKTICKS.findall(text)), default=2)
    return "`" * (longest + 1)
