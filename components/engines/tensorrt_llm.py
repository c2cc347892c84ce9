"""TensorRT-LLM by its own server, `trtllm-serve`, as of version 1.2; inside a Triton server: triton.py.

Flags: tensorrt_llm/commands/serve.py.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from components.engines import ask, triton
from components.engines.homes import python_home
from components.engines.profile import Drain, Engine
from components.engines.reasons import FIXED, UNCHECKED, because, set_by

if TYPE_CHECKING:  # settings look up profiles, so that an import at run time would be a circle
    from components.settings import Model

# As pinned in public with its tag: by several github.com projects, one of which tests that it is the manifest of all
# platforms.
IMAGE: Final = (
    "nvcr.io/nvidia/tensorrt-llm/release:1.2.1@sha256:33cd085b772947bd22b7273886539331420404e5d2a4a039945241945ff927b9"
)
PORT: Final = 8000
# Tokens of a batch that is prefilled at once, which a prompt has to fit into; the server's own default.
_BATCH_TOKENS: Final = 8192
RESERVED: Final = MappingProxyType(
    {
        **because(FIXED, ["--host", "--port", "--served_model_name", "--grpc"]),
        **because(UNCHECKED, ["--config", "--extra_llm_api_options"]),
        **set_by("source", "--revision"),
        **set_by("contextLength", "--max_seq_len", "--max_num_tokens"),
        **set_by("concurrency", "--max_batch_size"),
        **set_by("gpuMemoryUtilization", "--kv_cache_free_gpu_memory_fraction", "--free_gpu_memory_fraction"),
        **set_by("gpus", "--tp_size", "--tensor_parallel_size", "--gpus_per_node"),
        **set_by("nodesPerReplica", "--pp_size", "--pipeline_parallel_size"),
    }
)


def arguments(_name: str, model: Model, weights_path: str) -> list[str]:
    """The arguments after `trtllm-serve`, ours first; it answers to any model name."""
    return [
        weights_path,
        *("--host", "0.0.0.0"),  # noqa: S104 - the pod's own network namespace; the Service and the probes reach it there
        *("--port", str(PORT)),
        *("--tp_size", str(model.gpus)),
        *("--max_batch_size", str(model.concurrency)),
        *("--max_seq_len", str(model.context_length)),
        *("--max_num_tokens", str(max(_BATCH_TOKENS, model.context_length))),
        # Of what is free beside the weights, not of the whole GPU.
        *("--kv_cache_free_gpu_memory_fraction", f"{model.gpu_memory_utilization:g}"),
        *model.engine_args,
    ]


def environment(_name: str, _model: Model, _weights_path: str, home: str) -> dict[str, str]:
    """Every place that TensorRT-LLM writes to."""
    return {**python_home(home), "TRTLLM_DG_CACHE_DIR": f"{home}/.cache/tensorrt_llm"}


def first_token(name: str, _model: Model, seconds: int) -> tuple[str, ...]:
    """Ask for a completion of one token, with the Python that the engine itself runs on."""
    return ask.completion(name, PORT, "/v1/completions", seconds)


ENGINE: Final = Engine(
    title="TensorRT-LLM",
    image=IMAGE,
    image_example=IMAGE,
    # That of PyTorch 25.12, on which it stands.
    cuda="13.1",
    port=PORT,
    command=("trtllm-serve",),
    arguments=arguments,
    environment=environment,
    reserved=RESERVED,
    first_token=first_token,
    health_path="/health",
    # /prometheus/metrics has to be enabled in a file, and 1.2 counts no waiting requests there.
    metrics=None,
    # Kernels are tuned and CUDA graphs captured.
    start_seconds=120,
    exit_seconds=30,
    # Its web server, uvicorn, waits for running answers without a limit.
    drain=Drain.BY_ITSELF,
    with_triton=triton.ENGINE,
)
