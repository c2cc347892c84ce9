"""Whether what a stack promises fits in the memory of its GPUs, and what is said where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.claim import Verdict
from claims.fits import claims
from claims.plan import plan
from components.facts import models
from components.settings import ExistingPool
from tests.claims.stacks import H100, L40S, LLAMA_8B, LLAMA_70B, fits, stack
from tests.components.samples import COMMIT, SMALLEST, changed, settings

GIB = 2**30
AWQ = "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4"
T4 = {"product": "Tesla-T4", "memoryGiB": 16}
UNKNOWN = "nobody/knows-it"
SHAPE = {"parameters": 8_000_000_000, "layers": 32, "heads": 32, "kvHeads": 8, "headDim": 128}
SHAPE |= {"hidden": 4096, "intermediate": 14336, "vocabulary": 128_256}


def room(*args: Any, **model: Any) -> float:
    """GiB for the KV cache on one GPU."""
    of = stack(*args, **model)
    found = plan(of.models["chat"], of.gpu_pools["gpus"])
    assert found is not None
    return found.room / GIB


def test_the_arithmetic_of_a_refusal_is_whole() -> None:
    claim = fits(concurrency=32)
    assert claim.verdict is Verdict.REFUSED
    assert claim.key == "fits:models.chat"
    assert claim.sentence == "32 requests of 8,192 tokens fit in the memory of its GPU"
    assert claim.arithmetic == (
        "memory of NVIDIA-L40S: 44.0 GiB x 0.9 = 39.6 GiB",
        "weights: 8,029,995,008 parameters x 2 B = 15.0 GiB",
        "KV cache of a token: 32 layers x 2 x 8 KV heads x 128 x 2 B = 131,072 B",
        "KV cache: 32 requests of 8,192 tokens x 1.0 GiB = 32.0 GiB",
        "reserve: 0.9 GiB activations of 8,192 tokens + 1.0 GiB CUDA graphs + 0.5 GiB CUDA = 2.4 GiB",
        "15.0 GiB + 32.0 GiB + 2.4 GiB = 49.4 GiB > 39.6 GiB",
        "largest: 22 requests of 8,192 tokens, or 32 requests of 5,632 tokens",
    )
    assert claim.change == "inference:models.chat.concurrency 22 (or contextLength 5632)"


def test_what_is_proved_says_how_much_more_there_is_room_for() -> None:
    claim = fits(concurrency=1)
    assert claim.verdict is Verdict.PROVED
    assert claim.sentence == "1 request of 8,192 tokens fits in the memory of its GPU"
    assert claim.arithmetic[-2:] == (
        "15.0 GiB + 1.0 GiB + 2.4 GiB = 18.4 GiB <= 39.6 GiB",
        "largest: 22 requests of 8,192 tokens, or 1 request of 131,072 tokens",
    )
    assert claim.change is None


@given(concurrency=st.integers(1, 400), context=st.integers(64, 32_768), gpus=st.sampled_from([1, 2, 4, 8]))
def test_the_changes_that_are_named_are_the_largest_that_hold(concurrency: int, context: int, gpus: int) -> None:
    asked = {"gpus": gpus, "contextLength": context, "concurrency": concurrency}
    nodes = {**H100, "count": 8}
    of = stack(LLAMA_8B, nodes, **asked)
    found = plan(of.models["chat"], of.gpu_pools["gpus"])
    assert found is not None
    claim = fits(LLAMA_8B, nodes, **asked)
    assert (claim.verdict is Verdict.PROVED) == (concurrency <= found.most_requests)
    if claim.verdict is Verdict.PROVED:
        return
    if found.most_requests:
        assert f"concurrency {found.most_requests}" in str(claim.change)
        assert fits(LLAMA_8B, nodes, **asked | {"concurrency": found.most_requests}).verdict is Verdict.PROVED
    if found.most_tokens:
        assert f"contextLength {found.most_tokens}" in str(claim.change)
        assert fits(LLAMA_8B, nodes, **asked | {"contextLength": found.most_tokens}).verdict is Verdict.PROVED
    more = asked | {"contextLength": found.most_tokens + 256}
    assert fits(LLAMA_8B, nodes, **more).verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    ("name", "gpu", "gpus", "measured"),
    [
        # github.com/vllm-project/vllm, pull request 10511 and issue 15815: 256 requests at a time, as was the default.
        (LLAMA_8B, H100, 1, 53.29),
        ("Qwen/Qwen2.5-32B-Instruct", {**L40S, "count": 2}, 2, 7.71),
    ],
)
def test_the_room_is_what_vllm_has_measured_or_a_little_less(
    name: str, gpu: dict[str, Any], gpus: int, measured: float
) -> None:
    assert measured - 2.5 < room(name, gpu, gpus=gpus, concurrency=256, contextLength=2048) < measured + 0.2


def test_an_int4_model_of_70b_does_not_fit_a_card_of_24_gb() -> None:
    claim = fits(AWQ, {"product": "NVIDIA-L4", "memoryGiB": 24}, concurrency=1)
    assert claim.verdict is Verdict.REFUSED
    assert claim.arithmetic[0] == "memory of NVIDIA-L4 (24 GiB nominal): 21.9 GiB x 0.9 = 19.7 GiB"
    assert "parameters x 0.52 B + 2,101,346,304 of embeddings x 2 B = 37." in claim.arithmetic[1]
    assert claim.arithmetic[-1] == "largest: none, the weights leave no room"
    assert str(claim.change).startswith("inference:models.chat.pool with GPUs of at least ")


def test_more_gpus_of_the_node_are_named_where_they_would_do() -> None:
    claim = fits(LLAMA_70B, {**H100, "count": 8}, concurrency=8)
    assert claim.change == "inference:models.chat.gpus 4"
    assert fits(LLAMA_70B, {**H100, "count": 8}, concurrency=8, gpus=4).verdict is Verdict.PROVED
    # Two would hold the weights, and not the requests.
    assert fits(LLAMA_70B, {**H100, "count": 8}, concurrency=8, gpus=2).verdict is Verdict.REFUSED


def test_a_pool_of_the_stack_is_named_where_it_would_do() -> None:
    pools = {"small": {"nodes": 9, "gpu": T4}, "large": {"nodes": 9, "gpu": H100}}
    config = changed(changed(SMALLEST, "gpuPools", pools), "models.chat.pool", "small")
    (claim,) = claims(settings(changed(config, "models.chat.concurrency", 8)))
    assert claim.change == "inference:models.chat.pool large"
    # Not one whose nodes have fewer GPUs than a replica.
    pools["small"]["gpu"] = {**T4, "count": 2}
    large = {"source": f"hf://{LLAMA_70B}@{COMMIT}", "pool": "small", "contextLength": 2048, "gpus": 2}
    config = changed(config, "models.chat", large | {"sharedMemory": "8Gi", "weights": {"size": "200Gi"}})
    pools["large"]["gpu"] = {"product": "NVIDIA-B200", "memoryGiB": 178}
    (claim,) = claims(settings(changed(config, "gpuPools", pools)))
    assert "pool large" not in str(claim.change)


def test_kv_heads_are_shared_out_and_copied_where_there_are_fewer_than_gpus() -> None:
    eight = {**H100, "count": 8}
    assert "2 x 2 KV heads x 128" in fits(LLAMA_70B, eight, gpus=4).arithmetic[2]
    assert "2 x 1 KV head x 128" in fits("Qwen/Qwen3-30B-A3B", eight, gpus=8).arithmetic[2]
    assert "/ 4 GPUs = 32.9 GiB" in fits(LLAMA_70B, eight, gpus=4).arithmetic[1]
    assert "fit in the memory of its GPUs, 4 a replica" in fits(LLAMA_70B, eight, gpus=4).sentence


def test_a_replica_on_several_nodes_shares_its_layers_out() -> None:
    claim = fits(LLAMA_70B, {**H100, "count": 8}, gpus=4, nodesPerReplica=2)
    assert "/ 8 GPUs = 16.4 GiB" in claim.arithmetic[1]
    assert claim.arithmetic[2].startswith("KV cache of a token: 40 layers x 2 x 2 KV heads")


def test_a_context_beyond_the_models_positions_is_refused_unless_they_are_stretched() -> None:
    claim = fits("Qwen/Qwen2.5-7B-Instruct", H100, contextLength=65_536, concurrency=1)
    assert claim.verdict is Verdict.REFUSED
    assert claim.arithmetic == ("context: 65,536 tokens > 32,768 positions that the model was made for",)
    assert claim.change == "inference:models.chat.contextLength 32768"
    stretched = ["--rope-scaling", '{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":32768}']
    claim = fits("Qwen/Qwen2.5-7B-Instruct", H100, contextLength=65_536, concurrency=1, engineArgs=stretched)
    assert claim.verdict is Verdict.PROVED


def test_pods_that_share_a_gpu_may_not_take_more_than_all_of_its_memory() -> None:
    config = changed(changed(SMALLEST, "devicePlugin.timeSlicing", 4), "models.chat.concurrency", 1)
    (claim,) = claims(settings(config))
    assert claim.verdict is Verdict.REFUSED
    assert claim.arithmetic[-1] == "time slicing: 4 pods on a GPU x 0.9 of its memory > 1"
    assert claim.change == "inference:devicePlugin.timeSlicing 1"
    (claim,) = claims(settings(changed(config, "models.chat.gpuMemoryUtilization", 0.25)))
    assert "x 0.25 = 5.5 GiB" in claim.arithmetic[0]


def test_a_model_that_nobody_knows_is_unproven_and_says_what_would_prove_it() -> None:
    claim = fits(UNKNOWN)
    assert claim.verdict is Verdict.UNPROVEN
    keys = "parameters, layers, kvHeads, headDim, hidden, intermediate, vocabulary"
    facts = f"inference:models.chat.facts with {keys}"
    assert claim.proof == f"make model-facts STACK=<this stack> MODEL=chat; or {facts}"
    # Only the settings can say it of weights in a bucket.
    assert fits("s3://weights/llm", weights={"size": "200Gi", "credentials": "s3"}).proof == facts


def test_facts_in_the_settings_prove_it() -> None:
    assert fits(UNKNOWN, facts=SHAPE, concurrency=16).verdict is Verdict.PROVED
    assert fits(UNKNOWN, facts=SHAPE, concurrency=64).verdict is Verdict.REFUSED
    # They go before the program's own.
    assert "x 4 KV heads" in fits(facts={"kvHeads": 4}).arithmetic[2]


def test_weights_that_are_too_large_are_refused_before_the_shape_is_known() -> None:
    claim = fits(UNKNOWN, facts={"parameters": 70_000_000_000})
    assert claim.verdict is Verdict.REFUSED
    assert claim.arithmetic[-1] == "130.4 GiB > 39.6 GiB, before any request"
    assert fits(UNKNOWN, facts={"parameters": 8_000_000_000}).verdict is Verdict.UNPROVEN


def test_the_files_of_a_source_go_before_its_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = f"hf://{UNKNOWN}@{'1' * 40}"
    listed = {source: {"model.safetensors": 20 * GIB, "onnx/model.safetensors": GIB, "consolidated.pth": 99 * GIB}}
    (tmp_path / "models.json").write_text(models.render(listed, {source: SHAPE}))
    monkeypatch.setattr(models, "DATA", tmp_path / "models.json")
    monkeypatch.setattr(models, "_data", models._data.__wrapped__)
    monkeypatch.setattr(models, "_configs", models._configs.__wrapped__)
    assert fits(source, concurrency=1).arithmetic[1] == "weights: 21,474,836,480 B of files = 20.0 GiB"
    # Elements of 4 B that are served in 2, unless they hold several weights each.
    wide = {"dtypeBytes": 4}
    assert fits(source, dtype="float16", facts=wide).arithmetic[1].endswith(" = 10.0 GiB")
    assert fits(source, dtype="float16", facts=wide | {"quantizationBits": 4}).arithmetic[1].endswith(" = 20.0 GiB")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--speculative-config", '{"model": "x"}'],
        ["--cpu-offload-gb=8"],
        ["--kv_cache_memory_bytes", "1000000000"],
        ["--hf-overrides", "{}"],
    ],
)
def test_memory_that_is_used_otherwise_is_unproven(arguments: list[str]) -> None:
    claim = fits(engineArgs=arguments, concurrency=1)
    assert claim.verdict is Verdict.UNPROVEN
    assert "Maximum concurrency for" in str(claim.proof)


@pytest.mark.parametrize("argument", ["--max-num-batched-tokens=64kB", "--max-num-batched-tokens=1.5K"])
def test_an_argument_that_is_no_number_leaves_it_unproven(argument: str) -> None:
    claim = fits(engineArgs=[argument], concurrency=1)
    assert claim.verdict is Verdict.UNPROVEN
    told = argument.replace("=", " ")
    assert claim.proof == f"a whole number in place of {told} in inference:models.chat.engineArgs"
    # Only vLLM reads what is short for a number, and SGLang takes -1 for a prompt of any length at once.
    assert fits(engine="sglang", engineArgs=["--chunked-prefill-size=4k"], concurrency=1).verdict is Verdict.UNPROVEN
    assert fits(engine="sglang", engineArgs=["--chunked-prefill-size=-1"], concurrency=1).verdict is Verdict.UNPROVEN


def test_a_long_step_counts_however_its_number_is_written() -> None:
    claim = fits(engineArgs=["--max-num-batched-tokens=64k"], concurrency=20)
    assert "7.1 GiB activations of 64,000 tokens" in claim.arithmetic[4]
    assert claim.verdict is Verdict.REFUSED
    assert fits(concurrency=20).verdict is Verdict.PROVED


GEMMA_3 = {"parameters": 12_187_325_040, "layers": 48, "slidingLayers": 40, "slidingWindow": 1024}
GEMMA_3 |= {"heads": 16, "kvHeads": 8, "headDim": 256, "hidden": 3840, "intermediate": 15_360, "vocabulary": 262_208}


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        ([], Verdict.PROVED),
        (["--disable-hybrid-kv-cache-manager"], Verdict.REFUSED),
        (["--kv-transfer-config", '{"kv_connector":"LMCacheConnectorV1","kv_role":"kv_both"}'], Verdict.REFUSED),
        (["--kv-transfer-config.kv_connector=LMCacheConnectorV1"], Verdict.REFUSED),
        (["--kv-transfer-config={}", "--no-disable-hybrid-kv-cache-manager"], Verdict.PROVED),
    ],
)
def test_windows_are_of_use_only_where_the_engine_keeps_to_them(arguments: list[str], verdict: Verdict) -> None:
    asked = {"contextLength": 65_536, "concurrency": 2, "engineArgs": arguments}
    claim = fits(UNKNOWN, facts=GEMMA_3, **asked)
    assert claim.verdict is verdict
    assert ("of the layers keep" in claim.arithmetic[2]) == (verdict is Verdict.PROVED)


def test_a_model_of_32_bits_has_a_cache_of_32() -> None:
    claim = fits("meta-llama/Llama-3.2-3B-Instruct", dtype="float32", concurrency=16, contextLength=16_384)
    assert claim.verdict is Verdict.REFUSED
    assert claim.arithmetic[2] == "KV cache of a token: 28 layers x 2 x 8 KV heads x 128 x 4 B = 229,376 B"


def test_weights_that_the_engine_quantizes_have_to_fit_before_it_does() -> None:
    claim = fits(LLAMA_8B, T4, quantization="fp8", concurrency=1, contextLength=1024)
    assert claim.verdict is Verdict.REFUSED
    assert "before they are quantized: 15.0 GiB + 0.5 GiB CUDA = 15.5 GiB > 13.0 GiB" in claim.arithmetic
    # The least GPU for it, of which 0.9 are used.
    assert claim.change == "inference:models.chat.pool with GPUs of at least 17.2 GiB"
    larger = {"product": "NVIDIA-L4", "memoryGiB": 24}
    quantized = fits(LLAMA_8B, larger, quantization="fp8", concurrency=4)
    assert quantized.verdict is Verdict.PROVED
    assert " = 8.5 GiB" in quantized.arithmetic[1]
    assert fits(LLAMA_8B, larger, concurrency=4).verdict is Verdict.REFUSED


def test_every_pool_and_model_is_looked_at_by_itself() -> None:
    config = changed(SMALLEST, "gpuPools.h100", {"nodes": 4000, "gpu": H100})
    config = changed(config, "models.large", {**config["models"]["chat"], "pool": "h100"})
    found = {claim.subject: claim.verdict for claim in claims(settings(config))}
    assert found == {"models.chat": Verdict.REFUSED, "models.large": Verdict.PROVED}
    assert isinstance(settings(config).gpu_pools["h100"], ExistingPool)


@pytest.mark.parametrize(
    ("shared", "more"),
    [("11Gi", "gpus 4"), (None, "gpus 4, with resources.limits.memory above 16Gi")],
)
def test_more_gpus_come_with_the_memory_through_which_they_work_together(shared: str | None, more: str) -> None:
    four = {"product": "NVIDIA-L40S", "memoryGiB": 44, "count": 4}
    claim = fits(LLAMA_8B, four, contextLength=131072, concurrency=4, sharedMemory=shared)
    assert claim.change == f"inference:models.chat.concurrency 1 (or contextLength 45312, or {more})"


def test_more_slices_of_gpus_are_no_way_out() -> None:
    slices = {"product": "NVIDIA-H100-80GB-HBM3-MIG-3g.40gb", "memoryGiB": 40, "count": 4}
    claim = fits(LLAMA_8B, slices, contextLength=131072, concurrency=4)
    assert claim.verdict is Verdict.REFUSED
    assert "gpus" not in str(claim.change)
