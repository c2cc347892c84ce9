"""What the models of all sections have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


def alias(name: str) -> str:
    """camelCase, with units as they are written: memory_gib is memoryGiB."""
    camel = to_camel(name)
    for unit in ("GiB", "MiB", "TiB", "GB", "MBps"):
        camel = camel.removesuffix(unit.capitalize()) + unit if camel.endswith(unit.capitalize()) else camel
    return camel


def over(default: BaseModel) -> BeforeValidator:
    """Lays what a stack says of a section over its default, so that one key can be set without repeating the others."""
    return BeforeValidator(
        lambda value: merged(default.model_dump(by_alias=True), value) if isinstance(value, Mapping) else value
    )


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A tree laid over another, key by key."""
    return {
        **below,
        **{
            key: merged(below[key], value)
            if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
            else value
            for key, value in above.items()
        },
    }


def _nothing_required(schema: dict[str, Any]) -> None:
    """For sections that are always laid over a default."""
    schema.pop("required", None)


def refusal(problem: str, *, at: Sequence[str | int] = (), **context: object) -> PydanticCustomError:
    """A mistake of a field, to be raised by its validator; `at` is the key that has to change, beside the field.

    `allowed`, and `fix` or `example`, are what the message goes on with; without them it takes those of the key.
    """
    where = {"at": tuple(at), "hide": True} if at else {}
    return PydanticCustomError("refused", "{problem}", {"problem": problem, **where, **context})


def each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    """The values, each of which may be there once; for validators."""
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise refusal(f"holds {twice} twice", allowed="each once", fix="take one of them out")
    return values


SECTION: Final = ConfigDict(alias_generator=alias, extra="forbid", frozen=True)
OVERLAY: Final = SECTION | ConfigDict(json_schema_extra=_nothing_required)
