"""The small real model that the hub serves: `rehearsal/tiny-llama`, the same bytes on every machine.

A Llama of 2 layers with random weights: real enough for vLLM and transformers to load, small enough (about 17 MB) to
be generated in a second, and large enough that reading it at a set bandwidth takes time. Its feed-forward layer is
wide for a model of this size (5,120), only to give the shards their weight.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from itertools import accumulate, product
from math import prod
from pathlib import Path

from rehearsal.hub import repository

REPOSITORY = "rehearsal/tiny-llama"
EDITIONS = (1, 2)
"""Its revisions: the second one has another second shard, and shares the first with the first one."""

_LAYERS = 2
_HIDDEN = 256
_INTERMEDIATE = 5120
_HEADS = 4
_HEAD_SIZE = 64
_KV_HEADS = 2
_VOCABULARY = 512
_CONTEXT = 4096
_SPECIAL_TOKENS = ("<s>", "</s>", "<|user|>", "<|assistant|>")
_BEGIN, _END = 0, 1

# The high byte of a little-endian bfloat16 with a random sign and an exponent of -7 or -6 (its low bit is in the other
# byte): magnitudes from 0.008 to 0.031, about those of a freshly initialised Llama, and never NaN or infinite.
_HIGH_BYTE = bytes(0x3C | (byte & 0x80) for byte in range(256))
_BFLOAT16_ONE = b"\x80\x3f"


def write(root: Path, edition: int = 1) -> None:
    """Write the model's files into the folder `root`, which is created when missing; existing files are replaced."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files(edition):
        (root / name).write_bytes(content)


def commit(edition: int = 1) -> str:
    """The model's revision: 40 hex digits that follow from the names and contents of its files alone."""
    return repository.commit(
        repository.describe(name, size=len(content), chunks=[content]) for name, content in files(edition)
    )


def files(edition: int = 1) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file; the shards hold about 8 MB each, and only one is in memory at a time."""
    shards = _shards()
    yield "LICENSE", b"The weights are pseudo-random numbers. CC0 1.0: no rights reserved.\n"
    yield "README.md", _README
    yield "config.json", _json(_CONFIG)
    yield "generation_config.json", _json({"bos_token_id": _BEGIN, "eos_token_id": _END, "do_sample": False})
    yield "tokenizer.json", _json(_tokenizer())
    yield "tokenizer_config.json", _json(_TOKENIZER_CONFIG)
    sizes = [2 * prod(shape) for tensors in shards.values() for shape in tensors.values()]
    weight_map = {tensor: shard for shard, tensors in shards.items() for tensor in tensors}
    yield "model.safetensors.index.json", _json({"metadata": {"total_size": sum(sizes)}, "weight_map": weight_map})
    for number, (shard, tensors) in enumerate(shards.items(), start=1):
        yield shard, _safetensors(tensors, seed="" if edition == 1 or number == 1 else f"edition {edition} of ")


def _shards() -> dict[str, dict[str, tuple[int, ...]]]:
    """Shape of every tensor by shard: one decoder layer a shard, with what comes before or after it."""
    before: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (_VOCABULARY, _HIDDEN)}
    after: dict[str, tuple[int, ...]] = {
        "model.norm.weight": (_HIDDEN,),
        "lm_head.weight": (_VOCABULARY, _HIDDEN),
    }
    return {
        "model-00001-of-00002.safetensors": before | _layer(0),
        "model-00002-of-00002.safetensors": _layer(1) | after,
    }


def _layer(index: int) -> dict[str, tuple[int, ...]]:
    prefix = f"model.layers.{index}"
    return {
        f"{prefix}.input_layernorm.weight": (_HIDDEN,),
        f"{prefix}.self_attn.q_proj.weight": (_HEADS * _HEAD_SIZE, _HIDDEN),
        f"{prefix}.self_attn.k_proj.weight": (_KV_HEADS * _HEAD_SIZE, _HIDDEN),
        f"{prefix}.self_attn.v_proj.weight": (_KV_HEADS * _HEAD_SIZE, _HIDDEN),
        f"{prefix}.self_attn.o_proj.weight": (_HIDDEN, _HEADS * _HEAD_SIZE),
        f"{prefix}.post_attention_layernorm.weight": (_HIDDEN,),
        f"{prefix}.mlp.gate_proj.weight": (_INTERMEDIATE, _HIDDEN),
        f"{prefix}.mlp.up_proj.weight": (_INTERMEDIATE, _HIDDEN),
        f"{prefix}.mlp.down_proj.weight": (_HIDDEN, _INTERMEDIATE),
    }


def _safetensors(tensors: Mapping[str, tuple[int, ...]], seed: str) -> bytes:
    """A safetensors file: 8 bytes of header length, the JSON header padded to 8 bytes, the tensors back to back."""
    ends = list(accumulate(2 * prod(shape) for shape in tensors.values()))
    starts = [0, *ends[:-1]]
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for (name, shape), start, end in zip(tensors.items(), starts, ends, strict=True):
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return b"".join(
        [
            len(encoded).to_bytes(8, "little"),
            encoded,
            *(_bfloat16(seed + name, shape) for name, shape in tensors.items()),
        ]
    )


def _bfloat16(name: str, shape: tuple[int, ...]) -> bytes:
    """The tensor's values as bfloat16: ones for a normalisation, else pseudo-random from `name`."""
    if len(shape) == 1:
        return _BFLOAT16_ONE * prod(shape)
    values = bytearray(hashlib.shake_128(name.encode()).digest(2 * prod(shape)))
    values[1::2] = values[1::2].translate(_HIGH_BYTE)
    return bytes(values)


