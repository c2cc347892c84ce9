"""The shape of a model from its config.json, and the parameters that follow from it, held against those published."""

from __future__ import annotations

from typing import Any

import pytest

from components.facts import models
from components.facts.shapes import shape
from tests.facts.published import PUBLISHED

SMALL = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4}
SMALL |= {"intermediate_size": 128, "vocab_size": 100}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_counted_as_they_are_published(name: str) -> None:
    config, published = PUBLISHED[name]
    assert shape(config)["parameters"] == pytest.approx(published, rel=0.0002)


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_ships_is_what_the_configuration_says(name: str) -> None:
    config, _ = PUBLISHED[name]
    assert models.config(f"hf://{name}") == shape(config)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"num_attention_heads": 32, "num_key_value_heads": 8}, {"heads": 32, "kvHeads": 8}),
        ({"num_attention_heads": 32}, {"heads": 32}),
        ({"text_config": {"num_attention_heads": 16}, "num_attention_heads": 99}, {"heads": 16}),
        ({"num_attention_heads": "many"}, {}),
        ({}, {}),
    ],
)
def test_the_heads_are_those_of_the_part_that_writes(config: dict[str, Any], told: dict[str, int]) -> None:
    assert shape(config) == told


def test_heads_without_a_dimension_divide_the_hidden_size_and_are_kv_heads_too() -> None:
    found = shape(SMALL)
    assert (found["headDim"], found["kvHeads"]) == (16, 4)
    assert shape(SMALL | {"head_dim": 32})["headDim"] == 32


def test_of_an_architecture_that_is_not_known_no_parameters_are_counted() -> None:
    assert "parameters" not in shape(SMALL | {"model_type": "mamba"})
    assert shape(SMALL)["parameters"] == 2 * 100 * 64 + 2 * (2 * 64 * 16 * 8 + 3 * 64 * 128)
    assert shape(SMALL | {"tie_word_embeddings": True})["parameters"] == shape(SMALL)["parameters"] - 6400


@pytest.mark.parametrize(
    ("config", "sliding"),
    [
        ({"sliding_window": 4096}, (4096, 2)),
        ({"sliding_window": 4096, "use_sliding_window": False}, None),
        ({"sliding_window": None}, None),
        ({"sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]}, (64, 1)),
        ({"sliding_window": 64, "layer_types": ["full_attention", "full_attention"]}, None),
        ({"sliding_window": 64, "model_type": "gemma2"}, (64, 1)),
        ({"sliding_window": 64, "model_type": "gemma3_text", "num_hidden_layers": 62}, (64, 52)),
        ({"sliding_window": 64, "sliding_window_pattern": 4, "num_hidden_layers": 8}, (64, 6)),
    ],
)
def test_layers_with_a_window_are_counted(config: dict[str, Any], sliding: tuple[int, int] | None) -> None:
    found = shape(SMALL | config)
    told = (found["slidingWindow"], found["slidingLayers"]) if "slidingWindow" in found else None
    assert told == sliding


@pytest.mark.parametrize(
    ("config", "bits"),
    [
        ({"quant_method": "awq", "bits": 4}, 4),
        ({"quant_method": "gptq", "bits": 8}, 8),
        ({"quant_method": "fp8"}, 8),
        ({"quant_method": "mxfp4"}, 4),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}}}, 8),
        ({"quant_method": "of tomorrow"}, None),
        ({}, None),
    ],
)
def test_bits_are_those_of_the_quantization(config: dict[str, Any], bits: int | None) -> None:
    assert shape(SMALL | {"quantization_config": config}).get("quantizationBits") == bits


@pytest.mark.parametrize(
    ("dtype", "size"), [("bfloat16", 2), ("float16", 2), ("float32", 4), ("float8_e4m3fn", 1), ("auto", None)]
)
def test_an_element_has_the_bytes_of_its_type(dtype: str, size: int | None) -> None:
    assert shape(SMALL | {"torch_dtype": dtype}).get("dtypeBytes") == size
    assert shape(SMALL | {"dtype": dtype}).get("dtypeBytes") == size
    assert shape({"text_config": SMALL, "torch_dtype": dtype}).get("dtypeBytes") == size
