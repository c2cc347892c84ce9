"""Why flags and variables of an engine have no place among the user's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

FIXED: Final = "the Service and the probes rely on the program's own"
IN_CLEAR: Final = "it would show a secret in clear"
UNCHECKED: Final = "what it holds would not be checked"


def set_by(setting: str, *flags: str) -> Mapping[str, str]:
    """Flags that follow from a setting of the model."""
    return dict.fromkeys(flags, f"{setting} sets it")


def because(reason: str, flags: Iterable[str]) -> Mapping[str, str]:
    """Flags with the same reason."""
    return dict.fromkeys(flags, reason)
