"""The command line: vLLM's flags and no others."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from rehearsal.simulator import flags

CONTRACT = shlex.split(
    "serve /weights/model --host 0.0.0.0 --port 8000 --served-model-name chat --max-model-len 2048 --max-num-seqs 8"
    " --gpu-memory-utilization 0.9 --tensor-parallel-size 1 --shutdown-timeout 60"
)


def test_the_command_line_of_a_deployment_is_understood() -> None:
    arguments = flags.parse(CONTRACT)

    assert (arguments.model, arguments.host, arguments.port) == ("/weights/model", "0.0.0.0", 8000)  # noqa: S104 (only parsed)
    assert arguments.served_model_names == ("chat",)
    assert (arguments.max_model_len, arguments.max_num_seqs, arguments.shutdown_timeout) == (2048, 8, 60)
    assert (arguments.gpu_memory_utilization, arguments.gpus) == (0.9, 1)


def test_defaults_are_those_of_vllm() -> None:
    arguments = flags.parse(["serve", "/weights/model"])

    assert arguments.served_model_names == ("/weights/model",)
    assert (arguments.port, arguments.shutdown_timeout, arguments.max_model_len) == (8000, 0, None)
    assert (arguments.gpu_memory_utilization, arguments.block_size) == (0.92, 16)
    assert arguments.max_num_queued_reqs is None


@pytest.mark.parametrize(
    "given",
    [
        "--dtype bfloat16 --enforce-eager --trust-remote-code --seed 1",
        "--quantization fp8 --kv-cache-dtype fp8 --load-format runai_streamer",
        "--no-enable-prefix-caching --enable-chunked-prefill --max-num-batched-tokens 8k",
        "-tp 2 -pp 2 -dp 1 --enable-expert-parallel --distributed-executor-backend mp",
        "--enable-auto-tool-choice --tool-call-parser hermes --reasoning-parser qwen3",
        "--disable-log-stats --disable-uvicorn-access-log --enable-log-requests --root-path /chat",
        "--max_model_len=4K --max_num_seqs=16",
        "--max-num-queued-reqs 64 --max-num-queued-tokens 1.5k --scheduling-policy priority",
    ],
)
def test_documented_flags_are_taken(given: str) -> None:
    flags.parse(["serve", "/weights/model", *given.split()])


def test_flags_with_json_are_read_as_json() -> None:
    speculative = '{"method": "ngram", "num_speculative_tokens": 3}'

    arguments = flags.parse(["serve", "/weights/model", "--speculative-config", speculative])

    assert arguments.non_default["speculative_config"] == {"method": "ngram", "num_speculative_tokens": 3}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--max-num-seq 8", "unrecognized arguments: --max-num-seq 8"),
        ("--gpu-memory-utilisation=0.9", "unrecognized arguments: --gpu-memory-utilisation=0.9"),
        ("--max-num-seqs many", "argument --max-num-seqs"),
        ("--max-num-seqs 0", "--max-num-seqs: must be 1 or more"),
        ("--port http", "argument --port"),
        ("--gpu-memory-utilization 90", "must be in (0, 1]"),
        ("--dtype int3", "invalid choice: 'int3'"),
        ("--max-model-len 2.5K", "invalid integer value"),
        ("--shutdown-timeout -1", "--shutdown-timeout"),
        ("--speculative-config {", "cannot be converted to JSON"),
        ("second-model", "unrecognized arguments: second-model"),
    ],
)
def test_a_mistake_ends_with_exit_code_2_and_names_the_flag(
    given: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        flags.parse(["serve", "/weights/model", *given.split()])

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["bench"], ["serve"], ["--model", "x"]])
def test_another_command_or_none_ends_with_exit_code_2(command: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        flags.parse(command)

    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("text", "value"), [("2048", 2048), ("2k", 2000), ("2K", 2048), ("1.5k", 1500), ("1M", 2**20), ("25.6k", 25600)]
)
def test_sizes_take_the_suffixes_of_vllm(text: str, value: int) -> None:
    assert flags.human_readable_int(text) == value


def test_the_api_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "secret")

    assert flags.parse(["serve", "/weights/model"]).api_keys == ("secret",)
    assert flags.parse(["serve", "/weights/model", "--api-key", "a", "b"]).api_keys == ("a", "b")
    assert flags.parse(["serve", "/weights/model", "--api-key", "", "b"]).api_keys == ("b",)


def test_a_configuration_file_gives_what_the_command_line_does_not(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        '{"api-key": ["a", "b"], "max_model_len": "4K", "port": 80, "enforce-eager": true}'
    )

    arguments = flags.parse(["serve", "/weights/model", "--port=81", "--config", str(tmp_path / "c.yaml")])

    assert (arguments.model, arguments.api_keys) == ("/weights/model", ("a", "b"))
    assert (arguments.max_model_len, arguments.port) == (4096, 81)
    assert arguments.non_default["enforce_eager"] is True


def test_a_configuration_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be of a yaml/yml type"):
        flags.parse(["serve", "/weights/model", "--config", str(tmp_path / "keys")])


def test_a_switch_has_an_opposite_by_each_of_its_names() -> None:
    for given, on in (("--enable-lora", True), ("--no-enable-lora", False), ("--disable-lora", False)):
        assert flags.parse(["serve", "/weights/model", given]).non_default["enable_lora"] is on


def test_keys_are_not_shown_among_the_arguments_that_are_logged(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text('{"api-key": ["first-key", "second-key"]}')
    arguments = flags.parse(["serve", "/weights/model", "--config", str(path), "--hf-token", "hf_token"])
    assert arguments.api_keys == ("first-key", "second-key")
    assert {name: arguments.non_default[name] for name in ("api_key", "hf_token")} == {
        "api_key": "***",
        "hf_token": "***",
    }
