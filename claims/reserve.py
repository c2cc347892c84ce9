"""What an engine takes of a GPU's memory beside weights and KV cache, in bytes: estimates that measurements bound.

Measured with vLLM, whose profile of memory is in its logs (github.com/vllm-project/vllm):

- activations of a step: the largest of its parts. Sampling sorts the logits of every request: 1.26 GiB for
  256 x 128,256 (Llama-3-8B, #10511), the same on two GPUs; 1.39 GiB for 256 x 151,936 (#12529); 9.96 GiB for
  1,024 x 262,144 (#21489): 38 to 42 B each. The feed-forward layers hold three times their width for each token of a
  batch, and four times the hidden width;
- CUDA graphs: 0.1 GiB to 0.7 GiB for models of one GPU (#21489), 1.3 GiB for Llama 4 Maverick; in the share since 0.21;
- CUDA's and NCCL's own: 0.04 to 0.4 GiB on one GPU (#12529, #12126), 0.3 GiB with tensor parallel 2 (#15815), once 1.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from claims.arguments import number_of, value_of
from claims.memory import element_bytes
from claims.parts import GIB
from components.settings import Model

BATCH = 8192
"""Tokens of a step at most, on a GPU of 70 GiB or more; on smaller ones 2,048: get_batch_defaults of arg_utils.py."""
_BYTES_PER_LOGIT = 42
_GRAPHS = GIB
_ALONE, _TOGETHER = GIB // 2, GIB
_LORA_RANK = 16
_BATCH_FLAGS = ("--max-num-batched-tokens", "--chunked-prefill-size")
_RANK_FLAG = "--max-lora-rank"


@dataclass(frozen=True, kw_only=True)
class Reserve:
    """Bytes of one GPU that are neither weights nor KV cache."""

    activations: int
    graphs: int
    runtime: int
    adapters: int

    @property
    def whole(self) -> int:
        """All of them."""
        return self.activations + self.graphs + self.runtime + self.adapters


def batch_of(model: Model) -> int:
    """Tokens of a step at most. TGI takes a whole prompt at once."""
    if model.engine == "tgi":
        return model.context_length
    given = number_of(model, *_BATCH_FLAGS)
    return BATCH if given is None else max(given, model.concurrency)


def unread(model: Model) -> str | None:
    """An argument that memory rests on, and that holds no number that can be read here."""
    values = ((flag, value_of(model, flag)) for flag in (*_BATCH_FLAGS, _RANK_FLAG))
    found = (
        f"{flag} {value}".rstrip() for flag, value in values if value is not None and number_of(model, flag) is None
    )
    return next(found, None)


def reserve(model: Model, shape: Mapping[str, int]) -> Reserve:
    """Of one of the model's GPUs."""
    experts = shape.get("activeExperts", 1) if "experts" in shape else 1
    width = max(experts * shape.get("expertIntermediate", 0), shape["intermediate"] if experts == 1 else 0)
    layer = element_bytes(model) * batch_of(model) * (3 * width // model.gpus + (3 + experts) * shape["hidden"])
    eager = value_of(model, "--enforce-eager") is not None
    return Reserve(
        activations=max(layer, _BYTES_PER_LOGIT * model.concurrency * shape["vocabulary"]),
        graphs=0 if eager else _GRAPHS,
        runtime=_ALONE if model.gpus * model.nodes_per_replica == 1 else _TOGETHER,
        adapters=len(model.adapters) * _adapter(model, shape) // model.gpus,
    )


def _adapter(model: Model, shape: Mapping[str, int]) -> int:
    """Bytes of one LoRA adapter over every matrix of every layer, at the rank that room is made for."""
    rank = number_of(model, _RANK_FLAG) or _LORA_RANK
    hidden, inner = shape["hidden"], shape.get("heads", 1) * shape.get("headDim", 1)
    kv = shape.get("kvHeads", 1) * shape.get("headDim", 1)
    widths = 2 * (hidden + inner) + 2 * (hidden + kv) + 3 * (hidden + shape["intermediate"])
    return element_bytes(model) * rank * widths * shape["layers"]
