"""What the program knows of an inference engine: a pure description, filled in by one file an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # settings look up profiles here, so that an import at run time would be a circle
    from components.settings import Model

FOLDERS: Final = frozenset({"hf", "s3", "oci", "file", "image"})
"""Schemes of sources that are a folder of files as Hugging Face's libraries write them."""
USER: Final = 65532
"""Who writes the weights, and reads them."""


class Drain(Enum):
    """What the engine does with its running answers on SIGTERM."""

    BY_ARGUMENT = "for the seconds of an argument of its own"
    BY_ITSELF = "until they have ended, or it is killed at the end of the grace period"
    NOT_AT_ALL = "nothing: they are cut, so that the sleep before the stop has to outlast them"


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Names under which the engine counts its requests, for queries that scale and dashboards that show."""

    path: str
    port: int
    waiting: str
    running: str
    """Either a metric, with matchers of its own where the engine counts several things under one name."""
    label: str | None
    """Label that holds the name of the model; None where the engine has none."""
    kv_cache: str | None = None
    """Share of the KV cache in use, 0 to 1."""
    ttft: str | None = None
    """Histogram of seconds to the first token."""
    tpot: str | None = None
    """Histogram of seconds per output token, of whole answers or from one token to the next."""
    tokens: str | None = None
    """Counter of the tokens of answers."""
    progress: str | None = None
    """Counter that moves with every step of a running answer, not at its end only."""
    requests: str | None = None
    """Counter of all requests that have ended."""
    failures: tuple[str, ...] = ()
    """Counters of those that the engine failed, rather than its client."""


@dataclass(frozen=True, kw_only=True)
class MultiNode:
    """Arguments beside the usual ones in a replica on several nodes, whose pods LeaderWorkerSet numbers."""

    leader: tuple[str, ...]
    worker: tuple[str, ...]
    port: int
    """The leader's, to which every worker's process is connected for as long as both run."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine: its image, its process, its paths, its probes and its end. Times in seconds."""

    title: str
    """The engine's own spelling of its name."""
    image: str | None
    """Default image, pinned by tag and digest; None where the user has to name one."""
    image_example: str
    """One that would do, for who has to name one."""
    cuda: str | None
    """CUDA of the default image, where it is known to need one."""
    port: int
    command: tuple[str, ...]
    """Process 1 in exec form, which gets SIGTERM itself; empty where it is the image's own entry point."""
    arguments: Callable[[str, Model, str], list[str]]
    """Of the name that is served, the settings and the folder with the weights."""
    environment: Callable[[str, Model, str, str], dict[str, str]]
    """Of the name, the settings, the folder with the weights and the one writable folder that is the engine's home."""
    reserved: Mapping[str, str]
    """Flags that have no place among the user's arguments, each with the reason."""
    first_token: Callable[[str, Model, int], tuple[str, ...]]
    """Command in the container that ends with 0 when the model has answered with one real token.

    Of the name, the settings and the seconds in which it has to end by itself.
    """
    health_path: str
    """200 when the engine takes requests."""
    metrics: Metrics | None
    """None where the engine does not count what waits: that has to be counted in front of it."""
    start_seconds: int
    """From the weights being in memory to the first answer."""
    exit_seconds: int
    """From the end of the last answer of a drain to the end of the process."""
    drain: Drain
    drain_most: int | None = None
    """Seconds after which an engine that drains by itself cuts all the same."""
    reserved_environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that have no place among the user's, each with the reason."""
    user: int = USER
    """Uid of the process: that of the weights, which every image listed here runs with."""

    # What the engine can do; the settings refuse what it cannot, in components/settings/engine_checks.py.
    sources: frozenset[str] = FOLDERS
    """Schemes of the sources whose weights it serves."""
    dtypes: frozenset[str] = frozenset()
    """Data types that it can be told to compute in; empty where it takes that from the weights."""
    quantizations: frozenset[str] = frozenset()
    """Quantizations that it can be told; empty where it takes that from the weights."""
    dtype_with_quantization: bool = True
    weights_file: frozenset[str] = frozenset()
    """Quantizations of which it loads one file rather than a folder."""
    takes_arguments: bool = True
    memory_share: bool = True
    """Whether it can be told what share of a GPU's memory to take."""
    tensor_parallel: bool = True
    multi_node: Callable[[Model], MultiNode] | None = None
    """Arguments of a replica that is spread over several nodes; None where it cannot be."""
    adapters: bool = False
    api_keys: bool = False
    """Whether it reads any number of keys that its clients have to show from a file, by `--config`, and logs none."""
    key_variable: str | None = None
    """Variable with the key of NVIDIA's registry, without which it does not start."""
    with_triton: Engine | None = None
    """The same engine inside a Triton server."""

    @property
    def nodes(self) -> bool:
        """Whether one replica can be spread over several nodes."""
        return self.multi_node is not None