def _tokenizer() -> dict[str, object]:
    """A byte-level BPE tokenizer as the `tokenizers` library stores it: 4 special tokens, 256 bytes, 252 merges."""
    alphabet = _byte_characters()
    space = alphabet[ord(" ")]
    merges = list(product(space + "etaoinshrdlcum", "etaoinshrdlcumfwy"))[: _VOCABULARY - len(_SPECIAL_TOKENS) - 256]
    pieces = [*_SPECIAL_TOKENS, *alphabet, *("".join(merge) for merge in merges)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, "content": token, **flags} for index, token in enumerate(_SPECIAL_TOKENS)],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {piece: index for index, piece in enumerate(pieces)},
            "merges": [list(merge) for merge in merges],
        },
    }


def _byte_characters() -> list[str]:
    """The printable character that byte-level BPE writes for each byte (the mapping of GPT-2)."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    substitutes = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(substitutes)) for byte in range(256)]


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": _HIDDEN,
    "intermediate_size": _INTERMEDIATE,
    "num_hidden_layers": _LAYERS,
    "num_attention_heads": _HEADS,
    "num_key_value_heads": _KV_HEADS,
    "head_dim": _HEAD_SIZE,
    "vocab_size": _VOCABULARY,
    "max_position_embeddings": _CONTEXT,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "initializer_range": 0.02,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": False,
    "bos_token_id": _BEGIN,
    "eos_token_id": _END,
    "torch_dtype": "bfloat16",
    "use_cache": True,
}

_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": _SPECIAL_TOKENS[_BEGIN],
    "eos_token": _SPECIAL_TOKENS[_END],
    "model_max_length": _CONTEXT,
    "clean_up_tokenization_spaces": False,
    "chat_template": (
        "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    ),
}

_README = b"""---
license: cc0-1.0
library_name: transformers
pipeline_tag: text-generation
---
# tiny-llama

A Llama of 2 layers with pseudo-random weights, generated and not trained: what the rehearsal seeds and serves.
"""


def main() -> None:
    """Print the model's commit, or write its files: `python -m rehearsal.hub.model --commit | --write FOLDER`."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.hub.model", description=__doc__.splitlines()[0])
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--commit", action="store_true", help="print the 40 hex digits of the model's revisions")
    choice.add_argument("--write", type=Path, metavar="FOLDER", help="write the model's files into this folder")
    arguments = parser.parse_args()
    if arguments.commit:
        sys.stdout.writelines(f"{commit(edition)}\n" for edition in EDITIONS)
    else:
        write(arguments.write)


if __name__ == "__main__":
    main()
