"""A source's way out, asked where its model asks: what checks the source alone knows of no endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails, PydanticCustomError

from components.settings.concealment import concealed_part
from components.settings.source import parse_source


def at_endpoint(error: ErrorDetails, tree: Mapping[str, Any]) -> ErrorDetails:
    """The error as it is, or that of a model's source with `weights.endpoint` in the command that resolves it."""
    endpoint = _endpoint(tree, error["loc"])
    if error["type"] != "refused" or error["loc"][-1] != "source" or endpoint is None:
        return error
    try:
        parse_source(error["input"], endpoint=endpoint)
    except PydanticCustomError as told:
        return {**error, "ctx": told.context or {}}
    return error


def _endpoint(tree: Mapping[str, Any], path: tuple[int | str, ...]) -> str | None:
    """As it is written beside that source; None for what cannot be asked, or shown."""
    found: Any = tree
    for step in (*path[:2], "weights", "endpoint"):
        found = found.get(step) if isinstance(found, Mapping) else None
    usable = isinstance(found, str) and found.startswith(("http://", "https://")) and concealed_part(found) is None
    return found if usable else None
