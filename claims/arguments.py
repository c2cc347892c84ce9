"""What the user's arguments of an engine say, where an engine's memory rests on it."""

from __future__ import annotations

from components.settings import Model


def value_of(model: Model, *flags: str) -> str | None:
    """What follows one of the flags, as `FLAG VALUE` or `FLAG=VALUE`; an empty text for one that stands alone.

    With `_` for `-` too, as the engines' parsers read it. None where the arguments have none of the flags.
    """
    arguments = [argument.partition("=") for argument in model.engine_args]
    for index, (name, equals, value) in enumerate(arguments):
        if name.replace("_", "-") not in flags:
            continue
        if equals:
            return value
        after = model.engine_args[index + 1] if index + 1 < len(arguments) else ""
        return "" if after.startswith("--") else after
    return None


def number_of(model: Model, *flags: str) -> int | None:
    """The integer after one of the flags; None where there is none, or something else."""
    value = value_of(model, *flags) or ""
    return int(value) if value.isdecimal() else None
