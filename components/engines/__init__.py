"""Engine profiles: pure descriptions of an inference engine, without resources."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from components.engines import vllm
from components.engines.profile import Drain, Engine, Metrics

if TYPE_CHECKING:  # settings look up profiles here, so that an import at run time would be a circle
    from components.settings import Model

ENGINES: Final[Mapping[str, Engine]] = MappingProxyType({"vllm": vllm.ENGINE})
"""Every engine by the name that settings give it."""


def engine_of(model: Model) -> Engine:
    """The profile of a model's engine."""
    return ENGINES[model.engine]


def image_of(model: Model) -> str:
    """The image that a model's replicas run."""
    return model.image or engine_of(model).image


def reserved(engine: Engine, argument: str) -> str | None:
    """The reserved flag that an argument is, as argparse reads it: `_` for `-`, `=VALUE` after it, or abbreviated."""
    given = argument.split("=", maxsplit=1)[0].replace("_", "-")
    abbreviates = len(given) > len("--") and given.startswith("--")
    return next((flag for flag in engine.reserved if given == flag or (abbreviates and flag.startswith(given))), None)


__all__ = ["ENGINES", "Drain", "Engine", "Metrics", "engine_of", "image_of", "reserved"]
