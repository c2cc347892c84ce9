"""The shape of a model as its config.json tells it: what its weights and its KV cache take follows from that.

Keys are those of transformers' configurations; parameters are counted for the architectures in `_GATED`, whose layers
are alike: attention, and three matrices of a gated feed-forward, or of each expert. Norms and biases are left out: they
are less than a thousandth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

# By our key, the names that configurations have for it.
_NAMES: Final = MappingProxyType(
    {
        "layers": ("num_hidden_layers",),
        "heads": ("num_attention_heads",),
        "kvHeads": ("num_key_value_heads",),
        "headDim": ("head_dim",),
        "hidden": ("hidden_size",),
        "intermediate": ("intermediate_size",),
        "vocabulary": ("vocab_size",),
        "positions": ("max_position_embeddings",),
        "experts": ("num_local_experts", "n_routed_experts", "num_experts"),
        "activeExperts": ("num_experts_per_tok",),
        "expertIntermediate": ("moe_intermediate_size",),
        "kvLoraRank": ("kv_lora_rank",),
        "qkRopeHeadDim": ("qk_rope_head_dim",),
    }
)
_GATED: Final = frozenset(
    {"llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "deepseek_v2", "deepseek_v3", "gemma", "gemma2"}
    | {"gemma3_text", "phi3"}
)
_TIED_UNLESS_SAID: Final = frozenset({"gemma", "gemma2", "gemma3_text"})
# Of layers that alternate, how many come with one that sees everything, where the configuration does not list them.
_ALTERNATE: Final = MappingProxyType({"gemma2": 2, "gemma3_text": 6})
_DTYPE_BITS: Final = re.compile(r"(?P<bits>[0-9]+)(_e[0-9]m[0-9])?(fn)?$")
_BITS: Final = MappingProxyType({"fp8": 8, "mxfp4": 4, "awq": 4, "gptq": 4, "bitsandbytes": 4})
"""Of a method of quantization, where the configuration does not say."""


def shape(config: Mapping[str, Any]) -> dict[str, int]:
    """Facts of a parsed config.json; of a model that also sees or hears, of the part that writes.

    Counts are as they are; `headDim`, `kvLoraRank` and `qkRopeHeadDim` are elements, `positions` and `slidingWindow`
    tokens, `slidingLayers` the layers that keep only those. What the configuration does not say is not there.
    """
    text = config.get("text_config") or config
    found = {key: value for key, names in _NAMES.items() if (value := _count(text, *names)) is not None}
    if "headDim" not in found and {"hidden", "heads"} <= found.keys():
        found["headDim"] = found["hidden"] // found["heads"]
    if text.get("model_type") in _GATED and "heads" in found:
        found.setdefault("kvHeads", found["heads"])
    if "experts" in found and "intermediate" in found:
        found.setdefault("expertIntermediate", found["intermediate"])
    found |= _sliding(text, found.get("layers", 0)) | _bytes(text, config)
    return found | _parameters(text, found)


def _sliding(text: Mapping[str, Any], layers: int) -> dict[str, int]:
    window = _count(text, "sliding_window")
    if window is None or text.get("use_sliding_window") is False:
        return {}
    listed = text.get("layer_types")
    every = _count(text, "sliding_window_pattern") or _ALTERNATE.get(text.get("model_type", ""))
    count = layers - (layers // every if every else 0)
    if isinstance(listed, list):
        count = listed.count("sliding_attention")
    return {"slidingWindow": window, "slidingLayers": count} if count else {}


def _bytes(text: Mapping[str, Any], whole: Mapping[str, Any]) -> dict[str, int]:
    """Bytes of an element, and bits of one that is quantized."""
    named = text.get("dtype") or text.get("torch_dtype") or whole.get("dtype") or whole.get("torch_dtype")
    dtype = _DTYPE_BITS.search(str(named))
    given = whole.get("quantization_config") or text.get("quantization_config")
    bits = _quantized(given) if isinstance(given, Mapping) else None
    return {
        **({"dtypeBytes": max(1, int(dtype["bits"]) // 8)} if dtype else {}),
        **({"quantizationBits": bits} if bits else {}),
    }


def _quantized(given: Mapping[str, Any]) -> int | None:
    if given.get("load_in_8bit"):
        return 8
    groups = given.get("config_groups")
    first: Mapping[str, Any] = next(iter(groups.values()), {}) if isinstance(groups, Mapping) else {}
    by_method = _BITS.get(given.get("quant_method", ""))
    return _count(given, "bits") or _count(first.get("weights") or {}, "num_bits") or by_method


def _parameters(text: Mapping[str, Any], found: Mapping[str, int]) -> dict[str, int]:
    """How many there are, of an architecture whose matrices are known."""
    needed = {"layers", "heads", "headDim", "hidden", "intermediate", "vocabulary"}
    if text.get("model_type") not in _GATED or not needed <= found.keys():
        return {}
    hidden, layers = found["hidden"], found["layers"]
    experts = found.get("experts", 0)
    dense = min(layers, _count(text, "first_k_dense_replace") or 0) if experts else layers
    shared = _count(text, "n_shared_experts") or 0
    routed = (experts + shared) * 3 * hidden * found.get("expertIntermediate", 0) + experts * hidden
    tied = text.get("tie_word_embeddings", text["model_type"] in _TIED_UNLESS_SAID)
    return {
        "parameters": (1 if tied else 2) * found["vocabulary"] * hidden
        + layers * _attention(text, found)
        + dense * 3 * hidden * found["intermediate"]
        + (layers - dense) * routed
    }


def _attention(text: Mapping[str, Any], found: Mapping[str, int]) -> int:
    """Parameters of one layer's attention: with latent attention the queries may go through a low rank as well."""
    hidden, heads = found["hidden"], found["heads"]
    if "kvLoraRank" not in found:
        return 2 * hidden * found["headDim"] * (heads + found.get("kvHeads", heads))
    rank, rope = found["kvLoraRank"], found.get("qkRopeHeadDim", 0)
    own, value = _count(text, "qk_nope_head_dim") or 0, _count(text, "v_head_dim") or 0
    low = _count(text, "q_lora_rank")
    queries = heads * (own + rope)
    return (
        (low * (hidden + queries) if low else hidden * queries)
        + hidden * (rank + rope)
        + rank * heads * (own + value)
        + heads * value * hidden
    )


def _count(tree: Mapping[str, Any], *names: str) -> int | None:
    """The first of the names that has a positive integer."""
    values = (tree.get(name) for name in names)
    return next((value for value in values if isinstance(value, int) and value > 0), None)
