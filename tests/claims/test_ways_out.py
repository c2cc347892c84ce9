"""What is advised where a model does not fit: only what the settings take, and what then holds."""

from __future__ import annotations

from typing import Any

import pytest

from claims.claim import Claim, Verdict
from claims.fits import claims
from components.settings import Settings, SettingsError
from tests.claims.stacks import L40S, LLAMA_8B, LLAMA_70B, fits, stack

L4 = {"product": "NVIDIA-L4", "memoryGiB": 24}
PHI_4 = "microsoft/phi-4"
LLAMA_1B = "meta-llama/Llama-3.2-1B-Instruct"
SHARE, PODS = "inference:models.chat.gpuMemoryUtilization", "inference:devicePlugin.timeSlicing"


def turns(pods: int, *given: Any, **model: Any) -> Settings:
    """A stack whose GPUs are shared by so many pods."""
    alone = stack(*given, **model)
    plugin = alone.device_plugin.model_copy(update={"time_slicing": pods})
    return alone.model_copy(update={"device_plugin": plugin})


def sliced(pods: int, *given: Any, **model: Any) -> Claim:
    (found,) = claims(turns(pods, *given, **model))
    return found


def test_more_gpus_are_named_only_where_the_settings_take_them() -> None:
    """40 heads go into 4 and 8, and 10 KV heads do not."""
    asked = {"contextLength": 16_384, "sharedMemory": "10Gi"}
    for count in (4, 8):
        with pytest.raises(SettingsError, match="10 KV heads and"):
            fits(PHI_4, {**L4, "count": 10}, gpus=count, **asked)
    claim = fits(PHI_4, {**L4, "count": 10}, gpus=2, concurrency=8, **asked)
    assert "gpus 5" in str(claim.change)
    assert fits(PHI_4, {**L4, "count": 10}, gpus=5, concurrency=8, **asked).verdict is Verdict.PROVED
    claim = fits(PHI_4, {**L4, "count": 10}, gpus=5, concurrency=24, **asked)
    assert "gpus 10" in str(claim.change)
    # Eight would hold it, and are not to be had.
    assert "gpus" not in str(fits(PHI_4, {**L4, "count": 8}, gpus=5, concurrency=24, **asked).change)


def test_gpus_that_pods_share_do_not_work_together() -> None:
    assert "gpus" in str(fits(LLAMA_8B, {**L40S, "count": 8}).change)
    claim = sliced(2, LLAMA_8B, {**L40S, "count": 8}, gpuMemoryUtilization=0.5)
    assert claim.verdict is Verdict.REFUSED
    assert "gpus" not in str(claim.change)


@pytest.mark.parametrize(
    ("pods", "name", "model", "change"),
    [
        (2, LLAMA_8B, {"concurrency": 1}, f"{SHARE} 0.5 (or {PODS} 1)"),
        # 15.0 GiB of weights do not go into a third of the card, nor into a quarter.
        (3, LLAMA_8B, {"concurrency": 1}, f"{PODS} 2 with {SHARE} 0.5"),
        (4, LLAMA_8B, {"concurrency": 1, "gpuMemoryUtilization": 0.5}, f"{PODS} 2"),
        # The sixteenth part is no share that can be set, and the tenth is the least.
        (16, LLAMA_1B, {"concurrency": 1, "contextLength": 2048}, f"{PODS} 10 with {SHARE} 0.1"),
        # One pod alone would not hold its requests either.
        (
            3,
            LLAMA_8B,
            {"concurrency": 64},
            f"{PODS} 1, and inference:models.chat.concurrency 22 (or contextLength 2816)",
        ),
        # What nobody knows is not held against a share, but its weights are.
        (3, "nobody/knows", {}, f"{SHARE} 0.33 (or {PODS} 1)"),
        (3, "nobody/knows", {"facts": {"parameters": 8_000_000_000}}, f"{PODS} 2 with {SHARE} 0.5"),
    ],
)
def test_pods_that_share_a_gpu_are_told_what_then_holds(
    pods: int, name: str, model: dict[str, Any], change: str
) -> None:
    claim = sliced(pods, name, **model)
    assert claim.verdict is Verdict.REFUSED
    assert claim.change == change


@pytest.mark.parametrize(
    ("name", "model"),
    [(LLAMA_8B, {"concurrency": 1}), (LLAMA_1B, {"concurrency": 1, "contextLength": 2048})],
)
@pytest.mark.parametrize("pods", [2, 3, 4, 5, 8, 10, 16, 48])
def test_what_is_advised_to_pods_that_share_a_gpu_is_proved(pods: int, name: str, model: dict[str, Any]) -> None:
    advice = str(sliced(pods, name, **model).change).partition(" (or ")[0]
    told = dict(part.split(" ") for part in advice.split(" with "))
    share = {"gpuMemoryUtilization": float(told[SHARE])} if SHARE in told else {}
    assert sliced(int(told.get(PODS, pods)), name, **model, **share).verdict is Verdict.PROVED


def test_an_engine_that_is_told_no_share_has_the_whole_gpu() -> None:
    claim = sliced(2, f"ollama://llama3.1:8b@sha256:{'cd' * 32}", engine="ollama")
    assert claim.change == f"{PODS} 1"


def test_a_model_that_no_part_of_a_gpu_holds_is_told_of_larger_ones() -> None:
    change = str(sliced(2, LLAMA_70B, concurrency=1).change)
    assert change.startswith(f"{PODS} 1, and inference:models.chat.pool with GPUs of at least ")
