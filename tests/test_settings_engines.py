"""What an engine cannot do is refused by its name, in one line."""

from __future__ import annotations

from typing import Any

import pytest

from components.engines import ENGINES
from components.settings import SettingsError, parse
from components.settings.schema import settings_schema
from tests.components.samples import SMALLEST, changed, raw
from tests.components.test_engines import EXTRA, NGC, big, model

CHAT = "inference:models.chat"
TGI = {"engine": "tgi", **EXTRA["tgi"]}
OLLAMA = {"engine": "ollama", **EXTRA["ollama"]}
NIM = {"engine": "nim", **EXTRA["nim"]}
PATHS = "a path below the folder of the weights, of letters, digits, '-', '_', '+' and '.', no step of it hidden"
EXAMPLE = str(ENGINES["nim"].image_example)


def mistakes(config: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse(raw(config))
    return [str(each) for each in error.value.mistakes]


def of_chat(**given: Any) -> dict[str, Any]:
    return changed(SMALLEST, "models.chat", {**SMALLEST["models"]["chat"], **given})


def without(given: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name != key}


def set_with(key: str, value: str) -> str:
    return f"set it with: pulumi config set --path '{CHAT}.{key}' {value}"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param(
            of_chat(**without(NIM, "image")),
            "image: is missing, and the program has none for NIM; allowed: an image by its digest, or with a tag other "
            f"than latest; {set_with('image', EXAMPLE)}",
            id="an engine without a default image",
        ),
        pytest.param(
            of_chat(engine="tensorrt-llm", triton=True),
            "image: is missing, and the program has none for Triton with TensorRT-LLM; allowed: an image by its "
            "digest, or with a tag other than latest; "
            f"{set_with('image', 'nvcr.io/nvidia/tritonserver:25.12-trtllm-python-py3')}",
            id="Triton without an image",
        ),
        pytest.param(
            of_chat(engine="sglang", triton=True),
            "triton: true asks for a Triton server, which SGLang is not served by here; allowed: false, or engine "
            f"tensorrt-llm; {set_with('triton', 'false')}",
            id="Triton with an engine that it has not",
        ),
        pytest.param(
            big(**OLLAMA),
            "gpus: 4 asks for tensor parallelism, which Ollama has not; allowed: 1, or engine vllm, sglang, tgi, nim "
            f"or tensorrt-llm; {set_with('gpus', '1')}",
            id="Ollama with tensor parallelism",
        ),
        pytest.param(
            big(**EXTRA["triton"]),
            "gpus: 4 asks for tensor parallelism, which Triton with TensorRT-LLM has not; allowed: 1, or engine vllm, "
            f"sglang, tgi, nim or tensorrt-llm; {set_with('gpus', '1')}",
            id="Triton with tensor parallelism",
        ),
        pytest.param(
            of_chat(engine="ollama"),
            f'source: "{SMALLEST["models"]["chat"]["source"]}" is a folder of files, and Ollama serves from a store of '
            "its own; allowed: a source image:// or ollama://, or engine vllm, sglang, tgi, nim or tensorrt-llm; "
            "choose another source or engine in the stack file",
            id="Ollama with a folder of files",
        ),
        pytest.param(
            of_chat(quantization="gguf"),
            'quantization: "gguf" is nothing that vLLM can be told; allowed: awq, fp8, gptq with engine vllm; gguf '
            "with engine sglang or ollama; take it out",
            id="GGUF with vLLM",
        ),
        pytest.param(
            of_chat(**TGI, quantization="gguf"),
            'quantization: "gguf" is nothing that TGI can be told; allowed: awq, fp8, gptq with engine tgi; gguf with '
            "engine sglang or ollama; take it out",
            id="GGUF with TGI",
        ),
        pytest.param(
            of_chat(engine="tensorrt-llm", quantization="fp8"),
            'quantization: "fp8" is nothing that TensorRT-LLM can be told; allowed: none with engine tensorrt-llm; fp8 '
            "with engine vllm, sglang, tgi or nim; take it out",
            id="a quantization for an engine that sees it by itself",
        ),
        pytest.param(
            of_chat(**TGI, dtype="float32"),
            'dtype: "float32" is nothing that TGI can be told; allowed: bfloat16, float16; take it out',
            id="a data type that the engine has not",
        ),
        pytest.param(
            of_chat(engine="tensorrt-llm", dtype="float16"),
            'dtype: "float16" is nothing that TensorRT-LLM can be told; allowed: none, since it takes that from the '
            "weights; take it out",
            id="a data type for an engine that takes that of the weights",
        ),
        pytest.param(
            of_chat(**TGI, dtype="float16", quantization="awq"),
            "dtype: is given together with quantization, of which TGI takes one; allowed: dtype, or quantization; take "
            "one of the two out",
            id="TGI with data type and quantization",
        ),
        pytest.param(
            of_chat(engine="sglang", quantization="gguf"),
            "weightsFile: is missing, and of quantization gguf SGLang loads one file; allowed: the file's path below "
            f"the folder of the weights; {set_with('weightsFile', 'model-Q4_K_M.gguf')}",
            id="GGUF without its file",
        ),
        pytest.param(
            of_chat(weightsFile="a.gguf"),
            "weightsFile: is for engines that load one file, and vLLM loads a folder here; allowed: none, or engine "
            "sglang with quantization gguf; take it out",
            id="a file for an engine that loads a folder",
        ),
        pytest.param(
            of_chat(**OLLAMA, adapters={"sql": "sql"}),
            "adapters: are given, and Ollama takes none by name; allowed: none, or engine vllm, sglang or tgi; take it "
            "out",
            id="adapters with Ollama",
        ),
        pytest.param(
            of_chat(**NIM, adapters={"sql": "sql"}),
            "adapters: are given, and NIM takes none by name; allowed: none, or engine vllm, sglang or tgi; take it "
            "out",
            id="adapters with NIM",
        ),
        pytest.param(
            of_chat(adapters={"chat": "sql"}),
            "adapters: holds chat, which is the name of the model without any; allowed: names other than the model's; "
            "rename it in the stack file",
            id="an adapter named like its model",
        ),
        pytest.param(
            of_chat(**OLLAMA, gpuMemoryUtilization=0.8),
            "gpuMemoryUtilization: is given, and Ollama is not told what share of the memory to take; allowed: none, "
            "or engine vllm, sglang, tgi, nim or tensorrt-llm; take it out",
            id="a share of the memory with Ollama",
        ),
        pytest.param(
            of_chat(**OLLAMA, engineArgs=["--verbose"]),
            "engineArgs: are given, and Ollama takes none; allowed: none; what it can be told is in variables: env; "
            "take it out",
            id="arguments with Ollama",
        ),
        pytest.param(
            of_chat(**without(NIM, "ngcKeySecret")),
            "ngcKeySecret: is missing, and NIM does not start without a key; allowed: a Secret of the models' "
            f"namespace with the key as NGC_API_KEY; {set_with('ngcKeySecret', 'ngc')}",
            id="NIM without a key",
        ),
        pytest.param(
            of_chat(ngcKeySecret="ngc"),
            "ngcKeySecret: is given, and vLLM has no use for it; allowed: none, or engine nim; take it out",
            id="NVIDIA's key with another engine",
        ),
        pytest.param(
            of_chat(env={"NGC_API_KEY": "nvapi-in-clear"}),
            "env: holds NGC_API_KEY in clear; allowed: variables without secrets; take it out: ngcKeySecret names a "
            "Secret that has it",
            id="NVIDIA's key in clear",
        ),
    ],
)
def test_what_an_engine_cannot_do_is_refused_by_name(config: dict[str, Any], message: str) -> None:
    assert mistakes(config) == [f"{CHAT}.{message}"]


