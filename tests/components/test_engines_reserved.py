"""What a user's arguments and variables may not say, because the settings or the program say it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.engines import reserved
from components.settings import SettingsError
from tests.components.samples import chat
from tests.components.test_engines import KINDS, big, command_line, model, variables

FLAGS = [(kind, flag) for kind, engine in KINDS.items() for flag in engine.reserved]
# What an engine is told with everything told that it can be.
EVERYTHING: dict[str, dict[str, Any]] = {
    "vllm": {"dtype": "float16", "quantization": "awq", "adapters": {"sql": "sql"}},
    "sglang": {"dtype": "float16", "quantization": "awq", "adapters": {"sql": "sql"}},
    "tgi": {"quantization": "awq", "adapters": {"sql": "sql"}},
    "nim": {"dtype": "float16", "quantization": "awq"},
}


@given(
    kind_and_flag=st.sampled_from(FLAGS),
    underscores=st.booleans(),
    value=st.none() | st.text(max_size=8),
)
def test_a_reserved_flag_is_recognised_in_every_spelling(
    kind_and_flag: tuple[str, str], *, underscores: bool, value: str | None
) -> None:
    kind, flag = kind_and_flag
    dashes, name = flag[: len(flag) - len(flag.lstrip("-"))], flag.lstrip("-")
    spelled = dashes + (name.replace("-", "_") if underscores else name.replace("_", "-"))
    argument = spelled if value is None else f"{spelled}={value}"
    assert reserved(KINDS[kind], argument) is not None


@given(kind_and_flag=st.sampled_from(FLAGS), data=st.data())
def test_an_abbreviation_of_a_reserved_flag_is_one(kind_and_flag: tuple[str, str], data: st.DataObject) -> None:
    kind, flag = kind_and_flag
    shortest = 3 if flag.startswith("--") else 2
    length = data.draw(st.integers(shortest, len(flag)))
    assert reserved(KINDS[kind], flag[:length]) is not None


@pytest.mark.parametrize(
    ("kind", "argument", "flag"),
    [
        ("vllm", "--max_model_len=4096", "--max-model-len"),
        ("vllm", "--max-model", "--max-model-len"),
        ("vllm", "-tp", "-tp"),
        ("vllm", "-t", "-tp"),
        ("vllm", "-n2", "-n"),
        ("vllm", "-qawq", "-q"),
        ("sglang", "--tp", "--tp-size"),
        ("sglang", "--model", "--model"),
        ("tgi", "-p8080", "-p"),
        ("tensorrt-llm", "--tp-size=2", "--tp_size"),
        ("triton", "--http-port=9000", "--http-port"),
        ("vllm", "--seed", None),
        ("vllm", "--max-num-batched-tokens=8192", None),
        ("vllm", "--model-loader-extra-config={}", None),
        ("vllm", "--config-format=hf", None),
        ("vllm", "-1", None),
        ("vllm", "-", None),
        ("vllm", "--", None),
        ("vllm", "8192", None),
        ("vllm", "-O3", None),
        ("sglang", "--tool-call-parser=llama3", None),
        ("tgi", "--max-stop-sequences=8", None),
        ("tensorrt-llm", "--enable_chunked_prefill", None),
        ("triton", "--log-verbose=1", None),
    ],
)
def test_what_is_reserved_is_told_from_what_is_not(kind: str, argument: str, flag: str | None) -> None:
    assert reserved(KINDS[kind], argument) == flag


@pytest.mark.parametrize("kind", KINDS)
def test_every_flag_of_ours_is_reserved(kind: str) -> None:
    ours = {word for word in command_line(kind, **EVERYTHING.get(kind, {})).split() if word.startswith("--")}
    passed_on = {word for word in variables(kind).get("NIM_PASSTHROUGH_ARGS", "").split() if word.startswith("--")}
    # Where the usage statistics go is no setting.
    assert (ours | passed_on) - {"--usage-stats"} <= set(KINDS[kind].reserved)


@pytest.mark.parametrize("kind", ["ollama", "nim"])
def test_every_variable_by_which_an_engine_is_told_its_settings_is_reserved(kind: str) -> None:
    ours = {name for name in variables(kind) if name.startswith(("NIM_", "OLLAMA_"))}
    assert ours <= set(KINDS[kind].reserved_environment)


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_that_a_reason_refers_to_is_there(kind: str) -> None:
    keys = set(chat().model_dump(by_alias=True))
    reasons = {*KINDS[kind].reserved.values(), *KINDS[kind].reserved_environment.values()}
    assert {reason.removesuffix(" sets it") for reason in reasons if reason.endswith(" sets it")} <= keys


@pytest.mark.parametrize("kind", [kind for kind, engine in KINDS.items() if engine.reserved])
def test_the_settings_refuse_a_reserved_flag_with_the_reason(kind: str) -> None:
    *_, (flag, reason) = KINDS[kind].reserved.items()
    with pytest.raises(SettingsError) as error:
        model(kind, engineArgs=["--ours", f"{flag}=1"])
    (mistake,) = error.value.mistakes
    assert str(mistake).startswith(
        f"inference:models.chat.engineArgs: holds {flag}, which is reserved; allowed: arguments that"
    )
    assert str(mistake).endswith(f"take it out: {reason}")


@pytest.mark.parametrize("kind", [kind for kind, engine in KINDS.items() if engine.reserved_environment])
def test_the_settings_refuse_a_reserved_variable_with_the_reason(kind: str) -> None:
    name, reason = next(iter(KINDS[kind].reserved_environment.items()))
    with pytest.raises(SettingsError) as error:
        model(kind, env={name: "1"})
    (mistake,) = error.value.mistakes
    assert str(mistake).startswith(f"inference:models.chat.env: holds {name}, which is reserved; allowed: variables")
    assert str(mistake).endswith(f"take it out: {reason}")


def test_other_arguments_and_variables_are_taken() -> None:
    settings = model("tgi", engineArgs=["--max-stop-sequences", "8"], env={"LOG_LEVEL": "debug"})
    assert settings.engine_args == ("--max-stop-sequences", "8")
    assert chat(big(env={"MAX_INPUT_TOKENS": "1"})).env == {"MAX_INPUT_TOKENS": "1"}
