"""vLLM: what its process needs and offers, as of version 0.33."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from components.engines import ask
from components.engines.profile import Drain, Engine, Metrics

if TYPE_CHECKING:  # settings look up RESERVED here, so that an import at run time would be a circle
    from components.settings import Model

IMAGE: Final = "docker.io/vllm/vllm-openai:v0.33.0"
PORT: Final = 8000
COMMAND: Final = ("vllm", "serve")

_FIXED: Final = "the Service and the probes rely on the program's own"
_IN_CLEAR: Final = "it would show a secret in clear"
# Flags that have no place among the user's arguments, each with the reason.
RESERVED: Final = MappingProxyType(
    {
        "--host": _FIXED,
        "--port": _FIXED,
        "--uds": _FIXED,
        "--root-path": _FIXED,
        "--served-model-name": _FIXED,
        "--config": "what it holds would not be checked",
        "--model": "source sets it",
        "--revision": "source sets it",
        "--max-model-len": "contextLength sets it",
        "--max-num-seqs": "concurrency sets it",
        "--gpu-memory-utilization": "gpuMemoryUtilization sets it",
        "--tensor-parallel-size": "gpus sets it",
        "-tp": "gpus sets it",
        "--shutdown-timeout": "drainSeconds sets it",
        "--api-key": _IN_CLEAR,
        "--hf-token": _IN_CLEAR,
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
        *("--max-num-seqs", str(model.concurrency)),
        *("--gpu-memory-utilization", f"{model.gpu_memory_utilization:g}"),
        *("--tensor-parallel-size", str(model.gpus)),
        # Without it SIGTERM ends every running stream at once with finish_reason "abort" (the default is 0).
        *("--shutdown-timeout", str(model.drain_seconds)),
        *model.engine_args,
    ]


def environment(_name: str, _model: Model, _weights_path: str, home: str) -> dict[str, str]:
    """Every place that vLLM writes to, moved below `home`, the one writable folder beside /tmp and /dev/shm."""
    return {
        "HOME": home,
        "USER": "inference",  # getpass.getuser() fails for a uid without a passwd entry
        "XDG_CACHE_HOME": f"{home}/.cache",
        "XDG_CONFIG_HOME": f"{home}/.config",
        "HF_HOME": f"{home}/.cache/huggingface",
        "HF_HUB_OFFLINE": "1",  # the weights are on the volume; a serving pod has no business with the hub
        "TORCHINDUCTOR_CACHE_DIR": f"{home}/.cache/torchinductor",
        "TRITON_CACHE_DIR": f"{home}/.cache/triton",
        "VLLM_CACHE_ROOT": f"{home}/.cache/vllm",
        "VLLM_CONFIG_ROOT": f"{home}/.config/vllm",
        "VLLM_NO_USAGE_STATS": "1",
    }


def first_token(name: str, model: Model) -> tuple[str, ...]:
    """Ask for a completion of one token, with the Python that the engine itself runs on."""
    return ask.completion(name, PORT, "/v1/completions", model)


ENGINE: Final = Engine(
    title="vLLM",
    image=IMAGE,
    port=PORT,
    command=COMMAND,
    arguments=arguments,
    environment=environment,
    reserved=RESERVED,
    first_token=first_token,
    health_path="/health",
    metrics=Metrics(
        path="/metrics",
        waiting="vllm:num_requests_waiting",
        running="vllm:num_requests_running",
        label="model_name",
        kv_cache="vllm:kv_cache_usage_perc",
        ttft="vllm:time_to_first_token_seconds",
    ),
    # torch.compile and CUDA graphs, measured at 16 to 65 s.
    start_seconds=65,
    # Measured: some 7 s.
    exit_seconds=15,
    drain=Drain.BY_ARGUMENT,
)
