"""Pulumi's properties as plain values and back. Secrets never get here as such: the engine takes their marks off.

It puts them on again at the paths of the inputs; what has no path there, the plugin marks by `secret`.
"""

import json
from typing import Any

from google.protobuf.json_format import MessageToJson, ParseDict
from google.protobuf.struct_pb2 import Struct

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
MISSING = object()


def load(bag: Struct) -> Any:
    """Plain values: whole numbers as integers, no nulls."""
    return json.loads(MessageToJson(bag), parse_float=_number, object_pairs_hook=_fields)


def _number(text: str) -> float:
    return int(float(text)) if float(text).is_integer() else float(text)


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {k: v for k, v in pairs if v is not None}


def dump(values: dict[str, Any]) -> Struct:
    """The inverse of `load`."""
    return ParseDict(values, Struct())


def secret(value: Any) -> dict[str, Any]:
    """`value` as the engine encrypts it in the state and hides it on the screen."""
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": value}


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
