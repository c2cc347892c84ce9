"""Loading: read and check everything of a model folder that vLLM would, every byte of every weight file.

Checks of vLLM: config.json, tokenizer, context length, attention heads against tensor parallelism, each safetensors
header against its file. Beyond vLLM: when the folder carries the seeder's manifest (`.seeded.json`), every listed file
must be there with its size and sha256, so that a rehearsal finds a half-seeded volume that vLLM might serve from.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = ".seeded.json"
_CHUNK_BYTES = 1 << 20
_ALLOW_LONG = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"
_DTYPE_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


class LoadError(Exception):
    """Why the engine does not start, in one line."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model folder that has passed the checks: the context length to serve, and bytes of KV cache per token."""

    folder: Path
    max_model_len: int
    kv_bytes_per_token: int


def inspect(folder: Path, *, max_model_len: int | None, tensor_parallel_size: int) -> Model:
    """Check what can be checked before a weight is read.

    Raises:
        LoadError: a file is missing or unreadable, or the flags do not fit the model.
    """
    if not folder.is_dir():
        raise LoadError(f"Invalid repository ID or local directory specified: '{folder}': not a folder")
    config = _json_file(folder / "config.json")
    if not (folder / "tokenizer.json").is_file() and not (folder / "tokenizer.model").is_file():
        raise LoadError(f"Can't load tokenizer for '{folder}': neither tokenizer.json nor tokenizer.model is there")
    if (folder / "tokenizer.json").is_file():
        _json_file(folder / "tokenizer.json")
    config = config.get("text_config", config)
    try:
        heads = config["num_attention_heads"]
        context = config["max_position_embeddings"]
        head_size = config.get("head_dim") or config["hidden_size"] // heads
        kv_width = 2 * config["num_hidden_layers"] * config.get("num_key_value_heads", heads) * head_size
    except KeyError as error:
        raise LoadError(f"{folder / 'config.json'} has no {error.args[0]}") from None
    if heads % tensor_parallel_size:
        raise LoadError(
            f"Total number of attention heads ({heads}) must be divisible by tensor parallel size"
            f" ({tensor_parallel_size})."
        )
    wanted = max_model_len if max_model_len not in (None, -1) else context
    if wanted > context and os.environ.get(_ALLOW_LONG) != "1":
        raise LoadError(
            f"User-specified max_model_len ({wanted}) is greater than the derived max_model_len"
            f" (max_position_embeddings={context} or model_max_length=None in model's config.json)."
            f" To allow overriding this maximum, set the env var {_ALLOW_LONG}=1."
        )
    element_bytes = 4 if config.get("torch_dtype", config.get("dtype")) == "float32" else 2
    return Model(folder=folder, max_model_len=wanted, kv_bytes_per_token=kv_width * element_bytes)


def load(folder: Path, *, bytes_per_second: float, progress: Callable[[int, int, float], None]) -> int:
    """Read every byte of the weights, no faster than `bytes_per_second`, and check them; returns their size.

    `progress` is told after each shard: shards read, shards in all, seconds since the start.

    Raises:
        LoadError: no weights, a missing shard, a damaged one, or one that differs from the manifest.
    """
    listed = _manifest(folder)
    shards = _shards(folder)
    begun = time.monotonic()
    total = 0
    for number, path in enumerate(shards, start=1):
        digest = hashlib.sha256()
        _check_header(path)
        with path.open("rb", buffering=0) as stream:
            chunk = bytearray(_CHUNK_BYTES)
            while size := stream.readinto(chunk):
                digest.update(memoryview(chunk)[:size])
                total += size
                time.sleep(max(0.0, total / bytes_per_second - (time.monotonic() - begun)))
        _check_sha256(path, listed.pop(path.relative_to(folder).as_posix(), None), digest.hexdigest())
        progress(number, len(shards), time.monotonic() - begun)
    for name, sha256 in listed.items():
        _check_sha256(folder / name, sha256, hashlib.sha256((folder / name).read_bytes()).hexdigest())
    return total


def _manifest(folder: Path) -> dict[str, str]:
    """sha256 by path of what was seeded here; empty where no seeder was. Sizes are compared at once."""
    if not (folder / MANIFEST).exists():
        return {}
    try:
        listed = {file["path"]: (file["size"], file["sha256"]) for file in _json_file(folder / MANIFEST)["files"]}
    except (KeyError, TypeError):
        raise LoadError(f"{folder / MANIFEST} is not a seeder's manifest") from None
    for name, (size, _) in listed.items():
        path = folder / name
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            state = "is missing" if found is None else f"has {found} bytes"
            raise LoadError(f"{path} {state}, the manifest lists {size} bytes: seed the weights again")
    return {name: sha256 for name, (_, sha256) in listed.items()}


def _shards(folder: Path) -> list[Path]:
    """The weight files: those that the index names, all of which must be there, or every safetensors file."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(_json_file(index).get("weight_map", {}).values()))
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise LoadError(f"Weight files named in {index} are missing: {', '.join(missing)}")
        paths = [folder / name for name in names]
    else:
        paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise LoadError(f"Cannot find any model weights with `{folder}`")
    return paths


def _check_header(path: Path) -> None:
    """Check a safetensors header against its file: tensors back to back, each as long as its shape says, to the end."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        (header_bytes,) = struct.unpack("<Q", stream.read(8).ljust(8, b"\xff"))
        if header_bytes > size - 8:
            raise LoadError(f"Error while deserializing header of {path}: header too large, the file is cut short")
        try:
            header = json.loads(stream.read(header_bytes))
            tensors = [value for name, value in header.items() if name != "__metadata__"]
            position = 0
            for tensor in sorted(tensors, key=lambda tensor: tensor["data_offsets"]):
                start, end = tensor["data_offsets"]
                if start != position or 8 * (end - start) != math.prod(tensor["shape"]) * _DTYPE_BITS[tensor["dtype"]]:
                    raise LoadError(f"Error while deserializing header of {path}: invalid offset {start}")
                position = end
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LoadError(f"Error while deserializing header of {path}: invalid header: {error}") from None
    if position != size - 8 - header_bytes:
        raise LoadError(
            f"Error while deserializing header of {path}: incomplete metadata, file not fully covered:"
            f" {size - 8 - header_bytes} bytes of tensors, not {position}"
        )


def _check_sha256(path: Path, expected: str | None, found: str) -> None:
    if expected is not None and found != expected:
        raise LoadError(f"{path} is corrupt: sha256 {found}, the manifest lists {expected}: seed the weights again")


def _json_file(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise LoadError(f"Cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise LoadError(f"It looks like the file at '{path}' is not a valid JSON file: {error}") from None
    if not isinstance(value, dict):
        raise LoadError(f"It looks like the file at '{path}' is not a valid JSON object")
    return value
