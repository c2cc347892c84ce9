"""A rule: what it is called, what it looks at, and what can be set of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from inference_policy.resource import Resource, Stack

Config = Mapping[str, Any]
"""The rule's settings: what the pack's configuration gives, else the defaults."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What has to hold of each resource by itself."""

    name: str
    description: str
    check: Callable[[Resource, Config], Iterable[str]]
    """Yields a line for each thing that is wrong: where, what, and what to do."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """JSON Schema by setting, each with its default."""
    remedy: Callable[[str, dict[str, Any], Config], bool] | None = None
    """Mends inputs on the wire in place, given the resource's type; says whether there was anything to mend."""


@dataclass(frozen=True, kw_only=True)
class StackRule:
    """What has to hold of resources together."""

    name: str
    description: str
    check: Callable[[Stack, Config], Iterable[tuple[Resource, str]]]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def names(description: str, *default: str) -> dict[str, Any]:
    """Schema of a setting that is a list of names."""
    return {"type": "array", "items": {"type": "string"}, "default": list(default), "description": description}


def by_name(description: str, default: Mapping[str, Any]) -> dict[str, Any]:
    """Schema of a setting that is a map."""
    return {"type": "object", "default": dict(default), "description": description}


def configured(rule: Rule | StackRule, given: Config) -> Config:
    """The settings that the rule goes by: a map is added to its default, anything else takes its place."""
    defaults = {key: schema["default"] for key, schema in rule.settings.items()}
    return defaults | {
        key: {**defaults[key], **value} if isinstance(value, Mapping) and key in defaults else value
        for key, value in given.items()
    }
