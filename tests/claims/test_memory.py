"""Bytes of weights, KV cache and reserve, each by its formula."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.arguments import number_of, value_of
from claims.kv_cache import PAGE, Cache, cache
from claims.memory import missing, weights
from claims.parts import GIB
from claims.reserve import batch_of, reserve
from components.facts.gpus import usable_gib
from components.settings import Model
from components.sizing import shape_of
from tests.claims.stacks import LLAMA_8B, LLAMA_70B, stack

EIGHT = {"product": "NVIDIA-H100-80GB-HBM3", "memoryGiB": 80, "count": 8}


def one(name: str = LLAMA_8B, **model: Any) -> Model:
    return stack(name, EIGHT, **model).models["chat"]


@pytest.mark.parametrize(
    ("name", "each"),
    [
        (LLAMA_8B, 131_072),  # FACTS: of BF16
        (LLAMA_70B, 327_680),
        ("Qwen/Qwen2.5-7B-Instruct", 57_344),
        ("Qwen/Qwen2.5-72B-Instruct", 327_680),
        # Multi-head latent attention: (512 + 64) x 2 B in each of 61 layers, 70 KB as its paper says.
        ("deepseek-ai/DeepSeek-V3", 70_272),
        ("google/gemma-2-9b-it", 344_064),
    ],
)
def test_a_token_takes_what_its_layers_and_heads_come_to(name: str, each: int) -> None:
    found = cache(one(name, engine="sglang"), 8192)
    assert found.per_token == each
    assert f"= {each:,} B" in found.how


def test_a_cache_of_eight_bits_takes_half() -> None:
    for arguments in (["--kv-cache-dtype", "fp8"], ["--kv-cache-dtype=fp8_e4m3"], ["--kv_cache_dtype=fp8_e5m2"]):
        assert cache(one(engineArgs=arguments), 8192).per_token == 65_536
    assert cache(one(engineArgs=["--kv-cache-dtype", "auto"]), 8192).per_token == 131_072


@pytest.mark.parametrize(
    ("model", "each"),
    [
        ({"dtype": "float32"}, 262_144),
        ({"dtype": "bfloat16"}, 131_072),
        ({"dtype": "float32", "engineArgs": ["--kv-cache-dtype=auto"]}, 262_144),
        ({"dtype": "float32", "engineArgs": ["--kv-cache-dtype=bfloat16"]}, 131_072),
        ({"dtype": "float32", "engineArgs": ["--kv-cache-dtype=fp8"]}, 65_536),
        # As the weights are stored, unless the engine takes 16 bits for 32 by itself.
        ({"facts": {"dtypeBytes": 4}}, 262_144),
        ({"facts": {"dtypeBytes": 4}, "dtype": "auto"}, 131_072),
        # What is stored in 8 bits is computed in 16.
        ({"facts": {"dtypeBytes": 1}}, 131_072),
    ],
)
def test_a_cache_has_the_data_type_of_the_model(model: dict[str, Any], each: int) -> None:
    assert cache(one(**model), 8192).per_token == each


def test_layers_that_all_have_a_window_keep_it_with_a_connector() -> None:
    """There is but one kind of them, so that vLLM has no other to bring them to."""
    all_kept = ["--disable-hybrid-kv-cache-manager"]
    found = cache(one("microsoft/Phi-3-mini-4k-instruct", contextLength=4096, engineArgs=all_kept), 1024)
    assert (found.per_token, found.sliding_per_token) == (0, 32 * 2 * 32 * 96 * 2)
    assert cache(one("google/gemma-2-9b-it", engineArgs=all_kept), 1024).sliding_per_token == 0


def test_gpus_share_kv_heads_out_and_latent_attention_is_on_every_one() -> None:
    assert cache(one(gpus=4), 8192).per_token == 131_072 // 4
    assert cache(one("deepseek-ai/DeepSeek-V3", gpus=8), 8192).per_token == 70_272


def test_layers_with_a_window_keep_the_window_and_the_step_that_comes() -> None:
    found = cache(one("google/gemma-2-9b-it", contextLength=8192), 1024)
    layer = 2 * 8 * 256 * 2
    assert (found.per_token, found.sliding_per_token) == (21 * layer, 21 * layer)
    assert found.window == 4096 - 1 + 1024
    assert found.of(1024) == 1024 * 42 * layer
    # 5,119 tokens in pages of 16, and one more for where the window begins.
    assert found.of(8192) == 8192 * 21 * layer + (5120 + PAGE) * 21 * layer
    assert found.how.endswith("(21 of the layers keep 5,119 tokens at most)")


def test_a_request_takes_whole_pages() -> None:
    assert cache(one(), 8192).of(17) == 32 * 131_072


BYTES = st.integers(0, 10**6)


@given(full=BYTES, sliding=BYTES, window=st.integers(1, 9999), room=st.integers(0, 2**40))
def test_the_longest_request_fits_and_one_page_more_does_not(full: int, sliding: int, window: int, room: int) -> None:
    found, most = Cache(per_token=full, sliding_per_token=sliding, window=window, how=""), 131_072
    longest = found.longest(room, most)
    assert longest % PAGE == 0
    assert found.of(longest) <= room or longest == 0
    assert longest == most or found.of(longest + PAGE) > room


@pytest.mark.parametrize(
    ("name", "model", "served", "how"),
    [
        (LLAMA_8B, {}, 16_059_990_016, "8,029,995,008 parameters x 2 B"),
        (LLAMA_8B, {"dtype": "float32"}, 32_119_980_032, "8,029,995,008 parameters x 4 B"),
        (LLAMA_8B, {"dtype": "auto"}, 16_059_990_016, "8,029,995,008 parameters x 2 B"),
        # Every projection in 8 bits, embeddings and last layer in 16.
        (
            LLAMA_8B,
            {"quantization": "fp8"},
            6_979_321_856 + 2 * 1_050_673_152,
            "6,979,321,856 parameters x 1 B + 1,050,673,152 of embeddings x 2 B",
        ),
        (
            "deepseek-ai/DeepSeek-V3",
            {},
            669_172_039_680 + 2 * 1_853_358_080,
            "669,172,039,680 parameters x 1 B + 1,853,358,080 of embeddings x 2 B",
        ),
    ],
)
def test_weights_take_their_parameters_at_their_size(name: str, model: dict[str, Any], served: int, how: str) -> None:
    found = weights(one(name, **model))
    assert found is not None
    assert (found.served, found.how) == (served, how)


def test_four_bits_come_with_their_scales() -> None:
    """The files of this model are 39.8 GB."""
    found = weights(one("hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4"))
    assert found is not None
    assert found.served == pytest.approx(39.8e9, rel=0.01)
    assert found.read == found.served


def test_weights_that_are_quantized_at_the_start_are_read_whole() -> None:
    found = weights(one(quantization="fp8"))
    assert found is not None
    assert found.read == 16_059_990_016


def test_what_is_not_known_of_a_model_is_named() -> None:
    assert missing(one()) == []
    assert missing(one("nobody/knows", facts={"kvLoraRank": 512, "parameters": 1_000_000})) == [
        *("layers", "qkRopeHeadDim", "hidden", "intermediate", "vocabulary"),
    ]


def test_sampling_is_the_peak_of_many_requests_and_a_batch_that_of_few() -> None:
    model = one(concurrency=1024)
    assert reserve(model, shape_of(model)).activations == 42 * 1024 * 128_256
    model = one(concurrency=32)
    assert reserve(model, shape_of(model)).activations == 2 * 8192 * (3 * 14_336 + 4 * 4096)
    model = one(concurrency=32, gpus=2)
    assert reserve(model, shape_of(model)).activations == 2 * 8192 * (3 * 14_336 // 2 + 4 * 4096)


def test_activations_and_adapters_have_the_data_type_of_the_model() -> None:
    model = one(concurrency=8, dtype="float32", adapters={"sql": "adapters/sql"})
    half = one(concurrency=8, adapters={"sql": "adapters/sql"})
    found, of_half = reserve(model, shape_of(model)), reserve(half, shape_of(half))
    assert found.activations == 4 * 8192 * (3 * 14_336 + 4 * 4096) == 2 * of_half.activations
    assert found.adapters == 2 * of_half.adapters > 0


def test_experts_that_work_on_a_token_count_each() -> None:
    model = one("mistralai/Mixtral-8x7B-Instruct-v0.1", gpus=2)
    assert reserve(model, shape_of(model)).activations == 2 * 8192 * (3 * 2 * 14_336 // 2 + 5 * 4096)


def test_arguments_of_the_engine_change_what_is_reserved() -> None:
    eager = reserve(one(engineArgs=["--enforce-eager"]), shape_of(one()))
    assert (eager.graphs, reserve(one(), shape_of(one())).graphs) == (0, GIB)
    assert batch_of(one(engineArgs=["--max-num-batched-tokens=2048"])) == 2048
    assert batch_of(one(engineArgs=["--max-num-batched-tokens", "16"], concurrency=64)) == 64
    assert batch_of(one(engine="tgi", image="ghcr.io/huggingface/text-generation-inference:3.3.7")) == 8192
    assert batch_of(one(engine="sglang", engineArgs=["--chunked-prefill-size=4096"])) == 4096


def test_gpus_that_work_together_reserve_more() -> None:
    assert reserve(one(), shape_of(one())).runtime == GIB // 2
    assert reserve(one(gpus=2), shape_of(one())).runtime == GIB


def test_adapters_take_room_at_their_rank() -> None:
    """Some 80 MiB an adapter of rank 16 for a model of 8 billion parameters."""
    two = one(adapters={"sql": "adapters/sql", "code": "adapters/code"})
    found = reserve(two, shape_of(two))
    assert found.adapters == 2 * 2 * 16 * 32 * (2 * 8192 + 2 * (4096 + 1024) + 3 * (4096 + 14_336))
    assert found.whole == found.activations + found.graphs + found.runtime + found.adapters
    ranked = one(adapters={"sql": "adapters/sql"}, engineArgs=["--max-lora-rank", "64"])
    assert reserve(ranked, shape_of(ranked)).adapters == 2 * found.adapters


def test_an_argument_is_found_however_it_is_written() -> None:
    model = one(engineArgs=["--x-b=1", "--y_d", "2", "--z", "--w"])
    assert [value_of(model, flag) for flag in ("--x-b", "--y-d", "--z", "--w", "--v")] == ["1", "2", "", "", None]
    assert [number_of(model, flag) for flag in ("--x-b", "--y-d", "--z", "--v")] == [1, 2, None, None]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("2048", 2048),
        ("64k", 64_000),
        ("64K", 65_536),
        ("25.6k", 25_600),
        ("2m", 2_000_000),
        ("2M", 2 * 2**20),
        ("1.5K", None),
        ("64kB", None),
        ("-1", None),
        ("auto", None),
    ],
)
def test_numbers_may_be_short_as_vllm_reads_them(value: str, number: int | None) -> None:
    assert number_of(one(engineArgs=[f"--x={value}"]), "--x") == number
    assert number_of(one(engine="sglang", engineArgs=["--x=64k"]), "--x") is None


def test_one_key_of_what_a_flag_holds_is_that_flag() -> None:
    assert value_of(one(engineArgs=["--kv_transfer_config.kv_role=kv_both"]), "--kv-transfer-config") == "kv_both"


def test_programs_see_less_of_a_gpu_than_is_written_on_its_box() -> None:
    assert usable_gib("NVIDIA-L4", 24) == 21.9
    assert usable_gib("NVIDIA-L4", 20) == 20
    assert usable_gib("NVIDIA-UNKNOWN", 24) == 24


@pytest.mark.parametrize(
    ("product", "nominal", "usable"),
    [
        ("NVIDIA-L4-SHARED", 24, 21.9),
        ("NVIDIA-H100-80GB-HBM3-SHARED", 80, 79.1),
        ("NVIDIA-H200-NVL", 141, 139.7),
        ("NVIDIA-A100-PCIE-40GB", 40, 39.3),
        ("NVIDIA-A100-80GB-PCIe", 80, 79.1),
        ("NVIDIA-A100-80GB-PCIe-SHARED", 80, 79.1),
        ("NVIDIA-H100-PCIe", 80, 79.1),
        ("NVIDIA-H100-NVL", 94, 93.0),
        # A part of a GPU has what is said of it, and never more than the whole.
        ("NVIDIA-H100-80GB-HBM3-MIG-3g.40gb", 40, 40),
        ("NVIDIA-H100-80GB-HBM3-MIG-7g.80gb-SHARED", 80, 79.1),
        # Another GPU, whose name begins alike.
        ("NVIDIA-L40", 48, 48),
    ],
)
def test_labels_go_on_after_the_name_of_the_gpu(product: str, nominal: float, usable: float) -> None:
    assert usable_gib(product, nominal) == usable
