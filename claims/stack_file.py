"""A stack's settings from its file, without Pulumi's engine; its secrets stay as they are written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from components.settings import Settings, SettingsError, parse_file
from components.settings.concealment import masked

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
    try:
        return parse_file(configuration)
    except SettingsError as error:
        raise StackFileError(str(error)) from None
    except RecursionError:
        raise StackFileError(f"{name}: holds a part of itself, or too many levels") from None


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
