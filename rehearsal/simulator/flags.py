"""The command line of `vllm serve`: its documented flags, with their types, aliases and choices.

Flags that the simulator acts on end in `Arguments`; all others are checked for their type and then have no effect,
as a flag that tunes a GPU has none without one. As in vLLM an unknown flag ends the process with exit code 2.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from . import VERSION


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What the simulator acts on; lengths in tokens, times in seconds."""

    model: str
    served_model_names: tuple[str, ...]
    host: str
    port: int
    api_keys: tuple[str, ...]
    max_model_len: int | None
    """-1: as much as the model and the memory allow."""
    max_num_seqs: int
    max_num_batched_tokens: int
    max_num_queued_reqs: int | None
    max_num_queued_tokens: int | None
    gpu_memory_utilization: float
    kv_cache_memory_bytes: int | None
    num_gpu_blocks_override: int | None
    block_size: int
    gpus: int
    """Tensor parallel times pipeline parallel size."""
    tensor_parallel_size: int
    shutdown_timeout: int
    access_log: bool
    access_log_excluded: frozenset[str]
    log_stats: bool
    non_default: dict[str, Any]
    """Every flag that was given, by its Python name: what vLLM logs at its start."""


def human_readable_int(text: str) -> int:
    """An integer with vLLM's suffixes: k, m, g, t are powers of 1,000 (with decimals), K, M, G, T powers of 1,024.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmgtKMGT])?", text.strip())
    if match is None or ("." in match[1] and (match[2] or "K").isupper()):
        raise argparse.ArgumentTypeError(f"invalid integer value: {text!r} (examples: 2048, 2k, 1.5k, 2K)")
    number, suffix = match.groups()
    if suffix is None:
        return int(number)
    power = "kmgt".index(suffix.lower()) + 1
    return int(float(number) * 1000**power) if suffix.islower() else int(number) * 1024**power


def _length(text: str) -> int:
    """A context length; -1 and `auto` leave it to the model and the memory."""
    return -1 if text in ("-1", "auto") else human_readable_int(text)


def _optional(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        return None if text in ("", "None") else kind(text)

    convert.__name__ = getattr(kind, "__name__", "value")
    return convert


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"value {text} cannot be converted to JSON: {error}") from None


# By type, as `vllm serve --help=all` lists them; several names in one entry are aliases.
_STRINGS = """
    tokenizer runner convert hf-config-path allowed-local-media-path revision code-revision tokenizer-revision
    quantization,-q load-format download-dir safetensors-load-strategy config-format generation-config
    logits-processor-pattern model-impl io-processor-plugin attention-backend reasoning-parser reasoning-parser-plugin
    master-addr distributed-executor-backend data-parallel-address,-dpa data-parallel-backend,-dpb all2all-backend
    expert-placement-strategy worker-cls worker-extension-cls kv-cache-dtype prefix-caching-hash-algo mamba-cache-dtype
    mamba-ssm-cache-dtype kv-offloading-backend mm-encoder-tp-mode mm-processor-cache-type lora-dtype
    show-hidden-metrics-for-version otlp-traces-endpoint scheduler-cls uds chat-template chat-template-content-format
    response-role tool-call-parser tool-parser-plugin tool-server log-config-file uvicorn-log-level ssl-keyfile
    ssl-certfile ssl-ca-certs ssl-ciphers root-path fingerprint-mode fingerprint-value pt-load-map-location
    moe-backend linear-backend performance-mode cudagraph-metrics tokenizer-mode logprobs-mode seed-mode
    disable-access-log-for-endpoints hf-token ray-workers-backend profiler-dir
