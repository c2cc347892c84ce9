"""What of a model's settings is for its engine: types, and what its arguments and variables may not hold."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from components.engines import ENGINES, Engine, engine_named, reserved
from components.settings.section import refusal

_SET_INSTEAD: Final = "take it out and set it as a secret: pulumi config set --secret inference:hfToken"
_SHOWN: Final = "take it out: stack files and previews would show it"
SECRETS: Final = MappingProxyType(
    {
        "HF_TOKEN": _SET_INSTEAD,
        "HF_API_TOKEN": _SET_INSTEAD,
        "HUGGING_FACE_HUB_TOKEN": _SET_INSTEAD,
        "VLLM_API_KEY": _SHOWN,
        "API_KEY": _SHOWN,
        "NGC_API_KEY": "take it out: ngcKeySecret names a Secret that has it",
        "AWS_SECRET_ACCESS_KEY": "take it out: give the pods a role instead",
    }
)
"""Environment variables that are secrets, each with what to do instead."""
DEVICES: Final = ("NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
"""Environment variables by which a replica would take other GPUs than those that it was given."""


def _known(value: str) -> str:
    if value not in ENGINES:
        raise refusal("is not available")
    return value


EngineName = Annotated[
    str, AfterValidator(_known), Field(json_schema_extra={"enum": list(ENGINES), "examples": ["vllm"]})
]
Dtype = Literal["auto", "float16", "bfloat16", "float32"]
Quantization = Literal["gptq", "awq", "fp8", "gguf"]


def arguments_leave_ours_alone(value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """The user's arguments for the engine, none of which says what the settings do; for a validator."""
    engine = _engine(info)
    flag = next(filter(None, (reserved(engine, argument) for argument in value)), None) if engine else None
    if engine is not None and flag is not None:
        raise refusal(
            f"holds {flag}, which is reserved",
            allowed="arguments that neither a setting nor the program gives",
            fix=f"take it out: {engine.reserved[flag]}",
            hide=True,
        )
    return value


def variables_leave_ours_alone(value: Mapping[str, str], info: ValidationInfo) -> Mapping[str, str]:
    """The user's variables for the engine: no secret, and none that says what the settings do; for a validator."""
    name = next((name for name in SECRETS if name in value), None)
    if name is not None:
        raise refusal(f"holds {name} in clear", allowed="variables without secrets", fix=SECRETS[name], hide=True)
    name = next((name for name in DEVICES if name in value), None)
    if name is not None:
        raise refusal(
            f"holds {name}, with which a replica takes GPUs that are another's",
            allowed="variables that name no GPU",
            fix="take it out: the device plugin gives each replica as many as gpus says",
            hide=True,
        )
    engine = _engine(info)
    taken = engine.reserved_environment if engine else {}
    name = next((name for name in taken if name in value), None)
    if name is not None:
        raise refusal(
            f"holds {name}, which is reserved",
            allowed="variables that neither a setting nor the program gives",
            fix=f"take it out: {taken[name]}",
            hide=True,
        )
    return value


def _engine(info: ValidationInfo) -> Engine | None:
    """The profile of the engine; None where its name is a mistake itself."""
    name = info.data.get("engine")
    return engine_named(name, triton=info.data.get("triton", False)) if name else None
