"""What the KV cache of a model takes of the memory of each of a replica's GPUs, in bytes.

KV heads are shared out over the GPUs of a node (tensor parallel), layers over nodes (pipeline parallel).
vllm/v1/kv_cache_interface.py of 0.28: a token takes 2 x KV heads x head dimension in each layer, or with multi-head
latent attention one vector of kv_lora_rank + qk_rope_head_dim, which every GPU has; pages are of 16 tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from claims.arguments import value_of
from claims.memory import element_bytes
from components.settings import Model
from components.sizing import shape_of

PAGE = 16
"""Tokens of a page of the KV cache."""
# Where vLLM keeps all tokens of every layer of a model that has both kinds of them: vllm/config/vllm.py.
_ALL_KEPT: Final = ("--disable-hybrid-kv-cache-manager", "--kv-transfer-config", "--kv-events-config")
_WINDOWS_KEPT: Final = "--no-disable-hybrid-kv-cache-manager"
_NARROW: Final = ("fp8", "int8")
_HALVES: Final = frozenset({"float16", "bfloat16", "bf16", "half"})


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


def cache(model: Model, batch: int) -> Cache:
    """The KV cache of one of the model's GPUs; `batch` is the tokens of a step, which layers with a window hold too.

    KeyError where the shape is not known: `missing` says what of it.
    """
    shape = shape_of(model)
    element = _element(model)
    layers = -(-shape["layers"] // model.nodes_per_replica)
    if "kvLoraRank" in shape:
        each = (shape["kvLoraRank"] + shape["qkRopeHeadDim"]) * element
        numbers = f"({shape['kvLoraRank']} + {shape['qkRopeHeadDim']}) x {element} B, on every GPU"
    else:
        heads = max(1, shape["kvHeads"] // model.gpus)
        each = 2 * heads * shape["headDim"] * element
        numbers = f"2 x {heads} KV head{'s' if heads > 1 else ''} x {shape['headDim']} x {element} B"
    sliding = min(layers, -(-_sliding(model, shape) // model.nodes_per_replica))
    window = shape.get("slidingWindow", 0) - 1 + batch
    kept = f" ({sliding} of the layers keep {window:,} tokens at most)" if sliding else ""
    return Cache(
        per_token=(layers - sliding) * each,
        sliding_per_token=sliding * each,
        window=window,
        how=f"{layers} layers x {numbers} = {layers * each:,} B{kept}",
    )


def _element(model: Model) -> int:
    """Bytes of a number in the cache: of the model's data type, unless the arguments say otherwise."""
    given = value_of(model, "--kv-cache-dtype") or "auto"
    if given.startswith(_NARROW):
        return 1
    return 2 if given in _HALVES else element_bytes(model)


def _sliding(model: Model, shape: Mapping[str, int]) -> int:
    """Layers whose pages the engine takes back when a window has left them behind, as vLLM alone is known to do.

    Connectors keep all of a request, unless the arguments say that they need not; where all layers have a window, it
    stays one.
    """
    layers = shape.get("slidingLayers", 0) if model.engine == "vllm" else 0
    all_kept = value_of(model, *_ALL_KEPT) is not None and value_of(model, _WINDOWS_KEPT) is None
    return 0 if all_kept and layers < shape["layers"] else layers


def _pages(tokens: int) -> int:
    return -(-tokens // PAGE) * PAGE
