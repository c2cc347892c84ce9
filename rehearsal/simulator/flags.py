"""The command line of `vllm serve`: its flags (`flags.json`, listed by vLLM itself), with their types and choices.

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
from pathlib import Path
from typing import Any, NoReturn

import yaml

from . import VERSION
from .nodes import Nodes


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
    """Tensor parallel times pipeline parallel size, on all nodes."""
    nodes: Nodes
    headless: bool
    """On a node besides the first, which alone has an API."""
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
    given = vars(parser.parse_args([_dashed(argument) for argument in _with_config(argv[1:])]))
    model = given.pop("model_tag", None) or given.pop("model", None)
    if model is None:
        parser.error("the simulator needs a model: a folder with weights, as in `vllm serve /weights/...`")
    return _arguments(model, given)


def listed() -> list[dict[str, Any]]:
    """The flags of that version of vLLM: names, kind, and where there are any choices and number of values."""
    flags: list[dict[str, Any]] = json.loads((Path(__file__).parent / "flags.json").read_text())
    return flags


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model_tag", nargs="?", help="folder of the model")
    kinds: dict[str, Callable[[str], Any]] = {
        "string": str,
        "integer": _optional(int),
        "float": _optional(float),
        "size": _optional(human_readable_int),
        "json": _json,
    }
    for flag in listed():
        names = flag["names"]
        if "--help" in names:
            continue
        if flag["kind"] == "switch":
            parser.add_argument(*names, action=_Switch, dest=flag["dest"])
            continue
        options = {key: flag[other] for key, other in (("nargs", "values"), ("choices", "choices")) if other in flag}
        kind = _length if "--max-model-len" in names else kinds[flag["kind"]]
        parser.add_argument(*names, type=kind, dest=flag["dest"], **options)


class _Switch(argparse.Action):
    """On by its own name; off by `--no-` before it, and by `--disable-` for `--enable-` and the other way round."""

    def __init__(self, option_strings: Sequence[str], dest: str, default: object) -> None:
        super().__init__(option_strings, dest, nargs=0, default=default)

    def __call__(self, _parser: Any, namespace: argparse.Namespace, _values: Any, option: str | None = None) -> None:
        own = (f"--{self.dest.replace('_', '-')}", *(name for name in self.option_strings if name[1] != "-"))
        setattr(namespace, self.dest, option in own)


def _with_config(argv: Sequence[str]) -> list[str]:
    """The arguments of `--config FILE` behind the model and in front of the others, which come later and so win.

    As in vLLM `--config=FILE` is not taken, a key `api-key` is `--api-key`, and a list's items are its values.

    Raises:
        ValueError: no such file, or it is none of YAML.
    """
    if "--config" not in argv:
        return list(argv)
    at = argv.index("--config")
    path = "".join(argv[at + 1 : at + 2])
    if not path.endswith((".yaml", ".yml")):
        raise ValueError(f"Config file must be of a yaml/yml type. {path} supplied")
    settings = yaml.safe_load(Path(path).read_text())
    given = [argument for key, value in settings.items() for argument in _as_arguments(key, value)]
    model = 1 if argv and not argv[0].startswith("-") else 0
    return [*argv[:model], *given, *argv[model:at], *argv[at + 2 :]]


def _as_arguments(key: str, value: object) -> list[str]:
    """One entry of the configuration file, as it would be on the command line."""
    match value:
        case bool():
            return [f"--{key}" if value else f"--no-{key}"]
        case list():
            return [f"--{key}", *map(str, value)] if value else []
        case dict():
            return [f"--{key}", json.dumps(value)]
    return [f"--{key}", str(value)]


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

    _at_least(given, 1, "tensor_parallel_size", "pipeline_parallel_size", "max_num_seqs", "block_size", "nnodes")
    _at_least(given, 0, "shutdown_timeout", "max_num_queued_reqs", "max_num_queued_tokens")
    utilization = flag("gpu_memory_utilization", 0.92)
    if not 0 < utilization <= 1:
        _refuse(f"argument --gpu-memory-utilization: must be in (0, 1], not {utilization}")
    environment_key = os.environ.get("VLLM_API_KEY")
    tensor_parallel_size = flag("tensor_parallel_size", 1)
    return Arguments(
        model=model,
        served_model_names=tuple(flag("served_model_name", ())) or (model,),
        host=flag("host", "0.0.0.0"),  # noqa: S104 (as in vLLM)
        port=flag("port", 8000),
        # An empty key is none: whoever sends no key must not be let in by it.
        api_keys=tuple(key for key in flag("api_key", None) or [environment_key] if key),
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
        nodes=Nodes(
            count=flag("nnodes", 1),
            rank=flag("node_rank", 0),
            address=flag("master_addr", "127.0.0.1"),
            port=flag("master_port", 29501),
        ),
        headless=bool(given.get("headless")),
        tensor_parallel_size=tensor_parallel_size,
        shutdown_timeout=flag("shutdown_timeout", 0),
        access_log=not given.get("disable_uvicorn_access_log"),
        access_log_excluded=frozenset(flag("disable_access_log_for_endpoints", "").split(",")),
        log_stats=not given.get("disable_log_stats"),
        # As vLLM logs it.
        non_default={"model_tag": model} | given | {name: "***" for name in ("api_key", "hf_token") if name in given},
    )


def _at_least(given: dict[str, Any], least: int, *names: str) -> None:
    for name in names:
        if (value := given.get(name)) is not None and value < least:
            _refuse(f"argument --{name.replace('_', '-')}: must be {least} or more, not {value}")


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(f"vllm serve: error: {message}\n")
    raise SystemExit(2)