"""
_INTEGERS = """
    seed max-logprobs master-port nnodes,-n node-rank,-r prefill-context-parallel-size,-pcp
    decode-context-parallel-size,-dcp data-parallel-size,-dp data-parallel-rank,-dpn data-parallel-start-rank,-dpr
    data-parallel-size-local,-dpl data-parallel-rpc-port,-dpp max-parallel-loading-workers block-size
    num-gpu-blocks-override mamba-block-size max-loras max-lora-rank max-cpu-loras long-prefill-token-threshold
    stream-interval optimization-level max-log-len ssl-cert-reqs h11-max-incomplete-event-size h11-max-header-count
    api-server-count,-asc shutdown-timeout max-num-queued-reqs port tensor-parallel-size,-tp pipeline-parallel-size,-pp
    data-parallel-supervisor-port mm-shm-cache-max-object-size-mb sse-keep-alive-interval
"""
_FLOATS = "gpu-memory-utilization cpu-offload-gb kv-offloading-size mm-processor-cache-gb video-pruning-rate swap-space"
_JSONS = """
    hf-overrides pooler-config override-generation-config model-loader-extra-config structured-outputs-config
    eplb-config limit-mm-per-prompt media-io-kwargs mm-processor-kwargs default-mm-loras default-chat-template-kwargs
    speculative-config kv-transfer-config kv-events-config ec-transfer-config compilation-config,-cc additional-config
    attention-config profiler-config allowed-origins allowed-methods allowed-headers
"""
_SIZES = "max-num-batched-tokens max-num-queued-tokens kv-cache-memory-bytes"
# Each also with `--no-` in front.
_SWITCHES = """
    trust-remote-code enforce-eager disable-sliding-window disable-cascade-attn skip-tokenizer-init
    enable-prompt-embeds enable-sleep-mode use-tqdm-on-load data-parallel-hybrid-lb data-parallel-external-lb
    enable-expert-parallel,-ep enable-dbo enable-eplb ray-workers-use-nsight disable-custom-all-reduce
    enable-prefix-caching calculate-kv-scales kv-sharing-fast-prefill enable-mm-embeds interleave-mm-strings
    skip-mm-profiling language-model-only enable-lora fully-sharded-loras enable-chunked-prefill
    disable-chunked-mm-input disable-hybrid-kv-cache-manager async-scheduling enable-log-requests
    trust-request-chat-template return-tokens-as-token-ids enable-auto-tool-choice exclude-tools-when-tool-choice-none
    enable-prompt-tokens-details enable-server-load-tracking enable-force-include-usage enable-tokenizer-info-endpoint
    enable-log-outputs enable-log-deltas log-error-stack tokens-only disable-uvicorn-access-log allow-credentials
    enable-ssl-refresh enable-request-id-headers disable-fastapi-docs enable-offline-docs enable-per-request-metrics
    per-request-spec-decode-metrics kv-cache-metrics enable-layerwise-nvtx-tracing enable-mfu-metrics
    enable-return-routed-experts
"""
# Always a plain switch, without a `--no-` form.
_PLAIN_SWITCHES = "disable-log-stats aggregate-engine-logging headless disable-frontend-multiprocessing"
_LISTS = """
    served-model-name api-key lora-modules allowed-media-domains ignore-patterns logits-processors middleware
    collect-detailed-traces
