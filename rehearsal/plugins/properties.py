"""Pulumi's properties as plain values and back, without losing what is secret or not known yet."""

from __future__ import annotations

from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
EXTENSION = "x-kubernetes-"  # a CRD's schema has such keys; the SDKs, whose names allow no dash, write underscores


def load(value: Struct | Value) -> Any:
    """Plain values: whole numbers as integers, no nulls, secrets still wrapped."""
    if isinstance(value, Struct):
        fields = {_key(k, "_", "-"): load(v) for k, v in value.fields.items()}
        return {k: v for k, v in fields.items() if v is not None}
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [load(v) for v in value.list_value.values]
    if kind == "number_value" and value.number_value.is_integer():
        return int(value.number_value)
    if kind == "struct_value":
        return load(value.struct_value)
    return None if kind in (None, "null_value") else getattr(value, kind)


def dump(values: dict[str, Any]) -> Struct:
    """The inverse of `load`."""
    bag = Struct()
    bag.update(_underscored(values))
    return bag


def secret(value: Any) -> Any:
    """`value` as the engine encrypts it in the state and hides it on the screen."""
    return value if is_secret(value) else {SIGNATURE: SECRET, "value": value}


def is_secret(value: Any) -> bool:
    """Whether `value` is one that `secret` wrapped."""
    return isinstance(value, dict) and value.get(SIGNATURE) == SECRET


def bare(value: Any) -> Any:
    """`value` with every secret in it unwrapped."""
    if isinstance(value, dict):
        return bare(value["value"]) if is_secret(value) else {k: bare(v) for k, v in value.items()}
    return [bare(v) for v in value] if isinstance(value, list) else value


def like(value: Any, pattern: Any) -> Any:
    """`value` with those parts secret that are so in `pattern`."""
    if is_secret(pattern):
        return secret(value)
    if isinstance(value, dict) and isinstance(pattern, dict):
        return {k: like(v, pattern.get(k)) for k, v in value.items()}
    if isinstance(value, list) and isinstance(pattern, list):
        return [like(v, pattern[i] if i < len(pattern) else None) for i, v in enumerate(value)]
    return value


def has_unknown(value: Any) -> bool:
    """Whether some part of `value` is known only once its resource exists."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(has_unknown, parts)) or bool(value == UNKNOWN)


def _underscored(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(k, "-", "_"): _underscored(v) for k, v in value.items()}
    return [_underscored(v) for v in value] if isinstance(value, list) else value


def _key(key: str, old: str, new: str) -> str:
    return key.replace(old, new) if key.replace("_", "-").startswith(EXTENSION) else key
