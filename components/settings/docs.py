"""The README's table of settings, generated from the models: `python -m components.settings` renews it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from components.settings.schema import PROJECT, TOKEN_KEY, Json, allowed, resolve, settings_schema

README: Final = Path(__file__).parents[2] / "README.md"
BEGIN: Final = "<!-- settings:begin -->"
END: Final = "<!-- settings:end -->"
PLACEHOLDER: Final = {"gpuPools": "POOL", "models": "MODEL"}


def settings_table() -> str:
    """A Markdown table of every setting: key path, default, what is allowed, meaning."""
    schema = settings_schema()
    secret = f"| `{PROJECT}:{TOKEN_KEY}` | none | a secret | Token of the hub; only the seeding Job gets it. |"
    rows = [*_rows(schema, resolve(schema, schema), f"{PROJECT}:"), secret]
    return "\n".join(["| key path | default | allowed | meaning |", "|---|---|---|---|", *rows])


def with_table(readme: str) -> str:
    """The README's text with the table between its markers renewed; `ValueError` where a marker is missing."""
    head, rest = readme.split(BEGIN, 1)
    _, tail = rest.split(END, 1)
    return f"{head}{BEGIN}\n{settings_table()}\n{END}{tail}"


def _rows(schema: Json, node: Json, prefix: str) -> Iterator[str]:
    for name, raw in node["properties"].items():
        child = resolve(schema, raw)
        entry = resolve(schema, next(iter(child.get("patternProperties", {}).values()), {}))
        if "properties" in child:
            yield from _rows(schema, child | _defaults(schema, child), f"{prefix}{name}.")
        elif "properties" in entry:
            yield from _rows(schema, entry, f"{prefix}{name}.{PLACEHOLDER[name]}.")
        else:
            yield _row(f"{prefix}{name}", child, required=name in node.get("required", ()))


def _defaults(schema: Json, node: Json) -> Json:
    """The section's properties with the defaults that the section as a whole has where it is used."""
    whole = node.get("default") or {}
    properties = {
        name: resolve(schema, child) | ({"default": whole[name]} if name in whole else {})
        for name, child in node["properties"].items()
    }
    return {"properties": properties}


def _row(path: str, node: Json, *, required: bool) -> str:
    default = (
        "required"
        if required and "default" not in node
        else "none"
        if node.get("default") is None
        else _code(node["default"])
    )
    return f"| `{path}` | {default} | {_cell(allowed(node))} | {_cell(node['description'])} |"


def _code(value: object) -> str:
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
