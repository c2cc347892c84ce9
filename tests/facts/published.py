"""Configurations of models that people serve, as their config.json has them, with the counts that are published.

The counts are those of the models' own pages and papers, most of them to the last one. DeepSeek-V3 has 671 billion
without the layers for multi-token prediction, which engines do not load.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final


def _of(kind: str, sizes: str, **more: Any) -> dict[str, Any]:
    """A config.json; `sizes` is layers, hidden, heads, KV heads, intermediate, vocabulary, positions."""
    names = [
        *("num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads"),
        *("intermediate_size", "vocab_size", "max_position_embeddings"),
    ]
    numbers = dict(zip(names, map(int, sizes.split()), strict=True))
    return {"model_type": kind, "torch_dtype": "bfloat16", **numbers, **more}


_LLAMA_70B: Final = _of("llama", "80 8192 64 8 28672 128256 131072", tie_word_embeddings=False)
_AWQ: Final = {"quant_method": "awq", "bits": 4, "group_size": 128}
_QWEN: Final = {"tie_word_embeddings": False, "use_sliding_window": False}
_DEEPSEEK: Final = {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128}
_FP8: Final = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}

PUBLISHED: Final = MappingProxyType(
    {
        "meta-llama/Llama-3.1-8B-Instruct": (_of("llama", "32 4096 32 8 14336 128256 131072"), 8_030_261_248),
        "meta-llama/Llama-3.1-70B-Instruct": (_LLAMA_70B, 70_553_706_496),
        "meta-llama/Llama-3.3-70B-Instruct": (_LLAMA_70B, 70_553_706_496),
        "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4": (
            {**_LLAMA_70B, "torch_dtype": "float16", "quantization_config": _AWQ},
            70_553_706_496,
        ),
        "meta-llama/Llama-3.2-1B-Instruct": (
            _of("llama", "16 2048 32 8 8192 128256 131072", head_dim=64, tie_word_embeddings=True),
            1_235_814_400,
        ),
        "meta-llama/Llama-3.2-3B-Instruct": (
            _of("llama", "28 3072 24 8 8192 128256 131072", head_dim=128, tie_word_embeddings=True),
            3_212_749_824,
        ),
        "mistralai/Mistral-7B-Instruct-v0.3": (
            _of("mistral", "32 4096 32 8 14336 32768 32768", sliding_window=None),
            7_248_023_552,
        ),
        "mistralai/Mixtral-8x7B-Instruct-v0.1": (
            _of("mixtral", "32 4096 32 8 14336 32000 32768", num_local_experts=8, num_experts_per_tok=2),
            46_702_792_704,
        ),
        "Qwen/Qwen2.5-7B-Instruct": (
            _of("qwen2", "28 3584 28 4 18944 152064 32768", sliding_window=131072, **_QWEN),
            7_615_616_512,
        ),
        "Qwen/Qwen2.5-14B-Instruct": (
            _of("qwen2", "48 5120 40 8 13824 152064 32768", sliding_window=131072, **_QWEN),
            14_770_033_664,
        ),
        "Qwen/Qwen2.5-32B-Instruct": (
            _of("qwen2", "64 5120 40 8 27648 152064 32768", sliding_window=131072, **_QWEN),
            32_763_876_352,
        ),
        "Qwen/Qwen2.5-72B-Instruct": (
            _of("qwen2", "80 8192 64 8 29568 152064 32768", sliding_window=131072, **_QWEN),
            72_706_203_648,
        ),
        "Qwen/Qwen3-8B": (_of("qwen3", "36 4096 32 8 12288 151936 40960", head_dim=128, **_QWEN), 8_190_735_360),
        "Qwen/Qwen3-32B": (_of("qwen3", "64 5120 64 8 25600 151936 40960", head_dim=128, **_QWEN), 32_762_123_264),
        "Qwen/Qwen3-30B-A3B": (
            {
                **_of("qwen3_moe", "48 2048 32 4 6144 151936 40960", head_dim=128, **_QWEN),
                "num_experts": 128,
                "num_experts_per_tok": 8,
                "moe_intermediate_size": 768,
            },
            30_532_122_624,
        ),
        "deepseek-ai/DeepSeek-V2-Lite-Chat": (
            {
                **_of("deepseek_v2", "27 2048 16 16 10944 102400 163840", q_lora_rank=None, **_DEEPSEEK),
                "n_routed_experts": 64,
                "n_shared_experts": 2,
                "num_experts_per_tok": 6,
                "moe_intermediate_size": 1408,
                "first_k_dense_replace": 1,
            },
            15_706_484_224,
        ),
        "deepseek-ai/DeepSeek-V3": (
            {
                **_of("deepseek_v3", "61 7168 128 128 18432 129280 163840", q_lora_rank=1536, **_DEEPSEEK),
                "n_routed_experts": 256,
                "n_shared_experts": 1,
                "num_experts_per_tok": 8,
                "moe_intermediate_size": 2048,
                "first_k_dense_replace": 3,
                "quantization_config": _FP8,
            },
            671_026_419_200,
        ),
        "google/gemma-2-9b-it": (
            _of("gemma2", "42 3584 16 8 14336 256000 8192", head_dim=256, sliding_window=4096),
            9_241_705_984,
        ),
        "microsoft/phi-4": (_of("phi3", "40 5120 40 10 17920 100352 16384", sliding_window=None), 14_659_507_200),
        "microsoft/Phi-3-mini-4k-instruct": (
            _of("phi3", "32 3072 32 32 8192 32064 4096", sliding_window=2047),
            3_821_079_552,
        ),
    }
)
