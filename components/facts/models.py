"""Files of models by their source, and what their config.json says of their shape (components/facts/shapes.py).

`make model-facts STACK=<name> MODEL=<name>` adds those of a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

DATA: Final = Path(__file__).with_name("models.json")
NOTHING: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType({})


def files(source: str) -> Mapping[str, int] | None:
    """Bytes of every file of a source by its path; None where the data has no such source."""
    return _data().get(source)


def config(source: str) -> Mapping[str, int]:
    """What is known of the model's shape, by the keys of `shapes.shape`. Empty where nothing is.

    An entry without a revision, `hf://OWNER/NAME`, is for every one: what a revision's own entry says goes first.
    """
    return {**_configs().get(source.partition("@")[0], {}), **_configs().get(source, {})}


def selected(paths: Mapping[str, int], include: Sequence[str], exclude: Sequence[str]) -> dict[str, int]:
    """Those files that the seeder takes: like a pattern of `include` (all when empty) and like none of `exclude`."""
    return {
        path: size for path, size in paths.items() if (not include or _like(path, include)) and not _like(path, exclude)
    }


def _like(path: str, patterns: Sequence[str]) -> bool:
    """As in a shell, a pattern without a slash is for files at the top; fnmatch alone would let `*` match folders."""
    return any(fnmatchcase(path, pattern) and ("/" in pattern or "/" not in path) for pattern in patterns)


@cache
def _data() -> dict[str, dict[str, int]]:
    """Read when first asked, and once."""
    known = json.loads(DATA.read_text())
    return {source: entry["files"] for source, entry in known.items() if "files" in entry}


@cache
def _configs() -> dict[str, dict[str, int]]:
    return {source: entry.get("config", {}) for source, entry in json.loads(DATA.read_text()).items()}


def render(data: Mapping[str, Mapping[str, int]], configs: Mapping[str, Mapping[str, int]] = NOTHING) -> str:
    """The text of the data: sources and paths in order, a line for each file, so that changes are easily read."""
    document = {
        source: {
            **({"config": dict(sorted(configs[source].items()))} if configs.get(source) else {}),
            **({"files": dict(sorted(data[source].items()))} if source in data else {}),
        }
        for source in sorted({*data, *configs})
    }
    return json.dumps(document, indent=1) + "\n"
