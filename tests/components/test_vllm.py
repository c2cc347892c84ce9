"""The vLLM profile."""

from __future__ import annotations

import pytest

from components.engines import reserved, vllm
from tests.components.samples import SMALLEST, changed, chat


def test_the_command_line_is_complete_and_in_a_fixed_order() -> None:
    assert " ".join([*vllm.COMMAND, *vllm.arguments("chat", chat(), "/weights/model")]) == (
        "vllm serve /weights/model --host 0.0.0.0 --port 8000 --served-model-name chat --max-model-len 8192 "
        "--max-num-seqs 32 --gpu-memory-utilization 0.9 --tensor-parallel-size 1 --shutdown-timeout 300"
    )


def test_arguments_of_the_user_come_last() -> None:
    model = chat(changed(SMALLEST, "models.chat.engineArgs", ["--enable-prefix-caching", "--seed=7"]))
    assert vllm.arguments("chat", model, "/weights/model")[-2:] == ["--enable-prefix-caching", "--seed=7"]


def test_every_flag_of_ours_is_reserved() -> None:
    ours = {argument for argument in vllm.arguments("chat", chat(), "/weights/model") if argument.startswith("--")}
    assert ours <= set(vllm.RESERVED)


def test_every_setting_that_a_reserved_flag_refers_to_is_there() -> None:
    keys = set(chat().model_dump(by_alias=True))
    assert {reason.removesuffix(" sets it") for reason in vllm.RESERVED.values() if reason.endswith(" sets it")} <= keys


@pytest.mark.parametrize(
    ("argument", "flag"),
    [
        ("--max-model-len", "--max-model-len"),
        ("--max_model_len=4096", "--max-model-len"),
        ("--max-model", "--max-model-len"),
        ("-tp", "-tp"),
        ("--seed", None),
        ("--max-num-batched-tokens=8192", None),
        ("--model-loader-extra-config={}", None),
        ("-1", None),
        ("8192", None),
    ],
)
def test_a_reserved_flag_is_recognised_in_every_spelling(argument: str, flag: str | None) -> None:
    assert reserved(vllm.ENGINE, argument) == flag


def test_every_folder_that_vllm_writes_to_is_below_home() -> None:
    folders = {value for value in vllm.environment("chat", chat(), "/weights/model", "/home/x").values() if value.startswith("/")}
    assert folders
    assert all(folder.startswith("/home/x") for folder in folders)
