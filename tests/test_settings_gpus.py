"""What a model asks of GPUs that are too old for it, or parts of one."""

from __future__ import annotations

from typing import Any

import pytest

from components.facts import gpus
from components.settings import SettingsError
from tests.components.samples import SMALLEST, changed, settings

V100, T4, A10G = "Tesla-V100-SXM2-32GB", "Tesla-T4", "NVIDIA-A10G"


def on(product: str, **model: Any) -> dict[str, Any]:
    config = changed(SMALLEST, "gpuPools.l4.gpu.product", product)
    return changed(config, "models.chat", {**config["models"]["chat"], **model})


def refusal(config: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as error:
        settings(config)
    return str(error.value)


@pytest.mark.parametrize("product", [T4, V100])
def test_bfloat16_is_refused_before_ampere(product: str) -> None:
    assert refusal(on(product, dtype="bfloat16", cuda="12.9")) == (
        f"inference:models.chat.dtype: bfloat16 is not what {product} of pool l4 computes in, as "
        f"{gpus.old_generation(product)} has none; allowed: auto, float16, float32; bfloat16 from Ampere on; "
        "set it with: pulumi config set --path 'inference:models.chat.dtype' float16"
    )


@pytest.mark.parametrize("dtype", ["auto", "float16", "float32", None])
def test_other_types_are_taken_there(dtype: str | None) -> None:
    given = {} if dtype is None else {"dtype": dtype}
    assert settings(on(T4, **given)).models["chat"].dtype == dtype


def test_bfloat16_is_taken_from_ampere_on() -> None:
    assert settings(on(A10G, dtype="bfloat16")).models["chat"].dtype == "bfloat16"


def test_cuda_13_is_refused_on_what_it_does_not_know() -> None:
    assert refusal(on(V100)) == (
        f"inference:models.chat.pool: l4 has {V100}, and the image of the model has CUDA 13.0: 12 is the last for "
        "them; allowed: a pool with newer GPUs, or an image with CUDA 12; choose another pool, or an image with CUDA "
        "12, and set cuda where its tag does not tell"
    )
    assert "has CUDA 13.1" in refusal(on(V100, cuda="13.1"))


def test_cuda_12_is_taken_there_and_13_on_newer_ones() -> None:
    assert settings(on(V100, cuda="12.9")).models["chat"].cuda == "12.9"
    assert settings(on(V100, image="vllm/vllm-openai:v0.33.0-cu129")).models["chat"].cuda is None
    assert settings(on(T4, cuda="13.0")).models["chat"].cuda == "13.0"
    unknown = f"registry.example.com/vllm@sha256:{'ab' * 32}"
    assert settings(on(V100, image=unknown)).models["chat"].image == unknown


@pytest.mark.parametrize("name", ["NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"])
def test_no_variable_takes_other_gpus_than_those_that_were_given(name: str) -> None:
    assert refusal(on(A10G, env={name: "all"})) == (
        f"inference:models.chat.env: holds {name}, with which a replica takes GPUs that are another's; allowed: "
        "variables that name no GPU; take it out: the device plugin gives each replica as many as gpus says"
    )


def test_slices_of_gpus_do_not_work_together() -> None:
    config = changed(on("NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", gpus=2), "gpuPools.l4.gpu.count", 7)
    assert refusal(config) == (
        "inference:models.chat.gpus: 2 slices of GPUs, as NVIDIA-H100-80GB-HBM3-MIG-1g.10gb of pool l4 are, do not "
        "work together; allowed: 1, or a pool of whole GPUs; set it with: pulumi config set --path "
        "'inference:models.chat.gpus' 1"
    )
    assert settings(changed(config, "models.chat.gpus", 1)).models["chat"].gpus == 1
