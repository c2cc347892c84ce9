"""JSON Schema of the stack files, generated from the models, and its nodes by key path.

`python -m components.settings` writes the schema that the stack files name for editors.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from components.settings.stack import Settings

SCHEMA_FILE: Final = Path(__file__).with_name("stack.schema.json")
PROJECT: Final = "inference"
TOKEN_KEY: Final = "hfToken"  # noqa: S105 - the key's name, not a token
API_KEYS_KEY: Final = "apiKeys"
SECRETS: Final = {
    TOKEN_KEY: "Token of the hub; only the seeding Job gets it.",
    API_KEYS_KEY: "API keys between spaces, each of which opens every model; without it they are open.",
}
"""What is secret, and stored as such beside the structured settings: each with its meaning."""

Json = dict[str, Any]


class _Strict(GenerateJsonSchema):
    """Maps with patterned keys refuse other keys, as the models do."""

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        node = super().dict_schema(schema)
        return node | {"additionalProperties": False} if "patternProperties" in node else node


@cache
def settings_schema() -> Json:
    """Schema of the settings as one object: what is below `inference:` in a stack file, secrets apart.

    Made once: it takes a third of a second, and every mistake looks into it. Nobody changes it.
    """
    schema: Json = Settings.model_json_schema(schema_generator=_Strict)
    return schema


def stack_file_schema() -> Json:
    """Schema of a `Pulumi.STACK.yaml`: our keys exactly, other packages' (such as `aws:region`) as they like."""
    settings = settings_schema()
    ours = {full_key(key): node for key, node in settings["properties"].items()}
    for key, meaning in SECRETS.items():
        ours[full_key(key)] = {
            "type": "object",
            "description": f"{meaning} Set it with: pulumi config set --secret {full_key(key)}",
            "properties": {"secure": {"type": "string"}},
            "required": ["secure"],
            "additionalProperties": False,
        }
    names = "|".join(key.removeprefix(f"{PROJECT}:") for key in ours if key.startswith(f"{PROJECT}:"))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack configuration of the inference project",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": ours,
                "patternProperties": {f"^{PROJECT}:(?!({names})$)": False},
                "required": [full_key(key) for key in settings["required"]],
            }
        },
        "required": ["config"],
        "$defs": settings["$defs"],
    }


def full_key(key: str) -> str:
    """A key as it is in a stack file: the project's own below its name, another package's as it is."""
    return key if ":" in key else f"{PROJECT}:{key}"


def node_at(schema: Json, path: Sequence[int | str]) -> Json:
    """The schema node of a key path in the settings; an empty one where the path leads nowhere.

    pydantic names in its paths the choice that it took where there are several kinds of a section; a path may do so.
    """
    return _walk(schema, path)[1]


def without_kinds(schema: Json, path: Sequence[int | str]) -> tuple[int | str, ...]:
    """A path of pydantic's as it is in the stack file."""
    return _walk(schema, path)[0]


def kinds(schema: Json, node: Json) -> dict[str, Json]:
    """The choices of a section of which there are several kinds, by the name that pydantic's paths have for each."""
    mapping = node.get("discriminator", {}).get("mapping", {})
    tags = {reference: tag for tag, reference in mapping.items()}
    references = [choice["$ref"] for choice in node.get("oneOf", ())]
    return {
        tags.get(reference, reference.rsplit("/", 1)[1]): resolve(schema, {"$ref": reference})
        for reference in references
    }


def _walk(schema: Json, path: Sequence[int | str]) -> tuple[tuple[int | str, ...], Json]:
    node, taken = resolve(schema, schema), list[int | str]()
    for step in path:
        choices = kinds(schema, node)
        if step in choices:
            node = choices[str(step)]
            continue
        node = next((choice for choice in choices.values() if step in choice["properties"]), node)
        taken.append(step)
        node = resolve(schema, _child(node, step))
    return tuple(taken), node


def _child(node: Json, step: int | str) -> Json:
    if isinstance(step, int):
        child: Json = node.get("items", {})
    elif step in node.get("properties", {}):
        child = node["properties"][step]
    else:
        child = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties") or {})
    return child


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
        return ", ".join(map(str, node.get("enum", [node.get("const")])))
    kind = node["type"][0] if isinstance(node.get("type"), list) else node.get("type", "section")
    if kind in {"integer", "number"}:
        return f"{'an integer' if kind == 'integer' else 'a number'} from {node['minimum']} to {node['maximum']}"
    if kind == "object" and "properties" in node:
        return "a map with " + ", ".join(node["properties"])
    if kind == "array":
        least, most = node.get("minItems", 0), node.get("maxItems")
        count = f"{least} to {most} " if most else ""
        return f"a list of {count}items, each {allowed(node['items'])}"
    others = {"boolean": "true or false", "object": "a map of names to values", "string": "text", "section": "a map"}
    return others[str(kind)]


def render() -> str:
    """The text of the checked-in schema."""
    return json.dumps(stack_file_schema(), indent=2) + "\n"
