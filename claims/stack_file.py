"""A stack's settings from its file, without Pulumi's engine; its secrets stay as they are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from components.settings import Settings, SettingsError, parse
from components.settings.concealment import masked
from components.settings.schema import PROJECT
from components.settings.stack import AWS_KEYS

# PyYAML tells of a value that is none of its tag, as a date with a month 13, by what Python happens to raise.
_UNREADABLE: Final = (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError, RecursionError)


class StackFileError(Exception):
    """A stack file that cannot be read, or whose settings have mistakes: a line for each."""


def read(folder: Path, stack: str) -> Settings:
    """The settings of `Pulumi.STACK.yaml`.

    `StackFileError` where there is no such file, it is no YAML, or its settings have mistakes.
    """
    return settings_of(_configuration(folder, stack), f"Pulumi.{stack}.yaml")


def settings_of(configuration: Mapping[str, Any], name: str) -> Settings:
    """The settings of what stands under `config` in a stack file of this name; `StackFileError` for mistakes."""
    ours = {
        str(key).removeprefix(f"{PROJECT}:"): value
        for key, value in configuration.items()
        if str(key).startswith(f"{PROJECT}:") or key in AWS_KEYS
    }
    secrets = frozenset(key for key, value in ours.items() if isinstance(value, dict) and "secure" in value)
    try:
        texts = {key: value if isinstance(value, str) else json.dumps(_plain(value)) for key, value in ours.items()}
        return parse(texts, secrets, decrypted=False)
    except SettingsError as error:
        raise StackFileError(str(error)) from None
    except RecursionError:
        raise StackFileError(f"{name}: holds a part of itself, or too many levels") from None


def _plain(node: Any) -> Any:
    """What JSON has; the rest of what YAML has, dates, sets and bytes, as text."""
    if isinstance(node, dict):
        return {str(key) if not isinstance(key, str) else key: _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(each) for each in node]
    return node if isinstance(node, str | int | float | bool | None) else str(node)


def _configuration(folder: Path, stack: str) -> dict[str, Any]:
    path = folder / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        known = sorted(each.name.split(".")[1] for each in folder.glob("Pulumi.*.yaml"))
        raise StackFileError(f"there is no {path.name}; allowed: {', '.join(known) or 'none yet'}")
    try:
        document = yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except UnicodeDecodeError as error:
        raise StackFileError(f"{path.name}: is not UTF-8 at byte {error.start}") from None
    except _UNREADABLE as error:
        # With the line that is wrong, where somebody may have pasted a secret.
        raise StackFileError(f"{path.name}: {masked(' '.join(str(error).split()))}") from None
    config = document.get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise StackFileError(f"{path.name}: config is no map of settings by key")
    return config
