"""What the models of all sections have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel


def alias(name: str) -> str:
    """camelCase, with units as they are written: memory_gib is memoryGiB."""
    camel = to_camel(name)
    for unit in ("GiB", "MBps"):
        camel = camel.removesuffix(unit.capitalize()) + unit if camel.endswith(unit.capitalize()) else camel
    return camel


def over(default: BaseModel) -> BeforeValidator:
    """Lays what a stack says of a section over its default, so that one key can be set without repeating the others."""
    return BeforeValidator(
        lambda value: _merged(default.model_dump(by_alias=True), value) if isinstance(value, Mapping) else value
    )


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **below,
        **{
            key: _merged(below[key], value)
            if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
            else value
            for key, value in above.items()
        },
    }


def _nothing_required(schema: dict[str, Any]) -> None:
    """For sections that are always laid over a default."""
    schema.pop("required", None)


SECTION: Final = ConfigDict(alias_generator=alias, extra="forbid", frozen=True)
OVERLAY: Final = SECTION | ConfigDict(json_schema_extra=_nothing_required)
