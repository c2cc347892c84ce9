"""NVIDIA NIM for LLMs, as of versions 2.0 and 2.1: a vLLM behind a proxy, told what to do by variables.

One profile for both kinds: an image of one model, whose source is `ngc://`, finds its profile in the cache; one of any
model takes a folder. Variables: docs.nvidia.com/nim/large-language-models, "Environment Variables".
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from components.engines import ask, vllm
from components.engines.profile import FOLDERS, Drain, Engine
from components.engines.reasons import FIXED, IN_CLEAR, because, set_by

if TYPE_CHECKING:  # settings look up profiles, so that an import at run time would be a circle
    from components.settings import Model

PORT: Final = 8000
_PROFILE: Final = "@profile:"


def environment(name: str, model: Model, weights_path: str, home: str) -> dict[str, str]:
    """All that NIM is told; what it has no variable for goes through to its vLLM."""
    profile = model.source.partition(_PROFILE)[2]
    weights = (
        {"NIM_MODEL_PROFILE": profile, "NIM_CACHE_PATH": weights_path}
        if profile
        # Versions 1 know the folder by the second name.
        else {"NIM_MODEL_PATH": weights_path, "NIM_MODEL_NAME": weights_path, "NIM_CACHE_PATH": f"{home}/.cache/nim"}
    )
    return {
        **vllm.environment(name, model, weights_path, home),
        **weights,
        "NIM_MAX_MODEL_LEN": str(model.context_length),
        "NIM_PASSTHROUGH_ARGS": shlex.join([*vllm.options(model, weights_path), *model.engine_args]),
        "NIM_SERVED_MODEL_NAME": name,
        "NIM_SERVER_PORT": str(PORT),
        "NIM_TENSOR_PARALLEL_SIZE": str(model.gpus),
    }


def first_token(name: str, _model: Model, seconds: int) -> tuple[str, ...]:
    """Ask its OpenAI API, by the proxy."""
    return ask.completion(name, PORT, "/v1/completions", seconds)


ENGINE: Final = Engine(
    title="NIM",
    # An image is of one model, or of a licence: nobody's default.
    image=None,
    # As pinned in public, by a github.com project that lists the profiles in it.
    image_example=(
        "nvcr.io/nim/meta/llama-3.1-8b-instruct:2.0.6"
        "@sha256:31e360dbb15f825d69e5d68c2032e334301523b4957091270385ed7ef3db5e81"
    ),
    cuda=None,
    port=PORT,
    command=(),
    arguments=lambda _name, _model, _weights_path: [],
    environment=environment,
    reserved=vllm.RESERVED,
    reserved_environment={
        **because(FIXED, ["NIM_SERVER_PORT", "NIM_HEALTH_PORT", "NIM_SERVED_MODEL_NAME"]),
        **set_by("source", "NIM_MODEL_PATH", "NIM_MODEL_NAME", "NIM_MODEL_PROFILE", "NIM_CACHE_PATH"),
        **set_by("contextLength", "NIM_MAX_MODEL_LEN"),
        **set_by("gpus", "NIM_TENSOR_PARALLEL_SIZE"),
        **set_by("nodesPerReplica", "NIM_PIPELINE_PARALLEL_SIZE", "NIM_NUM_COMPUTE_NODES"),
        **set_by("engineArgs", "NIM_PASSTHROUGH_ARGS"),
        **because(IN_CLEAR, ["NGC_API_KEY", "NGC_CLI_API_KEY"]),
    },
    first_token=first_token,
    health_path="/v1/health/ready",
    metrics=vllm.metrics("/v1/metrics"),
    # vLLM's own, and what looks at profiles and GPUs before.
    start_seconds=120,
    exit_seconds=30,
    # Nothing says that the proxy hands the stop on; the sleep before it is right either way.
    drain=Drain.NOT_AT_ALL,
    sources=FOLDERS | {"ngc"},
    dtypes=vllm.DTYPES,
    quantizations=vllm.QUANTIZATIONS,
    key_variable="NGC_API_KEY",
)
