"""SGLang: what its process needs and offers, as of versions 0.5.21 to 0.5.23.

It takes a key too, and writes it to its log: none is given. Flags: sglang/srt/arg_groups/fields of 0.5.23; health and
drain: srt/entrypoints/http_server.py and srt/managers/tokenizer_manager.py there.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from components.engines import ask
from components.engines.homes import python_home
from components.engines.profile import Drain, Engine, Metrics
from components.engines.reasons import FIXED, IN_CLEAR, UNCHECKED, because, set_by

if TYPE_CHECKING:  # settings look up profiles, so that an import at run time would be a circle
    from components.settings import Model

# The newest release whose digest stands in public: that of the index of all platforms, resolved from Docker Hub on
# 2026-10-07 by github.com projects that pin it, one with the release's CUDA (13.0) beside it.
IMAGE: Final = (
    "docker.io/lmsysorg/sglang:v0.5.21@sha256:b1259f3ea3275f66237c498ea388919729018bc9f01c3d638391e06e2cf3f469"
)
PORT: Final = 30000
RESERVED: Final = MappingProxyType(
    {
        **because(FIXED, ["--host", "--port", "--fastapi-root-path", "--served-model-name", "--enable-metrics"]),
        **because(FIXED, ["--grpc-mode", "--smg-grpc-mode", "--skip-server-warmup", "--ssl-keyfile", "--ssl-certfile"]),
        "--config": UNCHECKED,
        **set_by("source", "--model-path", "--model", "--revision"),
        **set_by("contextLength", "--context-length"),
        **set_by("concurrency", "--max-running-requests"),
        **set_by("gpuMemoryUtilization", "--mem-fraction-static"),
        **set_by("gpus", "--tp-size", "--tensor-parallel-size"),
        **set_by("replicas", "--dp-size", "--data-parallel-size"),
        **set_by("nodesPerReplica", "--pp-size", "--pipeline-parallel-size", "--nnodes", "--node-rank"),
        **set_by("nodesPerReplica", "--dist-init-addr", "--nccl-init-addr"),
        **set_by("dtype", "--dtype"),
        **set_by("quantization", "--quantization"),
        **set_by("adapters", "--enable-lora", "--lora-paths", "--max-loras-per-batch"),
        **because(IN_CLEAR, ["--api-key", "--admin-api-key", "--ssl-keyfile-password"]),
    }
)


def arguments(name: str, model: Model, weights_path: str) -> list[str]:
    """The arguments of its server, ours first."""
    file = f"/{model.weights_file}" if model.weights_file else ""
    lora = [f"{adapter}={weights_path}/{folder}" for adapter, folder in sorted(model.adapters.items())]
    return [
        *("--model-path", f"{weights_path}{file}"),
        *("--host", "0.0.0.0"),  # noqa: S104 - the pod's own network namespace; the Service and the probes reach it there
        *("--port", str(PORT)),
        *("--served-model-name", name),
        *("--context-length", str(model.context_length)),
        *("--max-running-requests", str(model.concurrency)),
        *("--mem-fraction-static", f"{model.gpu_memory_utilization:g}"),
        *("--tp-size", str(model.gpus)),
        "--enable-metrics",
        *(("--dtype", model.dtype) if model.dtype else ()),
        *(("--quantization", model.quantization) if model.quantization else ()),
        # One more in a batch than there are adapters: the model without any.
        *(("--enable-lora", "--max-loras-per-batch", str(len(lora) + 1), "--lora-paths", *lora) if lora else ()),
        *model.engine_args,
    ]


def environment(_name: str, _model: Model, _weights_path: str, home: str) -> dict[str, str]:
    """Every place that SGLang writes to, and a `/health` that does not generate.

    With the default it makes a token like `/health_generate`, and one that fails, as under a flood of long prompts,
    has SGLang cut its streams on SIGTERM rather than drain.
    """
    return {
        **python_home(home),
        "FLASHINFER_WORKSPACE_BASE": home,
        "SGLANG_CACHE_DIR": f"{home}/.cache/sglang",
        "SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION": "false",
    }


def first_token(_name: str, _model: Model, seconds: int) -> tuple[str, ...]:
    """SGLang's own: it generates one token, or sees that others are being generated; it asks for no key."""
    return ask.get(PORT, "/health_generate", seconds)


ENGINE: Final = Engine(
    title="SGLang",
    image=IMAGE,
    image_example=IMAGE,
    cuda="13.0",
    port=PORT,
    command=("python3", "-m", "sglang.launch_server"),
    arguments=arguments,
    environment=environment,
    reserved=RESERVED,
    reserved_environment=because("it has the engine cut its streams", ["SGL_FORCE_SHUTDOWN", "SGLANG_FORCE_SHUTDOWN"]),
    first_token=first_token,
    health_path="/health",
    metrics=Metrics(
        path="/metrics",
        port=PORT,
        waiting="sglang:num_queue_reqs",
        running="sglang:num_running_reqs",
        label="model_name",
        kv_cache="sglang:token_usage",
        ttft="sglang:time_to_first_token_seconds",
        tpot="sglang:inter_token_latency_seconds",
        tokens="sglang:generation_tokens_total",
        # The one above moves at an answer's end.
        progress='sglang:realtime_tokens_total{mode="decode"}',
        requests='sglang:http_responses_total{endpoint=~"/v1/.*"}',
        failures=('sglang:http_responses_total{endpoint=~"/v1/.*",status_code=~"5.."}',),
    ),
    # CUDA graphs and a warm-up request, as with vLLM.
    start_seconds=65,
    # It looks every 5 s whether the last answer has ended, and then lets its schedulers go.
    exit_seconds=30,
    drain=Drain.BY_ITSELF,
    dtypes=frozenset({"auto", "float16", "bfloat16", "float32"}),
    quantizations=frozenset({"awq", "fp8", "gguf", "gptq"}),
    weights_file=frozenset({"gguf"}),
    adapters=True,
)