"""
_CHOICES: dict[str, tuple[str, ...]] = {
    "dtype": ("auto", "bfloat16", "float", "float16", "float32", "half"),
    "scheduling-policy": ("fcfs", "priority"),
}


def parse(argv: Sequence[str]) -> Arguments:
    """Read the arguments of `vllm` (without its own name).

    Raises:
        SystemExit: 2 for an unknown flag, a wrong type or a command other than `serve`; 0 for --help and --version.
    """
    if list(argv[:1]) != ["serve"]:
        top = argparse.ArgumentParser(prog="vllm", description="vLLM CLI", allow_abbrev=False)
        top.add_argument("-v", "--version", action="version", version=VERSION)
        top.add_argument("command", choices=["serve"], help="start the OpenAI compatible API server")
        top.parse_args(argv[:1])
    parser = argparse.ArgumentParser(
        prog="vllm serve",
        usage="vllm serve [model_tag] [options]",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    _add_flags(parser)
    given = vars(parser.parse_args([_dashed(argument) for argument in argv[1:]]))
    model = given.pop("model_tag", None) or given.pop("model", None)
    if model is None:
        parser.error("the simulator needs a model: a folder with weights, as in `vllm serve /weights/...`")
    return _arguments(model, given)


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model_tag", nargs="?", help="folder of the model")
    kinds: dict[str, dict[str, Any]] = {
        f"model host {_STRINGS}": {},
        _INTEGERS: {"type": _optional(int)},
        _FLOATS: {"type": _optional(float)},
        _JSONS: {"type": _json},
        _SIZES: {"type": _optional(human_readable_int)},
        "max-num-seqs": {"type": human_readable_int},
        "max-model-len": {"type": _length},
        _SWITCHES: {"action": argparse.BooleanOptionalAction},
        _PLAIN_SWITCHES: {"action": "store_true"},
        _LISTS: {"nargs": "*"},
        **{name: {"choices": choices} for name, choices in _CHOICES.items()},
    }
    for names, options in kinds.items():
        for entry in names.split():
            name, *aliases = entry.split(",")
            parser.add_argument(*aliases, f"--{name}", **options)


def _dashed(argument: str) -> str:
    """As in vLLM, `--max_model_len=8` is `--max-model-len=8`; the value is left alone."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def _arguments(model: str, given: dict[str, Any]) -> Arguments:
    def flag(name: str, default: Any) -> Any:
        value = given.get(name)
        return default if value is None else value

    _at_least(given, 1, "tensor_parallel_size", "pipeline_parallel_size", "max_num_seqs", "block_size")
    _at_least(given, 0, "shutdown_timeout", "max_num_queued_reqs", "max_num_queued_tokens")
    utilization = flag("gpu_memory_utilization", 0.9)
    if not 0 < utilization <= 1:
        _refuse(f"argument --gpu-memory-utilization: must be in (0, 1], not {utilization}")
    environment_key = os.environ.get("VLLM_API_KEY")
    tensor_parallel_size = flag("tensor_parallel_size", 1)
    return Arguments(
        model=model,
        served_model_names=tuple(flag("served_model_name", ())) or (model,),
        host=flag("host", "0.0.0.0"),  # noqa: S104 (as in vLLM)
        port=flag("port", 8000),
        api_keys=tuple(flag("api_key", ())) or ((environment_key,) if environment_key else ()),
        max_model_len=flag("max_model_len", None),
        max_num_seqs=flag("max_num_seqs", 256),
        max_num_batched_tokens=flag("max_num_batched_tokens", 2048),
        max_num_queued_reqs=flag("max_num_queued_reqs", None),
        max_num_queued_tokens=flag("max_num_queued_tokens", None),
        gpu_memory_utilization=utilization,
        kv_cache_memory_bytes=flag("kv_cache_memory_bytes", None),
        num_gpu_blocks_override=flag("num_gpu_blocks_override", None),
        block_size=flag("block_size", 16),
        gpus=tensor_parallel_size * flag("pipeline_parallel_size", 1),
        tensor_parallel_size=tensor_parallel_size,
        shutdown_timeout=flag("shutdown_timeout", 0),
        access_log=not given.get("disable_uvicorn_access_log"),
        access_log_excluded=frozenset(flag("disable_access_log_for_endpoints", "").split(",")),
        log_stats=not given.get("disable_log_stats"),
        non_default={"model_tag": model} | given,
    )


def _at_least(given: dict[str, Any], least: int, *names: str) -> None:
    for name in names:
        if (value := given.get(name)) is not None and value < least:
            _refuse(f"argument --{name.replace('_', '-')}: must be {least} or more, not {value}")


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(f"vllm serve: error: {message}\n")
    raise SystemExit(2)
