"""The shape of a model, which its config.json tells: `make model-facts` adds it to the list of its files."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path
from typing import Final

from components.facts import shapes
from components.settings import ModelSource

HUB: Final = "https://huggingface.co"
PATIENCE_SECONDS: Final = 20


def shape(source: ModelSource, *, endpoint: str | None, read_from: str | None) -> dict[str, int]:
    """What the config.json of a hub or a folder says; nothing where it cannot be read.

    The program does without: what it does not know of a model, it does not check.
    """
    try:
        return shapes.shape(json.loads(_read(source, endpoint or HUB, Path(read_from or "/"))))
    except (OSError, ValueError):
        return {}


def _read(source: ModelSource, endpoint: str, root: Path) -> str | bytes:
    if source.scheme == "file":
        return (root / source.location.lstrip("/") / "config.json").read_text()
    if source.scheme != "hf":
        return "{}"
    token = os.environ.get("HF_TOKEN")
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked with the endpoint
        f"{endpoint.rstrip('/')}/{source.location}/resolve/{source.revision}/config.json",
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - as above
        text: bytes = answer.read()
    return text
