"""What the user's arguments of an engine say, where an engine's memory rests on it."""

from __future__ import annotations

import re
from typing import Final

from components.settings import Model

# As vLLM reads its large numbers, human_readable_int of vllm/utils/argparse_utils.py: 25.6k is 25,600, and 1K is 1,024.
_SHORT: Final = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<suffix>[kmgt])|(?P<whole>[0-9]+)(?P<binary>[KMGT])")
_POWERS: Final = "kmgt"


def value_of(model: Model, *flags: str) -> str | None:
    """What follows one of the flags, as `FLAG VALUE` or `FLAG=VALUE`; an empty text for one that stands alone.

    With `_` for `-` too, as the engines' parsers read it, and `FLAG.KEY` for one key of what a flag holds. None where
    the arguments have none of the flags.
    """
    arguments = [argument.partition("=") for argument in model.engine_args]
    for index, (name, equals, value) in enumerate(arguments):
        if name.replace("_", "-").partition(".")[0] not in flags:
            continue
        if equals:
            return value
        after = model.engine_args[index + 1] if index + 1 < len(arguments) else ""
        return "" if after.startswith("--") else after
    return None


def number_of(model: Model, *flags: str) -> int | None:
    """The integer after one of the flags; None where there is none, or something else: vLLM reads 64k as well."""
    value = value_of(model, *flags) or ""
    short = _SHORT.fullmatch(value) if model.engine == "vllm" else None
    if short is None:
        return int(value) if value.isdecimal() else None
    if short["whole"]:
        factor: int = 1024 ** (_POWERS.index(short["binary"].lower()) + 1)
        return int(short["whole"]) * factor
    return int(float(short["number"]) * 1000 ** (_POWERS.index(short["suffix"]) + 1))
