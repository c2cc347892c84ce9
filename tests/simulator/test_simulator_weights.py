"""Loading: what is missing, damaged or does not fit is found before the port opens."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from rehearsal.simulator import weights
from rehearsal.simulator.weights import LoadError

SHARD = "model-00002-of-00002.safetensors"


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    """The model with a seeder's manifest, to be damaged."""
    copy = Path(shutil.copytree(model_folder, tmp_path / "model"))
    listed = [
        {"path": path.name, "size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(copy.iterdir())
    ]
    (copy / weights.MANIFEST).write_text(json.dumps({"source": "hf://o/n@0", "files": listed}))
    return copy


def load(folder: Path, *, bytes_per_second: float = math.inf) -> int:
    return weights.load(folder, bytes_per_second=bytes_per_second, progress=lambda *_: None)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_every_byte_of_the_shards_is_read(folder: Path) -> None:
    assert load(folder) == sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def test_reading_keeps_to_the_bandwidth(folder: Path) -> None:
    begun = time.monotonic()

    size = load(folder, bytes_per_second=50e6)

    assert time.monotonic() - begun >= size / 50e6


def test_progress_is_told_after_each_shard(folder: Path) -> None:
    told: list[tuple[int, int]] = []

    weights.load(folder, bytes_per_second=math.inf, progress=lambda done, total, _seconds: told.append((done, total)))

    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("name", [SHARD, "tokenizer.json", "README.md"])
def test_a_file_that_the_manifest_lists_and_is_missing_stops_the_start(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(LoadError, match=f"{name} is missing.* seed the weights again"):
        load(folder)


@pytest.mark.parametrize("name", [SHARD, "tokenizer.json"])
def test_a_flipped_bit_stops_the_start_when_there_is_a_manifest(folder: Path, name: str) -> None:
    flip(folder / name, -1)

    with pytest.raises(LoadError, match=f"{name} is corrupt"):
        load(folder)


def test_without_a_manifest_a_flipped_bit_in_a_tensor_goes_unnoticed_as_in_vllm(folder: Path) -> None:
    (folder / weights.MANIFEST).unlink()
    flip(folder / SHARD, -1)

    assert load(folder) > 0


@pytest.mark.parametrize("keep", [4, 1000, -1])
def test_a_shard_that_is_cut_short_stops_the_start_without_a_manifest_too(folder: Path, keep: int) -> None:
    (folder / weights.MANIFEST).unlink()
    (folder / SHARD).write_bytes((folder / SHARD).read_bytes()[:keep])

    with pytest.raises(LoadError, match=f"Error while deserializing header of .*{SHARD}"):
        load(folder)


def test_a_damaged_header_stops_the_start(folder: Path) -> None:
    (folder / weights.MANIFEST).unlink()
    content = (folder / SHARD).read_bytes()
    (folder / SHARD).write_bytes(content.replace(b'"shape":[5120,256]', b'"shape":[5121,256]', 1))

    with pytest.raises(LoadError, match="invalid offset"):
        load(folder)


def test_a_shard_that_only_the_index_names_stops_the_start(folder: Path) -> None:
    (folder / weights.MANIFEST).unlink()
    (folder / SHARD).unlink()

    with pytest.raises(LoadError, match=f"are missing: {SHARD}"):
        load(folder)


def test_a_folder_without_weights_stops_the_start(folder: Path) -> None:
    for name in (weights.MANIFEST, SHARD, "model-00001-of-00002.safetensors", "model.safetensors.index.json"):
        (folder / name).unlink()

    with pytest.raises(LoadError, match="Cannot find any model weights"):
        load(folder)


def inspect(folder: Path, *, length: int | None = None, gpus: int = 1) -> weights.Model:
    return weights.inspect(folder, max_model_len=length, tensor_parallel_size=gpus)


def test_the_context_is_the_models_own_unless_less_is_asked_for(folder: Path) -> None:
    assert inspect(folder).max_model_len == 4096
    assert inspect(folder, length=2048).max_model_len == 2048


def test_a_context_beyond_the_models_is_refused_unless_overridden(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LoadError, match=r"max_model_len \(8192\) is greater .*max_position_embeddings=4096"):
        inspect(folder, length=8192)

    monkeypatch.setenv("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "1")
    assert inspect(folder, length=8192).max_model_len == 8192


def test_tensor_parallelism_must_divide_the_attention_heads(folder: Path) -> None:
    assert inspect(folder, gpus=2)

    with pytest.raises(LoadError, match=r"attention heads \(4\) must be divisible by tensor parallel size \(3\)"):
        inspect(folder, gpus=3)


def test_the_kv_cache_of_a_token_follows_from_the_config(folder: Path) -> None:
    # 2 (key and value) x 2 layers x 2 KV heads x 64 values x 2 bytes.
    assert inspect(folder).kv_bytes_per_token == 1024

    edit(folder / "config.json", num_key_value_heads=4, torch_dtype="float32")
    assert inspect(folder).kv_bytes_per_token == 4096


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_missing_or_broken_file_of_the_model_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("{")
    with pytest.raises(LoadError, match=f"{name}' is not a valid JSON file"):
        inspect(folder)

    (folder / name).unlink()
    with pytest.raises(LoadError, match=name):
        inspect(folder)
