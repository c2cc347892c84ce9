"""A stack's settings from its file, without Pulumi's engine; its secrets stay as they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from components.settings import Settings, SettingsError, parse
from components.settings.concealment import masked
from components.settings.schema import PROJECT
from components.settings.stack import AWS_KEYS


class StackFileError(Exception):
    """A stack file that cannot be read, or whose settings have mistakes: a line for each."""


def read(folder: Path, stack: str) -> Settings:
    """The settings of `Pulumi.STACK.yaml`.

    `StackFileError` where there is no such file, it is no YAML, or its settings have mistakes.
    """
    ours = {
        str(key).removeprefix(f"{PROJECT}:"): value
        for key, value in _configuration(folder, stack).items()
        if str(key).startswith(f"{PROJECT}:") or key in AWS_KEYS
    }
    secrets = frozenset(key for key, value in ours.items() if isinstance(value, dict) and "secure" in value)
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in ours.items()}
    try:
        return parse(texts, secrets, decrypted=False)
    except SettingsError as error:
        raise StackFileError(str(error)) from None


def _configuration(folder: Path, stack: str) -> dict[str, Any]:
    path = folder / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        known = sorted(each.name.split(".")[1] for each in folder.glob("Pulumi.*.yaml"))
        raise StackFileError(f"there is no {path.name}; allowed: {', '.join(known) or 'none yet'}")
    try:
        document = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        # With the line that is wrong, where somebody may have pasted a secret.
        raise StackFileError(f"{path.name}: {masked(' '.join(str(error).split()))}") from None
    config = document.get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise StackFileError(f"{path.name}: config is no map of settings by key")
    return config
