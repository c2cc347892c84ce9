"""The small model: the same on every machine, and a real one."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import yaml

from rehearsal.hub import model, repository
from rehearsal.simulator import weights

FILES = dict(model.files())
CONFIG = json.loads(FILES["config.json"])


def test_its_commit_is_the_one_that_the_local_stack_names() -> None:
    settings = yaml.safe_load(Path("Pulumi.local.yaml").read_text())["config"]["inference:models"]

    named = {each["source"] for each in settings.values()}
    assert named == {f"hf://{model.REPOSITORY}@{model.commit()}"}


def test_its_commit_follows_from_every_byte(tmp_path: Path) -> None:
    model.write(tmp_path)
    assert repository.read(tmp_path, repository_id=model.REPOSITORY).commit == model.commit()

    shard = tmp_path / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\0")
    assert repository.read(tmp_path, repository_id=model.REPOSITORY).commit != model.commit()


def test_writing_it_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    model.write(tmp_path)
    model.write(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == FILES


def test_its_shards_hold_what_the_index_says() -> None:
    index = json.loads(FILES["model.safetensors.index.json"])
    headers = {name: _header(content) for name, content in FILES.items() if name.endswith(".safetensors")}

    assert index["weight_map"] == {tensor: shard for shard, header in headers.items() for tensor in header}
    ends = [max(tensor["data_offsets"][1] for tensor in header.values()) for header in headers.values()]
    assert index["metadata"]["total_size"] == sum(ends)
    assert len(headers) > 1


def test_its_tensors_have_the_shapes_of_its_config() -> None:
    shapes = {
        tensor: facts["shape"]
        for name, content in FILES.items()
        if name.endswith(".safetensors")
        for tensor, facts in _header(content).items()
    }

    width, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    kv_width = CONFIG["num_key_value_heads"] * CONFIG["head_dim"]
    assert shapes["model.embed_tokens.weight"] == [CONFIG["vocab_size"], width]
    assert shapes["model.layers.1.self_attn.k_proj.weight"] == [kv_width, width]
    assert shapes["model.layers.0.mlp.down_proj.weight"] == [width, inner]
    assert len(shapes) == 3 + 9 * CONFIG["num_hidden_layers"]


def test_its_weights_are_small_finite_numbers_of_both_signs() -> None:
    content = FILES["model-00001-of-00002.safetensors"]
    start, end = _header(content)["model.layers.0.self_attn.q_proj.weight"]["data_offsets"]
    (header_bytes,) = struct.unpack("<Q", content[:8])
    raw = content[8 + header_bytes :][start:end]
    # A bfloat16 is the upper half of a float32.
    values = [struct.unpack("<f", b"\0\0" + raw[at : at + 2])[0] for at in range(0, 4096, 2)]

    assert all(math.isfinite(value) and 0.005 < abs(value) < 0.05 for value in values)
    assert abs(sum(values) / len(values)) < 0.005


def test_its_tokenizer_knows_every_byte_and_has_the_vocabulary_of_its_config() -> None:
    tokenizer = json.loads(FILES["tokenizer.json"])
    vocabulary = tokenizer["model"]["vocab"]

    assert sorted(vocabulary.values()) == list(range(CONFIG["vocab_size"]))
    assert all("".join(merge) in vocabulary for merge in tokenizer["model"]["merges"])
    assert len([piece for piece in vocabulary if len(piece) == 1]) == 256
    assert vocabulary["<s>"] == CONFIG["bos_token_id"]


def test_the_simulator_loads_it(tmp_path: Path) -> None:
    model.write(tmp_path)

    assert weights.inspect(tmp_path, max_model_len=2048, tensor_parallel_size=2).max_model_len == 2048
    assert weights.load(tmp_path, bytes_per_second=math.inf, progress=lambda *_: None) > 16_000_000


def _header(content: bytes) -> dict[str, dict[str, list[int]]]:
    (size,) = struct.unpack("<Q", content[:8])
    header: dict[str, dict[str, list[int]]] = json.loads(content[8 : 8 + size])
    header.pop("__metadata__")
    return header
