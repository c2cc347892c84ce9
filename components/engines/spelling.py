"""What a user's argument is to an engine's parser, however it is spelled."""

from __future__ import annotations

from components.engines.profile import Engine


def reserved(engine: Engine, argument: str) -> str | None:
    """The reserved flag that an argument is.

    As the most lenient of the engines' parsers reads it: `_` for `-`, `=VALUE` after it, abbreviated (`--tensor` and
    `-t` for `-tp` with Python's argparse), and a one-letter flag with its value attached (`-n2`).
    """
    given = _plain(argument.split("=", maxsplit=1)[0])
    found = [flag for flag in engine.reserved if _is(given, _plain(flag))]
    return next((flag for flag in found if _plain(flag) == given), next(iter(found), None))


def _is(given: str, flag: str) -> bool:
    abbreviates = given.startswith("-") and len(given.lstrip("-")) > 0 and flag.startswith(given)
    attached = len(flag) == len("-n") and given.startswith(flag)
    return abbreviates or attached


def _plain(flag: str) -> str:
    return flag.replace("_", "-")
