"""TensorRT-LLM inside a Triton Inference Server, as of 25.12: `engine: tensorrt-llm` with `triton: true`.

The weights are a model repository, with a model of the settings' name that takes `text_input` and `max_tokens`. How
long, how many and on what is in its own configuration; the API is Triton's, not OpenAI's.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from components.engines import ask
from components.engines.homes import python_home
from components.engines.profile import Drain, Engine, Metrics
from components.engines.reasons import FIXED, because, set_by

if TYPE_CHECKING:  # settings look up profiles, so that an import at run time would be a circle
    from components.settings import Model

PORT: Final = 8000
_GRPC_PORT: Final = 8001
_METRICS_PORT: Final = 8002
RESERVED: Final = MappingProxyType(
    {
        **because(FIXED, ["--http-port", "--http-address", "--allow-http", "--grpc-port", "--metrics-port"]),
        **because(FIXED, ["--allow-metrics", "--model-control-mode", "--strict-readiness"]),
        **set_by("source", "--model-repository", "--model-store"),
        **set_by("drainSeconds", "--exit-timeout-secs"),
    }
)


def arguments(_name: str, model: Model, weights_path: str) -> list[str]:
    """The arguments of `tritonserver`, ours first."""
    return [
        *("--model-repository", weights_path),
        *("--http-port", str(PORT)),
        *("--grpc-port", str(_GRPC_PORT)),
        *("--metrics-port", str(_METRICS_PORT)),
        # Time for requests in flight after SIGTERM; the default is 30.
        *("--exit-timeout-secs", str(model.drain_seconds)),
        *model.engine_args,
    ]


def environment(_name: str, _model: Model, _weights_path: str, home: str) -> dict[str, str]:
    """Every place that the backends write to."""
    return python_home(home)


def first_token(name: str, _model: Model, seconds: int) -> tuple[str, ...]:
    """Ask Triton's own API, by its generate extension."""
    return ask.post(PORT, f"/v2/models/{name}/generate", {"text_input": "1", "max_tokens": 1}, seconds)


ENGINE: Final = Engine(
    title="Triton with TensorRT-LLM",
    # No release has a digest that stands in public with its tag.
    image=None,
    image_example="nvcr.io/nvidia/tritonserver:25.12-trtllm-python-py3",
    cuda=None,
    port=PORT,
    command=("tritonserver",),
    arguments=arguments,
    environment=environment,
    reserved=RESERVED,
    first_token=first_token,
    health_path="/v2/health/ready",
    metrics=Metrics(
        path="/metrics",
        port=_METRICS_PORT,
        waiting='nv_trt_llm_request_metrics{request_type="waiting"}',
        running='nv_trt_llm_request_metrics{request_type="scheduled"}',
        # It has one, which holds the name of the backend's model in the repository.
        label=None,
        # Its counters of requests count every step of an ensemble: no share of failures follows from them.
        kv_cache='nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction"}',
    ),
    # Engines are built before; they are only loaded.
    start_seconds=60,
    exit_seconds=30,
    drain=Drain.BY_ARGUMENT,
    memory_share=False,
    # Ranks would have to be started by mpirun, one server each.
    tensor_parallel=False,
)
