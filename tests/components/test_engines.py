"""The engines' profiles against FACTS' table, and the command lines that they give."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from components import pod
from components.engines import ENGINES, Drain, Engine, engine_of, engines_that, image_of
from components.engines.queries import in_flight
from components.settings import Model
from components.settings.engine import Dtype, Quantization
from tests.components.samples import COMMIT, SMALLEST, SUM, changed, chat

HOME = "/home/x"
WEIGHTS = "/weights/model"
OLLAMA = f"ollama://llama3.1:8b@sha256:{SUM}"
NGC = f"ngc://nim/meta/llama-3.1-8b-instruct@profile:{SUM}"
EXTRA: dict[str, dict[str, Any]] = {
    "tgi": {"image": "ghcr.io/huggingface/text-generation-inference:3.3.7"},
    "ollama": {"source": OLLAMA},
    "nim": {"image": f"nvcr.io/nim/nvidia/model-free-nim@sha256:{SUM}", "ngcKeySecret": "ngc"},
    "triton": {
        "engine": "tensorrt-llm",
        "triton": True,
        "image": "nvcr.io/nvidia/tritonserver:25.12-trtllm-python-py3",
    },
}
"""What an engine needs to be given; Triton, a setting of one, counts as an engine here."""
KINDS = {
    **ENGINES,
    "triton": engine_of(chat(changed(SMALLEST, "models.chat", {**SMALLEST["models"]["chat"], **EXTRA["triton"]}))),
}


def model(kind: str, **given: Any) -> Model:
    """The smallest model with an engine."""
    settings = {**SMALLEST["models"]["chat"], "engine": kind, **EXTRA.get(kind, {}), **given}
    return chat(changed(SMALLEST, "models.chat", settings))


def command_line(kind: str, **given: Any) -> str:
    settings = model(kind, **given)
    engine = engine_of(settings)
    return " ".join([*engine.command, *engine.arguments("chat", settings, WEIGHTS)])


def variables(kind: str, **given: Any) -> dict[str, str]:
    settings = model(kind, **given)
    return engine_of(settings).environment("chat", settings, WEIGHTS, HOME)


def big(**given: Any) -> dict[str, Any]:
    """A model on four GPUs of a pool that has them."""
    config = changed(SMALLEST, "gpuPools.l4.gpu", {"product": "NVIDIA-L4", "memoryGiB": 24, "count": 8})
    settings = {**config["models"]["chat"], "gpus": 4, "resources": {"limits": {"memory": "64Gi"}}, **given}
    return changed(config, "models.chat", settings)


@pytest.mark.parametrize(
    ("kind", "port", "health", "waiting", "running", "label", "metrics"),
    [
        ("vllm", 8000, "/health", "vllm:num_requests_waiting", "vllm:num_requests_running", "model_name", "/metrics"),
        ("sglang", 30000, "/health", "sglang:num_queue_reqs", "sglang:num_running_reqs", "model_name", "/metrics"),
        ("tgi", 80, "/health", "tgi_queue_size", "tgi_batch_current_size", None, "/metrics"),
        ("ollama", 11434, "/api/tags", None, None, None, None),
        (
            "nim",
            8000,
            "/v1/health/ready",
            "vllm:num_requests_waiting",
            "vllm:num_requests_running",
            "model_name",
            "/v1/metrics",
        ),
        ("tensorrt-llm", 8000, "/health", None, None, None, None),
        (
            "triton",
            8000,
            "/v2/health/ready",
            'nv_trt_llm_request_metrics{request_type="waiting"}',
            'nv_trt_llm_request_metrics{request_type="scheduled"}',
            None,
            "/metrics",
        ),
    ],
)
def test_a_profile_says_of_its_engine_what_is_known_of_it(
    kind: str,
    port: int,
    health: str,
    waiting: str | None,
    running: str | None,
    label: str | None,
    metrics: str | None,
) -> None:
    engine = KINDS[kind]
    assert (engine.port, engine.health_path) == (port, health)
    counted = engine.metrics
    found = (counted.waiting, counted.running, counted.label, counted.path) if counted else (None,) * 4
    assert found == (waiting, running, label, metrics)


def test_the_table_has_a_row_for_every_engine() -> None:
    assert set(ENGINES) == {"vllm", "sglang", "tgi", "ollama", "nim", "tensorrt-llm"}
    assert engines_that(lambda engine: engine.with_triton is not None) == ["tensorrt-llm"]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (
            "vllm",
            (
                "vllm serve /weights/model --host 0.0.0.0 --port 8000 --served-model-name chat --max-model-len 8192 "
                "--max-num-seqs 32 --gpu-memory-utilization 0.9 --tensor-parallel-size 1 --shutdown-timeout 300"
            ),
        ),
        (
            "sglang",
            (
                "python3 -m sglang.launch_server --model-path /weights/model --host 0.0.0.0 --port 30000 "
                "--served-model-name chat --context-length 8192 --max-running-requests 32 --mem-fraction-static 0.9 "
                "--tp-size 1 --enable-metrics"
            ),
        ),
        (
            "tgi",
            (
                "--model-id /weights/model --hostname 0.0.0.0 --port 80 --num-shard 1 --max-input-tokens 8191 "
                "--max-total-tokens 8192 --max-batch-prefill-tokens 8241 --max-batch-size 32 "
                "--max-concurrent-requests 128 --cuda-memory-fraction 0.9 --usage-stats off"
            ),
        ),
        ("ollama", "ollama serve"),
        ("nim", ""),
        (
            "tensorrt-llm",
            (
                "trtllm-serve /weights/model --host 0.0.0.0 --port 8000 --tp_size 1 --max_batch_size 32 "
                "--max_seq_len 8192 --max_num_tokens 8192 --kv_cache_free_gpu_memory_fraction 0.9"
            ),
        ),
        (
            "triton",
            (
                "tritonserver --model-repository /weights/model --http-port 8000 --grpc-port 8001 --metrics-port 8002 "
                "--exit-timeout-secs 300"
            ),
        ),
    ],
)
def test_the_command_line_is_complete_and_in_a_fixed_order(kind: str, line: str) -> None:
    assert command_line(kind) == line


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        (
            "vllm",
            (
                "--dtype bfloat16 --quantization awq --enable-lora --max-loras 2 --lora-modules "
                "law=/weights/model/a/law sql=/weights/model/a/sql "
                "--tensor-parallel-size 1 --shutdown-timeout 300 --seed 7"
            ),
        ),
        (
            "sglang",
            (
                "--enable-metrics --dtype bfloat16 --quantization awq --enable-lora --max-loras-per-batch 3 "
                "--lora-paths law=/weights/model/a/law sql=/weights/model/a/sql --seed 7"
            ),
        ),
    ],
)
def test_what_a_model_computes_in_and_its_adapters_come_before_the_arguments_of_the_user(kind: str, end: str) -> None:
    line = command_line(
        kind,
        dtype="bfloat16",
        quantization="awq",
        adapters={"sql": "a/sql", "law": "a/law"},
        engineArgs=["--seed", "7"],
    )
    assert line.endswith(f" {end}")


def test_tgi_is_told_its_adapters_in_one_argument_and_one_of_dtype_and_quantization() -> None:
    line = command_line("tgi", quantization="gptq", adapters={"sql": "a/sql", "law": "a/law"})
    assert line.endswith("--quantize gptq --lora-adapters law=/weights/model/a/law,sql=/weights/model/a/sql")
    assert command_line("tgi", dtype="float16").endswith("--dtype float16")


def test_a_gguf_is_loaded_by_its_file() -> None:
    line = command_line("sglang", quantization="gguf", weightsFile="q4/model.gguf")
    assert "--model-path /weights/model/q4/model.gguf " in line
    assert line.endswith("--quantization gguf")


@pytest.mark.parametrize(
    ("kind", "flag"),
    [
        ("vllm", "--tensor-parallel-size 4"),
        ("sglang", "--tp-size 4"),
        ("tgi", "--num-shard 4"),
        ("tensorrt-llm", "--tp_size 4"),
    ],
)
def test_the_gpus_of_a_replica_are_its_tensor_parallel_size(kind: str, flag: str) -> None:
    settings = chat(big(engine=kind, **EXTRA.get(kind, {})))
    assert flag in " ".join(engine_of(settings).arguments("chat", settings, WEIGHTS))


def test_ollama_is_told_everything_by_variables_and_only_reads_its_store() -> None:
    assert variables("ollama", concurrency=4) == {
        "HOME": HOME,
        "OLLAMA_CONTEXT_LENGTH": "8192",
        "OLLAMA_HOST": "0.0.0.0:11434",
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_MODELS": WEIGHTS,
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NUM_PARALLEL": "4",
    }


def test_a_nim_of_any_model_takes_a_folder_and_hands_on_to_vllm_what_it_has_no_variable_for() -> None:
    found = variables("nim", quantization="fp8", engineArgs=["--chat-template", "a b"])
    assert found["NIM_MODEL_PATH"] == found["NIM_MODEL_NAME"] == WEIGHTS
    assert found["NIM_CACHE_PATH"].startswith(HOME)
    assert "NIM_MODEL_PROFILE" not in found
    assert found["NIM_PASSTHROUGH_ARGS"] == (
        "--max-num-seqs 32 --gpu-memory-utilization 0.9 --quantization fp8 --chat-template 'a b'"
    )
    assert (found["NIM_SERVED_MODEL_NAME"], found["NIM_MAX_MODEL_LEN"], found["NIM_SERVER_PORT"]) == (
        "chat",
        "8192",
        "8000",
    )


def test_a_nim_of_one_model_finds_its_profile_in_the_cache_that_was_seeded() -> None:
    found = variables("nim", source=NGC)
    assert (found["NIM_MODEL_PROFILE"], found["NIM_CACHE_PATH"]) == (SUM, WEIGHTS)
    assert "NIM_MODEL_PATH" not in found


def test_a_nim_spans_the_gpus_of_its_replica() -> None:
    settings = chat(big(engine="nim", **EXTRA["nim"]))
    assert engine_of(settings).environment("chat", settings, WEIGHTS, HOME)["NIM_TENSOR_PARALLEL_SIZE"] == "4"


def test_a_prompt_longer_than_a_batch_of_tensorrt_llm_fits_all_the_same() -> None:
    assert "--max_num_tokens 32768 " in command_line("tensorrt-llm", contextLength=32768)


@pytest.mark.parametrize("kind", ["vllm", "triton"])
def test_an_engine_that_drains_by_an_argument_is_given_the_models_time(kind: str) -> None:
    assert KINDS[kind].drain is Drain.BY_ARGUMENT
    assert command_line(kind, drainSeconds=77).split()[-1] == "77"


def test_who_drains_how_is_known_of_each() -> None:
    assert {kind: (engine.drain, engine.drain_most) for kind, engine in KINDS.items()} == {
        "vllm": (Drain.BY_ARGUMENT, None),
        "sglang": (Drain.BY_ITSELF, None),
        "tgi": (Drain.BY_ITSELF, 90),
        "ollama": (Drain.NOT_AT_ALL, None),
        "nim": (Drain.NOT_AT_ALL, None),
        "tensorrt-llm": (Drain.BY_ITSELF, None),
        "triton": (Drain.BY_ARGUMENT, None),
    }


def test_only_an_engine_that_does_not_write_them_to_its_log_is_given_keys() -> None:
    assert {kind for kind, engine in KINDS.items() if engine.api_keys} == {"vllm"}


@pytest.mark.parametrize("engine", KINDS.values(), ids=KINDS)
def test_no_engine_has_an_image_that_may_change(engine: Engine) -> None:
    assert engine.image is None or re.fullmatch(r"[a-z0-9./-]+:[a-zA-Z0-9_][\w.-]*@sha256:[0-9a-f]{64}", engine.image)
    tag = engine.image_example.partition("@")[0].partition(":")[2]
    assert tag
    assert tag != "latest"


def test_an_image_of_the_users_wins() -> None:
    assert image_of(model("vllm")) == ENGINES["vllm"].image
    assert image_of(model("vllm", image="registry.example.com/vllm:1")) == "registry.example.com/vllm:1"


@pytest.mark.parametrize("engine", KINDS.values(), ids=KINDS)
def test_every_engine_runs_as_who_owns_the_weights(engine: Engine) -> None:
    assert engine.user == pod.USER


@pytest.mark.parametrize("kind", KINDS)
def test_every_folder_that_an_engine_is_told_is_its_home_or_the_weights(kind: str) -> None:
    folders = {value for value in variables(kind).values() if value.startswith("/")}
    assert f"{HOME}" in folders
    assert all(folder == HOME or folder.startswith((f"{HOME}/", WEIGHTS)) for folder in folders)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ollama"])
def test_no_engine_asks_the_hub(kind: str) -> None:
    assert variables(kind)["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_is_in_arguments_or_variables(kind: str) -> None:
    shown = command_line(kind) + str(variables(kind))
    assert not re.search(r"api.?key|token=|password|NGC", shown, re.IGNORECASE)


def test_the_settings_know_no_data_type_or_quantization_that_no_engine_has() -> None:
    assert set(get_args(Dtype)) == set().union(*(engine.dtypes for engine in KINDS.values()))
    assert set(get_args(Quantization)) == set().union(*(engine.quantizations for engine in KINDS.values()))


def test_what_waits_and_what_runs_is_one_number() -> None:
    vllm, triton = ENGINES["vllm"].metrics, KINDS["triton"].metrics
    assert vllm is not None
    assert triton is not None
    assert in_flight(vllm, "chat", {"namespace": "llm"}) == (
        'sum(vllm:num_requests_waiting{model_name="chat",namespace="llm"}) + '
        'sum(vllm:num_requests_running{model_name="chat",namespace="llm"}) '
        'or 0 * sum(up{container="engine",namespace="llm"} == 1)'
    )
    assert in_flight(triton, "chat", {"service": "chat"}, zero=True) == (
        'sum(nv_trt_llm_request_metrics{request_type="waiting",service="chat"}) + '
        'sum(nv_trt_llm_request_metrics{request_type="scheduled",service="chat"}) or vector(0)'
    )


def test_the_source_of_the_samples_is_one_that_folders_come_from() -> None:
    assert model("sglang").source == f"hf://meta-llama/Llama-3.1-8B-Instruct@{COMMIT}"
