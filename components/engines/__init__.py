"""Engine profiles: pure descriptions of an inference engine, without resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from components.engines import nim, ollama, sglang, tensorrt_llm, tgi, vllm
from components.engines.profile import Drain, Engine, Metrics
from components.engines.spelling import reserved

if TYPE_CHECKING:  # settings look up profiles here, so that an import at run time would be a circle
    from components.settings import Model

ENGINES: Final[Mapping[str, Engine]] = MappingProxyType(
    {
        "vllm": vllm.ENGINE,
        "sglang": sglang.ENGINE,
        "tgi": tgi.ENGINE,
        "ollama": ollama.ENGINE,
        "nim": nim.ENGINE,
        "tensorrt-llm": tensorrt_llm.ENGINE,
    }
)
"""Every engine by the name that settings give it."""


def engine_of(model: Model) -> Engine:
    """The profile of a model's engine."""
    return engine_named(model.engine, triton=model.triton)


def engine_named(name: str, *, triton: bool) -> Engine:
    """The profile of an engine by its name in the settings; without Triton where there is none with it."""
    engine = ENGINES[name]
    return engine.with_triton or engine if triton else engine


def engines_that(can: Callable[[Engine], bool]) -> list[str]:
    """Names of the engines that can do something."""
    return [name for name, engine in ENGINES.items() if can(engine)]


def image_of(model: Model) -> str:
    """The image that a model's replicas run. ValueError where nobody named one, which the settings refuse."""
    image = model.image or engine_of(model).image
    if image is None:
        raise ValueError(f"{model.engine} has no image of the program's own")
    return image


__all__ = [
    "ENGINES",
    "Drain",
    "Engine",
    "Metrics",
    "engine_named",
    "engine_of",
    "engines_that",
    "image_of",
    "reserved",
]
