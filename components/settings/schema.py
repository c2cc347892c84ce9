"""JSON Schema of the stack files, generated from the models, and its nodes by key path.

`python -m components.settings` writes the schema that the stack files name for editors.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from components.settings.stack import Settings

SCHEMA_FILE: Final = Path(__file__).with_name("stack.schema.json")
PROJECT: Final = "inference"
TOKEN_KEY: Final = "hfToken"  # noqa: S105 - the key's name, not a token

Json = dict[str, Any]


class _Strict(GenerateJsonSchema):
    """Maps with patterned keys refuse other keys, as the models do."""

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        node = super().dict_schema(schema)
        return node | {"additionalProperties": False} if "patternProperties" in node else node


def settings_schema() -> Json:
    """Schema of the settings as one object: what is below `inference:` in a stack file, secrets apart."""
    schema: Json = Settings.model_json_schema(schema_generator=_Strict)
    return schema


def stack_file_schema() -> Json:
    """Schema of a `Pulumi.STACK.yaml`: our keys exactly, other packages' (such as `aws:region`) as they like."""
    settings = settings_schema()
    ours = {f"{PROJECT}:{key}": node for key, node in settings["properties"].items()}
    ours[f"{PROJECT}:{TOKEN_KEY}"] = {
        "type": "object",
        "description": f"Token of the hub; set it with: pulumi config set --secret {PROJECT}:{TOKEN_KEY}",
        "properties": {"secure": {"type": "string"}},
        "required": ["secure"],
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack configuration of the inference project",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": ours,
                "patternProperties": {f"^{PROJECT}:(?!({'|'.join([*settings['properties'], TOKEN_KEY])})$)": False},
                "required": [f"{PROJECT}:{key}" for key in settings["required"]],
            }
        },
        "required": ["config"],
        "$defs": settings["$defs"],
    }


def node_at(schema: Json, path: Sequence[int | str]) -> Json:
    """The schema node of a key path in the settings; an empty one where the path leads nowhere."""
    node = resolve(schema, schema)
    for step in path:
        if isinstance(step, int):
            node = node.get("items", {})
        elif step in node.get("properties", {}):
            node = node["properties"][step]
        else:
            node = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties") or {})
        node = resolve(schema, node)
    return node


def resolve(schema: Json, node: Json) -> Json:
    """The node with its reference followed and the null of an optional one left out; its own keywords win."""
    choices = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"]
    if choices:
        return resolve(schema, choices[0]) | {key: value for key, value in node.items() if key != "anyOf"}
    if "$ref" in node:
        target = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        return resolve(schema, target) | {key: value for key, value in node.items() if key != "$ref"}
    return node


def allowed(node: Json) -> str:
    """What a node's value may be, in words: "an integer from 1 to 16"."""
    if "patternErrorMessage" in node:
        return str(node["patternErrorMessage"])
    if "enum" in node or "const" in node:
        return ", ".join(node.get("enum", [node.get("const")]))
    kind = node["type"][0] if isinstance(node.get("type"), list) else node.get("type")
    if kind in {"integer", "number"}:
        return f"{'an integer' if kind == 'integer' else 'a number'} from {node['minimum']} to {node['maximum']}"
    if kind == "object" and "properties" in node:
        return "a map with " + ", ".join(node["properties"])
    if kind == "array":
        return f"a list of items, each {allowed(node['items'])}"
    return {"boolean": "true or false", "object": "a map of names to values", "string": "text"}[str(kind)]


def render() -> str:
    """The text of the checked-in schema."""
    return json.dumps(stack_file_schema(), indent=2) + "\n"