@pytest.mark.parametrize("path", ["../a", "/a", "a/../b", "a//b", ".hidden", "a/", "a b", ""])
def test_an_adapter_is_below_the_folder_of_the_weights(path: str) -> None:
    (line,) = mistakes(of_chat(adapters={"sql": path}))
    assert line.startswith(f'{CHAT}.adapters.sql: "{path}" is not valid; allowed: {PATHS}; ')


def test_an_engine_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    (line,) = mistakes(of_chat(engine="llama"))
    assert line == (
        f'{CHAT}.engine: "llama" is not available; allowed: {", ".join(ENGINES)}; {set_with("engine", "vllm")}'
    )


def test_the_schema_knows_the_engines_of_the_table() -> None:
    assert settings_schema()["$defs"]["Model"]["properties"]["engine"]["enum"] == list(ENGINES)


@pytest.mark.parametrize("kind", [*ENGINES, "triton"])
def test_every_engine_is_taken_with_what_it_needs(kind: str) -> None:
    assert model(kind).engine in ENGINES


@pytest.mark.parametrize("given", [NIM | {"source": NGC}, OLLAMA | {"quantization": "gguf"}])
def test_every_engine_serves_its_own_sources(given: dict[str, Any]) -> None:
    assert model(**{"kind": given["engine"], **without(given, "engine")}).source == given["source"]


def test_the_default_image_says_which_driver_it_needs() -> None:
    assert {name: engine.cuda for name, engine in ENGINES.items() if engine.cuda} == {
        "vllm": "13.0",
        "sglang": "13.0",
        "tensorrt-llm": "13.1",
    }
    assert all(engine.cuda is None for engine in ENGINES.values() if engine.image is None)
