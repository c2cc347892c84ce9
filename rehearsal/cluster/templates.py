"""Configuration files and manifests from the templates beside the code."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(folder: Path, name: str, **values: object) -> str:
    """The template `name` in `folder` with `values`. A name without a value is an error."""
    # Escaping is for HTML; these become YAML and TOML, of values that are ours.
    environment = Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined, autoescape=False)  # noqa: S701
    return environment.get_template(name).render(**values)
