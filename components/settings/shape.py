"""Facts of a model that a stack may give itself, where its config.json is not among those that ship."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from components.settings.section import SECTION
from components.settings.types import NOT_BOOL

Count = Annotated[int, Field(ge=1, le=10_000_000), NOT_BOOL]


class ModelFacts(BaseModel):
    """What a model's config.json says; over what the program knows of the source, key by key."""

    model_config = SECTION

    parameters: Annotated[int, Field(ge=1_000, le=100_000_000_000_000), NOT_BOOL] | None = Field(
        default=None, description="Parameters of the model, all experts together."
    )
    layers: Count | None = Field(default=None, description="num_hidden_layers.")
    heads: Count | None = Field(default=None, description="num_attention_heads.")
    kv_heads: Count | None = Field(default=None, description="num_key_value_heads.")
    head_dim: Count | None = Field(default=None, description="head_dim; else hidden_size / num_attention_heads.")
    hidden: Count | None = Field(default=None, description="hidden_size.")
    intermediate: Count | None = Field(default=None, description="intermediate_size.")
    vocabulary: Count | None = Field(default=None, description="vocab_size.")
    positions: Count | None = Field(default=None, description="max_position_embeddings: the longest context.")
    experts: Count | None = Field(default=None, description="Experts of a layer, of a mixture of experts.")
    active_experts: Count | None = Field(default=None, description="num_experts_per_tok.")
    expert_intermediate: Count | None = Field(default=None, description="moe_intermediate_size.")
    sliding_window: Count | None = Field(default=None, description="sliding_window, of layers that see only so far.")
    sliding_layers: Count | None = Field(default=None, description="Layers with a sliding window.")
    kv_lora_rank: Count | None = Field(default=None, description="kv_lora_rank, of multi-head latent attention.")
    qk_rope_head_dim: Count | None = Field(default=None, description="qk_rope_head_dim, of the same.")
    dtype_bytes: Annotated[int, Field(ge=1, le=8), NOT_BOOL] | None = Field(
        default=None, description="Bytes of an element as the weights are stored: 2 for bfloat16."
    )
    quantization_bits: Annotated[int, Field(ge=1, le=16), NOT_BOOL] | None = Field(
        default=None, description="Bits of a weight that is stored quantized: 4 for AWQ and GPTQ, 8 for FP8."
    )
