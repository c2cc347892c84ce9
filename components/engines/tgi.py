"""Text Generation Inference: what its process needs and offers, as of versions 2.4 to 3.3.

It takes a key too, and writes it to its log: none is given. Flags and drain: launcher/src/main.rs; the project itself
is in maintenance.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from components.engines import ask
from components.engines.homes import python_home
from components.engines.profile import Drain, Engine, Metrics
from components.engines.reasons import FIXED, IN_CLEAR, because, set_by

if TYPE_CHECKING:  # settings look up profiles, so that an import at run time would be a circle
    from components.settings import Model

PORT: Final = 80
# As the launcher itself adds where it is told nothing: room for the alignment of blocks.
_PREFILL_MARGIN: Final = 50
# Requests that are accepted, to run or to wait, for each that runs; TGI refuses what is beyond with 429.
_ACCEPTED: Final = 4
RESERVED: Final = MappingProxyType(
    {
        **because(FIXED, ["--hostname", "--port", "-p"]),
        **set_by("source", "--model-id", "--revision", "--huggingface-hub-cache", "--weights-cache-override"),
        **set_by("contextLength", "--max-total-tokens", "--max-input-tokens", "--max-input-length"),
        **set_by("contextLength", "--max-batch-prefill-tokens"),
        **set_by("concurrency", "--max-batch-size", "--max-concurrent-requests"),
        **set_by("gpuMemoryUtilization", "--cuda-memory-fraction"),
        **set_by("gpus", "--num-shard", "--sharded"),
        **set_by("dtype", "--dtype"),
        **set_by("quantization", "--quantize"),
        **set_by("adapters", "--lora-adapters"),
        **because(IN_CLEAR, ["--api-key", "--ngrok-authtoken"]),
        **because("it opens the engine to the internet", ["--ngrok"]),
    }
)


def arguments(_name: str, model: Model, weights_path: str) -> list[str]:
    """The arguments of the launcher, ours first; TGI answers to any model name that is no adapter's."""
    prompt = model.context_length - 1
    lora = ",".join(f"{adapter}={weights_path}/{folder}" for adapter, folder in sorted(model.adapters.items()))
    return [
        *("--model-id", weights_path),
        *("--hostname", "0.0.0.0"),  # noqa: S104 - the pod's own network namespace; the Service and the probes reach it there
        *("--port", str(PORT)),
        *("--num-shard", str(model.gpus)),
        *("--max-input-tokens", str(prompt)),
        *("--max-total-tokens", str(model.context_length)),
        *("--max-batch-prefill-tokens", str(prompt + _PREFILL_MARGIN)),
        *("--max-batch-size", str(model.concurrency)),
        *("--max-concurrent-requests", str(_ACCEPTED * model.concurrency)),
        *("--cuda-memory-fraction", f"{model.gpu_memory_utilization:g}"),
        *("--usage-stats", "off"),
        *(("--dtype", model.dtype) if model.dtype else ()),
        *(("--quantize", model.quantization) if model.quantization else ()),
        *(("--lora-adapters", lora) if lora else ()),
        *model.engine_args,
    ]


def environment(_name: str, _model: Model, _weights_path: str, home: str) -> dict[str, str]:
    """Every place that TGI writes to; its image would have the hub's cache in /data."""
    return {
        **python_home(home),
        "HUGGINGFACE_HUB_CACHE": f"{home}/.cache/huggingface/hub",
        "OUTLINES_CACHE_DIR": f"{home}/.cache/outlines",
    }


def first_token(name: str, _model: Model, seconds: int) -> tuple[str, ...]:
    """By the shell: the image's Python is in a virtual environment that only its entry point knows."""
    return ask.shell_completion(name, PORT, "/v1/completions", seconds)


ENGINE: Final = Engine(
    title="TGI",
    # No release has a digest that stands in public with its tag.
    image=None,
    image_example="ghcr.io/huggingface/text-generation-inference:3.3.7",
    cuda=None,
    port=PORT,
    # It activates the virtual environment, and becomes the launcher by exec.
    command=(),
    arguments=arguments,
    environment=environment,
    reserved=RESERVED,
    # The launcher takes every flag from the environment as well: MAX_INPUT_TOKENS is --max-input-tokens.
    reserved_environment={
        flag.removeprefix("--").upper().replace("-", "_"): reason
        for flag, reason in RESERVED.items()
        if flag.startswith("--") and flag != "--huggingface-hub-cache"
    },
    first_token=first_token,
    health_path="/health",
    # It measures no time to the first token, and of the KV cache nothing.
    metrics=Metrics(
        path="/metrics",
        port=PORT,
        waiting="tgi_queue_size",
        running="tgi_batch_current_size",
        label=None,
        tpot="tgi_request_mean_time_per_token_duration",
        tokens="tgi_request_generated_tokens_sum",
        progress='tgi_batch_inference_count{method="decode"}',
        requests="tgi_request_count",
        # Not those of a client that has asked for too much, or has hung up.
        failures=('tgi_request_failure{err!~"validation|dropped"}',),
    ),
    # CUDA graphs and a warm-up that fills the memory.
    start_seconds=65,
    # The shards are stopped after the web server.
    exit_seconds=20,
    drain=Drain.BY_ITSELF,
    # The launcher kills its web server then, with what still runs.
    drain_most=90,
    dtypes=frozenset({"bfloat16", "float16"}),
    quantizations=frozenset({"awq", "fp8", "gptq"}),
    dtype_with_quantization=False,
    adapters=True,
)
