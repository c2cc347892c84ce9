"""What the program knows of an inference engine: a pure description, filled in by one file an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings look up profiles here, so that an import at run time would be a circle
    from components.settings import Model


class Drain(Enum):
    """What the engine does with its running answers on SIGTERM."""

    BY_ARGUMENT = "for the seconds of an argument of its own"
    BY_ITSELF = "until they have ended, or it is killed at the end of the grace period"
    NOT_AT_ALL = "nothing: they are cut, so that the sleep before the stop has to outlast them"


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Names under which the engine counts its requests, for queries that scale and dashboards that show."""

    path: str
    waiting: str
    running: str
    """Empty where the engine does not say."""
    label: str | None
    """Label that holds the name of the model."""
    kv_cache: str | None = None
    """Share of the KV cache in use, 0 to 1."""
    ttft: str | None = None
    """Histogram of seconds to the first token."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine: its image, its process, its paths, its probes and its end. Times in seconds."""

    title: str
    """The engine's own spelling of its name."""
    image: str
    """Default image, pinned by tag and digest."""
    port: int
    command: tuple[str, ...]
    """Process 1 in exec form, which gets SIGTERM itself; empty where it is the image's own entry point."""
    arguments: Callable[[str, Model, str], list[str]]
    """Of the name that is served, the settings and the folder with the weights."""
    environment: Callable[[str, Model, str, str], dict[str, str]]
    """Of the name, the settings, the folder with the weights and the one writable folder that is the engine's home."""
    reserved: Mapping[str, str]
    """Flags that have no place among the user's arguments, each with the reason."""
    first_token: Callable[[str, Model], tuple[str, ...]]
    """Command in the container that ends with 0 when the model has answered with one real token."""
    health_path: str
    """200 when the engine takes requests."""
    metrics: Metrics | None
    start_seconds: int
    """From the weights being in memory to the first answer."""
    exit_seconds: int
    """From the end of the last answer of a drain to the end of the process."""
    drain: Drain
    reserved_environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that have no place among the user's, each with the reason."""
