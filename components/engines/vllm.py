"""vLLM: what its process needs and offers, as of versions 0.31 to 0.33.

Flags: vllm/engine/arg_utils.py and vllm/entrypoints/launchers/cli_args.py of 0.32. Quantization gguf left vLLM itself.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from components.engines import ask
from components.engines.homes import python_home
from components.engines.profile import Drain, Engine, Metrics, MultiNode
from components.engines.reasons import FIXED, IN_CLEAR, UNCHECKED, because, set_by

if TYPE_CHECKING:  # settings look up RESERVED here, so that an import at run time would be a circle
    from components.settings import Model

# The newest release whose digest stands in public: github.com has it in several Dockerfiles that pin it, one of them
# with the note that the digest was confirmed with Docker Hub on 2026-10-09.
IMAGE: Final = (
    "docker.io/vllm/vllm-openai:v0.31.0@sha256:c1c9f6fd5c109ba7f0546a59f5b2f15fb87f64c77782e90a27b648b42a8e67c3"
)
PORT: Final = 8000
MASTER_PORT: Final = 29501
"""The default of vllm/config/parallel.py, where PyTorch's store listens: each rank keeps its connection to it."""
COMMAND: Final = ("vllm", "serve")
DTYPES: Final = frozenset({"auto", "float16", "bfloat16", "float32"})
QUANTIZATIONS: Final = frozenset({"awq", "fp8", "gptq"})

# Flags that have no place among the user's arguments, each with the reason.
RESERVED: Final = MappingProxyType(
    {
        **because(FIXED, ["--host", "--port", "--uds", "--root-path", "--served-model-name", "--grpc"]),
        **because(FIXED, ["--ssl-keyfile", "--ssl-certfile"]),
        "--config": UNCHECKED,
        **set_by("source", "--model", "--revision"),
        **set_by("contextLength", "--max-model-len"),
        **set_by("concurrency", "--max-num-seqs"),
        **set_by("gpuMemoryUtilization", "--gpu-memory-utilization", "--device-memory-utilization"),
        **set_by("gpus", "--tensor-parallel-size", "-tp"),
        **set_by("replicas", "--data-parallel-size", "-dp"),
        **set_by("nodesPerReplica", "--pipeline-parallel-size", "-pp", "--nnodes", "-n", "--node-rank", "-r"),
        **set_by("nodesPerReplica", "--master-addr", "--master-port", "--headless", "--distributed-executor-backend"),
        **set_by("dtype", "--dtype"),
        **set_by("quantization", "--quantization", "-q"),
        **set_by("adapters", "--enable-lora", "--no-enable-lora", "--lora-modules", "--max-loras"),
        **set_by("drainSeconds", "--shutdown-timeout"),
        **because(IN_CLEAR, ["--api-key", "--hf-token"]),
    }
)


def arguments(name: str, model: Model, weights_path: str) -> list[str]:
    """The arguments after `vllm serve`, ours first; `engineArgs` follow and never repeat one of `RESERVED`."""
    return [
        weights_path,
        *("--host", "0.0.0.0"),  # noqa: S104 - the pod's own network namespace; the Service and the probes reach it there
        *("--port", str(PORT)),
        *("--served-model-name", name),
        *("--max-model-len", str(model.context_length)),
        *options(model, weights_path),
        *("--tensor-parallel-size", str(model.gpus)),
        # Without it SIGTERM ends every running stream at once with finish_reason "abort" (the default is 0).
        *("--shutdown-timeout", str(model.drain_seconds)),
        *model.engine_args,
    ]


def options(model: Model, weights_path: str) -> list[str]:
    """Those for which NIM has no words of its own, and hands them to the vLLM inside."""
    lora = [f"{name}={weights_path}/{folder}" for name, folder in sorted(model.adapters.items())]
    return [
        *("--max-num-seqs", str(model.concurrency)),
        *("--gpu-memory-utilization", f"{model.gpu_memory_utilization:g}"),
        *(("--dtype", model.dtype) if model.dtype else ()),
        *(("--quantization", model.quantization) if model.quantization else ()),
        *(("--enable-lora", "--max-loras", str(len(lora)), "--lora-modules", *lora) if lora else ()),
    ]


def environment(_name: str, _model: Model, _weights_path: str, home: str) -> dict[str, str]:
    """Every place that vLLM writes to, moved below `home`, the one writable folder beside /tmp and /dev/shm."""
    return {
        **python_home(home),
        "VLLM_CACHE_ROOT": f"{home}/.cache/vllm",
        "VLLM_CONFIG_ROOT": f"{home}/.config/vllm",
        "VLLM_NO_USAGE_STATS": "1",
    }


def first_token(name: str, _model: Model, seconds: int) -> tuple[str, ...]:
    """Ask for a completion of one token, with the Python that the engine itself runs on."""
    return ask.completion(name, PORT, "/v1/completions", seconds)


def metrics(path: str = "/metrics") -> Metrics:
    """Of vLLM itself, or of the one inside something else."""
    return Metrics(
        path=path,
        port=PORT,
        waiting="vllm:num_requests_waiting",
        running="vllm:num_requests_running",
        label="model_name",
        kv_cache="vllm:kv_cache_usage_perc",
        ttft="vllm:time_to_first_token_seconds",
        tpot="vllm:request_time_per_output_token_seconds",
        tokens="vllm:generation_tokens_total",
        progress="vllm:generation_tokens_total",
        requests='http_requests_total{handler=~"/v1/.*"}',
        # Refused, or failed before an answer began; and in the middle of a stream, whose status was 200. An answer that
        # is not streamed counts in both: better twice than not at all.
        failures=(
            'http_requests_total{handler=~"/v1/.*",status="5xx"}',
            'vllm:request_success_total{finished_reason="error"}',
        ),
    )


def multi_node(model: Model) -> MultiNode:
    """Pipeline parallel over the nodes, tensor parallel on each: the layers' exchange stays on a node's own links.

    vLLM's own processes find each other at the leader's address; LeaderWorkerSet sets the variables that are named, and
    the kubelet puts their values in. https://docs.vllm.ai/en/stable/serving/parallelism_scaling/.
    """
    nodes = str(model.nodes_per_replica)
    shared = (
        *("--pipeline-parallel-size", nodes, "--distributed-executor-backend", "mp", "--nnodes", nodes),
        *("--master-addr", "$(LWS_LEADER_ADDRESS)", "--master-port", str(MASTER_PORT)),
        *("--node-rank", "$(LWS_WORKER_INDEX)"),
    )
    return MultiNode(leader=shared, worker=(*shared, "--headless"), port=MASTER_PORT)


ENGINE: Final = Engine(
    title="vLLM",
    image=IMAGE,
    image_example=IMAGE,
    cuda="13.0",
    port=PORT,
    command=COMMAND,
    arguments=arguments,
    environment=environment,
    reserved=RESERVED,
    first_token=first_token,
    health_path="/health",
    metrics=metrics(),
    # torch.compile and CUDA graphs, measured at 16 to 65 s.
    start_seconds=65,
    # Measured: some 7 s.
    exit_seconds=15,
    drain=Drain.BY_ARGUMENT,
    dtypes=DTYPES,
    quantizations=QUANTIZATIONS,
    multi_node=multi_node,
    adapters=True,
    api_keys=True,
)
