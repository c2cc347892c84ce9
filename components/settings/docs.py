"""The README's table of settings, generated from the models: `python -m components.settings` renews it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from components.settings.schema import PROJECT, SECRETS, Json, allowed, full_key, kinds, resolve, settings_schema

README: Final = Path(__file__).parents[2] / "README.md"
BEGIN: Final = "<!-- settings:begin -->"
END: Final = "<!-- settings:end -->"
PLACEHOLDER: Final = {"gpuPools": "POOL", "models": "MODEL", "priorityClasses": "CLASS", "storage": "STORAGE"}
# Kinds that no key of their section names.
KINDS: Final = {"ExistingPool": "nodes that are there", "EksPool": "nodes of EKS"}


def settings_table() -> str:
    """A Markdown table of every setting: key path, default, what is allowed, meaning."""
    schema = settings_schema()
    secrets = (f"| `{full_key(key)}` | none | a secret | {meaning} |" for key, meaning in SECRETS.items())
    rows = [*_rows(schema, resolve(schema, schema), f"{PROJECT}:"), *secrets]
    return "\n".join(["| key path | default | allowed | meaning |", "|---|---|---|---|", *rows])


def with_table(readme: str) -> str:
    """The README's text with the table between its markers renewed; `ValueError` where a marker is missing."""
    head, rest = readme.split(BEGIN, 1)
    _, tail = rest.split(END, 1)
    return f"{head}{BEGIN}\n{settings_table()}\n{END}{tail}"


def _rows(schema: Json, node: Json, prefix: str, kind: str = "") -> Iterator[str]:
    for name, raw in node["properties"].items():
        child = resolve(schema, raw)
        entry = resolve(schema, next(iter(child.get("patternProperties", {}).values()), {}))
        path = name if ":" in name else f"{prefix}{name}"
        if kinds(schema, child):
            yield from _rows_of_kinds(schema, child, f"{path}.")
        elif kinds(schema, entry):
            yield from _rows_of_kinds(schema, entry, f"{path}.{PLACEHOLDER[name]}.")
        elif "properties" in child:
            yield from _rows(schema, child | _defaults(schema, child), f"{path}.", kind)
        elif "properties" in entry:
            yield from _rows(schema, entry, f"{path}.{PLACEHOLDER[name]}.", kind)
        else:
            yield _row(path, child, required=name in node.get("required", ()), kind=kind)


def _rows_of_kinds(schema: Json, node: Json, prefix: str) -> Iterator[str]:
    """The rows of every kind of a section, each row with its kind; the key that says which comes once and first."""
    choices = kinds(schema, node)
    key = node.get("discriminator", {}).get("propertyName")
    if key is not None:
        meaning = _together([choice["properties"][key]["description"] for choice in choices.values()])
        yield _row(f"{prefix}{key}", {"enum": list(choices), "description": meaning}, required=True)
    for tag, choice in choices.items():
        properties = {name: child for name, child in choice["properties"].items() if name != key}
        kind = f"`{key}: {tag}`" if key else KINDS[tag]
        yield from _rows(schema, choice | {"properties": properties}, prefix, kind)


def _together(descriptions: list[str]) -> str:
    """One sentence of those that begin alike, "LEAD: one, or other."; others one after the other."""
    leads = {text.partition(": ")[0] for text in descriptions}
    if len(leads) > 1:
        return " ".join(descriptions)
    rest = [text.partition(": ")[2].removesuffix(".") for text in descriptions]
    return f"{leads.pop()}: {', or '.join(rest)}."


def _defaults(schema: Json, node: Json) -> Json:
    """The section's properties with the defaults that the section as a whole has where it is used."""
    whole = node.get("default") or {}
    properties = {
        name: resolve(schema, child) | ({"default": whole[name]} if name in whole else {})
        for name, child in node["properties"].items()
    }
    return {"properties": properties}


def _row(path: str, node: Json, *, required: bool, kind: str = "") -> str:
    default = (
        "required"
        if required and "default" not in node
        else "none"
        if node.get("default") is None
        else _code(node["default"])
    )
    meaning = f"{kind}: {node['description']}" if kind else node["description"]
    return f"| `{path}` | {default} | {_cell(allowed(node))} | {_cell(meaning)} |"


def _code(value: object) -> str:
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
