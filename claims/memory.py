"""What a replica of a model takes of the memory of each of its GPUs, in bytes.

Weights and KV heads are shared out over the GPUs of a node (tensor parallel), layers over nodes (pipeline parallel).
KV cache: vllm/v1/kv_cache_interface.py of 0.28. A token takes 2 x KV heads x head dimension in each layer, or with
multi-head latent attention one vector of kv_lora_rank + qk_rope_head_dim, which every GPU has; pages are of 16 tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from claims.arguments import value_of
from components.facts import models
from components.settings import Model
from components.sizing import shape_of

GIB = 2**30
MIB = 2**20
PAGE = 16
"""Tokens of a page of the KV cache."""
# Scales and zero points, one pair for 128 weights: https://huggingface.co/docs/transformers/quantization/awq.
_SCALES_BYTES, _GROUP = 2.5, 128
_BYTE = 8
_DTYPES = {"float16": 2, "bfloat16": 2, "float32": 4}
_WEIGHTS = ("*.safetensors", "*/*.safetensors")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Bytes of all weights: as they are served, and as they are read, before an engine quantizes them itself."""

    served: int
    read: int
    how: str
    """The computation of `served`."""


@dataclass(frozen=True, kw_only=True)
class Cache:
    """The KV cache of one GPU: what a token takes there."""

    per_token: int
    """Of the layers that keep every token."""
    sliding_per_token: int
    """Of those that keep no more than `window` tokens of a request."""
    window: int
    how: str
    """The computation of a token's bytes, in all layers."""

    def of(self, tokens: int) -> int:
        """Bytes of one request of so many tokens; a window that is not at a page's start needs one page more."""
        kept = _pages(min(tokens, self.window)) + (PAGE if tokens > self.window else 0)
        return _pages(tokens) * self.per_token + min(kept, _pages(tokens)) * self.sliding_per_token

    def longest(self, room: int, most: int) -> int:
        """Tokens, whole pages and at most `most`, of the longest request that fits in so many bytes; or 0."""
        low, high = 0, most // PAGE
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.of(middle * PAGE) <= room else (low, middle - 1)
        return low * PAGE


def weights(model: Model) -> Weights | None:
    """The weights of a model; None where neither its files nor its parameters are known."""
    shape = shape_of(model)
    parameters, size = shape.get("parameters"), shape.get("dtypeBytes", 2)
    bits = shape.get("quantizationBits") or (4 if model.quantization in {"awq", "gptq"} else None)
    online = model.quantization == "fp8" and bits is None
    computed = _DTYPES.get(model.dtype or "", min(size, 2) if model.dtype == "auto" else size)
    listed = _files(model)
    # A 32-bit file that is served in 16 bits is read in 16.
    stored = listed if listed is None or bits else listed * computed // size
    if online and parameters is not None:
        served, how = _quantized(parameters, shape, 8)
        return Weights(served=served, read=stored or parameters * computed, how=how)
    if stored is not None:
        return Weights(served=stored, read=stored, how=f"{stored:,} B of files")
    if parameters is None:
        return None
    served, how = (
        _quantized(parameters, shape, bits)
        if bits
        else (parameters * computed, f"{parameters:,} parameters x {computed} B")
    )
    return Weights(served=served, read=served, how=how)


def cache(model: Model, batch: int) -> Cache:
    """The KV cache of one of the model's GPUs; `batch` is the tokens of a step, which layers with a window hold too.

    KeyError where the shape is not known: `missing` says what of it.
    """
    shape = shape_of(model)
    element = 1 if (value_of(model, "--kv-cache-dtype") or "").startswith(("fp8", "int8")) else 2
    layers = -(-shape["layers"] // model.nodes_per_replica)
    if "kvLoraRank" in shape:
        each = (shape["kvLoraRank"] + shape["qkRopeHeadDim"]) * element
        numbers = f"({shape['kvLoraRank']} + {shape['qkRopeHeadDim']}) x {element} B, on every GPU"
    else:
        heads = max(1, shape["kvHeads"] // model.gpus)
        each = 2 * heads * shape["headDim"] * element
        numbers = f"2 x {heads} KV head{'s' if heads > 1 else ''} x {shape['headDim']} x {element} B"
    # vLLM alone is known to give the pages back that a window has left behind.
    sliding = shape.get("slidingLayers", 0) if model.engine == "vllm" else 0
    sliding = min(layers, -(-sliding // model.nodes_per_replica))
    window = shape.get("slidingWindow", 0) - 1 + batch
    kept = f" ({sliding} of the layers keep {window:,} tokens at most)" if sliding else ""
    return Cache(
        per_token=(layers - sliding) * each,
        sliding_per_token=sliding * each,
        window=window,
        how=f"{layers} layers x {numbers} = {layers * each:,} B{kept}",
    )


def missing(model: Model) -> list[str]:
    """Keys of `models.X.facts` that would have to be known, and are not."""
    shape = shape_of(model)
    attention = ("qkRopeHeadDim",) if "kvLoraRank" in shape else ("kvHeads", "headDim")
    needed = ("layers", *attention, "hidden", "intermediate", "vocabulary")
    found = [key for key in needed if key not in shape]
    return found if weights(model) is not None else ["parameters", *found]


def _files(model: Model) -> int | None:
    """Bytes of the files with weights among those that are seeded; None where no list is known, or none is in it."""
    paths = models.files(model.source)
    if paths is None:
        return None
    seeded = models.selected(paths, model.weights.include, model.weights.exclude)
    if model.weights_file is not None:
        return seeded.get(model.weights_file)
    return sum(models.selected(seeded, _WEIGHTS, ()).values()) or None


def _quantized(parameters: int, shape: Mapping[str, int], bits: int) -> tuple[int, str]:
    """Bytes of quantized weights; embeddings and the last layer stay in 16 bits."""
    kept = min(parameters, 2 * shape.get("vocabulary", 0) * shape.get("hidden", 0))
    each = bits / _BYTE + (_SCALES_BYTES / _GROUP if bits < _BYTE else 0)
    text = f"{parameters - kept:,} parameters x {each:.3g} B + {kept:,} of embeddings x 2 B"
    return round((parameters - kept) * each) + 2 * kept, text


def _pages(tokens: int) -> int:
    return -(-tokens // PAGE) * PAGE
