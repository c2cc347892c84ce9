"""Pulumi's properties as plain values and back. Secrets never get here as such: the engine takes their marks off.

It puts them on again by the inputs' paths; what has no path there, the plugin marks by `secret`.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
MISSING = object()
Path = tuple[str | int, ...]


def load(value: Struct | Value) -> Any:
    """Plain values: whole numbers as integers, no nulls."""
    if isinstance(value, Struct):
        fields = {_key(k, "_", "-"): load(v) for k, v in value.fields.items()}
        return {k: v for k, v in fields.items() if v is not None}
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [load(v) for v in value.list_value.values]
    if kind == "struct_value":
        return load(value.struct_value)
    if kind == "number_value" and value.number_value.is_integer():
        return int(value.number_value)
    return None if kind in (None, "null_value") else getattr(value, kind)


def dump(values: dict[str, Any]) -> Struct:
    """The inverse of `load`."""
    bag = Struct()
    bag.update(_underscored(values))
    return bag


def _underscored(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(k, "-", "_"): _underscored(v) for k, v in value.items()}
    return [_underscored(v) for v in value] if isinstance(value, list) else value


def _key(key: str, old: str, new: str) -> str:
    # A CRD's schema has keys x-kubernetes-*; the SDKs, whose names allow no dash, write underscores.
    return key.replace(old, new) if key.replace("_", "-").startswith("x-kubernetes-") else key


def secret(value: Any) -> dict[str, Any]:
    """`value` as the engine encrypts it in the state and hides it on the screen."""
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": value}


def has_unknown(value: Any) -> bool:
    """Whether some part of `value` is known only once its resource exists."""
    return UNKNOWN in repr(value)


def at(value: Any, *path: str | int, default: Any = MISSING) -> Any:
    """What lies at `path`, or the default."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return default
    return value


def annotation(obj: dict[str, Any], name: str) -> str:
    """The value of `pulumi.com/NAME`, or nothing."""
    return str(at(obj, "metadata", "annotations", f"pulumi.com/{name}", default=""))
