"""Ollama: what its process needs and offers, as of version 0.40; `tests/ollama` asks a real 0.17.4.

Variables: envconfig/config.go; that a load is given up when its client goes: llm/server.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.engines import ask
from components.engines.profile import Drain, Engine
from components.engines.reasons import FIXED, because, set_by

if TYPE_CHECKING:  # settings look up profiles, so that an import at run time would be a circle
    from components.settings import Model

# As pinned in public with its tag: by a github.com project whose tests hold its compose file to it.
IMAGE: Final = "docker.io/ollama/ollama:0.40.2@sha256:b86366bb528bbf7f1424435d165028497a5b69bf6ddb4fa5a87102e2b79f44fb"
PORT: Final = 11434


def environment(_name: str, model: Model, weights_path: str, home: str) -> dict[str, str]:
    """All that Ollama is told: it has no arguments. The folder of the weights is its store, which it only reads."""
    return {
        "HOME": home,
        "OLLAMA_CONTEXT_LENGTH": str(model.context_length),
        "OLLAMA_HOST": f"0.0.0.0:{PORT}",
        "OLLAMA_KEEP_ALIVE": "-1",  # the one model is never unloaded
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_MODELS": weights_path,
        "OLLAMA_NOPRUNE": "1",  # at its start it would remove files, and the volume is read-only
        "OLLAMA_NUM_PARALLEL": str(model.concurrency),
    }


def first_token(name: str, _model: Model, seconds: int) -> tuple[str, ...]:
    """By the shell, since there is no Python; it also has the model loaded, which Ollama does on request only."""
    return ask.shell_completion(name, PORT, "/v1/completions", seconds)


ENGINE: Final = Engine(
    title="Ollama",
    image=IMAGE,
    image_example=IMAGE,
    # It brings libraries for several.
    cuda=None,
    port=PORT,
    command=("ollama", "serve"),
    arguments=lambda _name, _model, _weights_path: [],
    environment=environment,
    reserved={},
    reserved_environment={
        **because(FIXED, ["OLLAMA_HOST", "OLLAMA_KEEP_ALIVE", "OLLAMA_MAX_LOADED_MODELS", "OLLAMA_NOPRUNE"]),
        **set_by("contextLength", "OLLAMA_CONTEXT_LENGTH"),
        **set_by("source", "OLLAMA_MODELS"),
        **set_by("concurrency", "OLLAMA_NUM_PARALLEL"),
    },
    first_token=first_token,
    # `/` is 200 even when nothing can be generated; this one at least reads the store.
    health_path="/api/tags",
    metrics=None,
    # llama.cpp compiles nothing.
    start_seconds=10,
    exit_seconds=15,
    drain=Drain.NOT_AT_ALL,
    sources=frozenset({"image", "ollama"}),
    quantizations=frozenset({"gguf"}),
    takes_arguments=False,
    memory_share=False,
    tensor_parallel=False,
)
