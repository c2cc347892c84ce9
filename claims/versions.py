"""Which version of an engine an image holds, by its tag, and since when the engine does what the program relies on.

vLLM has vllm:kv_cache_usage_perc since 0.10 (github.com/vllm-project/vllm/pull/18354) and --shutdown-timeout since 0.18
(pull 34730), its other names since 0.4. The others are as their profiles were read (components/engines): of what is
older or newer nobody here knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from components.engines import image_of
from components.settings import Model

Version = tuple[int, int]
_TAG: Final = re.compile(r"[vr]?(?P<major>[0-9]{1,4})\.(?P<minor>[0-9]{1,3})(?:\.[0-9]+)*(?:[-+.][\w.-]*)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of an engine's versions."""

    images: tuple[str, ...]
    """Parts of the names of images whose tags are versions of the engine."""
    newest: Version
    oldest: Version
    """From when on names and drain are known, but for those of `since`."""
    since: Mapping[str, Version] = field(default_factory=dict)
    """What the program relies on, by its name, with the version that brought it: what is older has it not."""


KNOWN: Final[Mapping[str, Known]] = MappingProxyType(
    {
        "vllm": Known(
            images=("vllm",),
            oldest=(0, 4),
            newest=(0, 33),
            since={"vllm:kv_cache_usage_perc": (0, 10), "--shutdown-timeout": (0, 18)},
        ),
        "sglang": Known(images=("sglang",), oldest=(0, 5), newest=(0, 5)),
        "tgi": Known(images=("text-generation-inference", "tgi"), oldest=(2, 4), newest=(3, 3)),
        "nim": Known(images=("/nim/", "nim-"), oldest=(2, 0), newest=(2, 1)),
        "ollama": Known(images=("ollama",), oldest=(0, 40), newest=(0, 40)),
        "tensorrt-llm": Known(images=("tritonserver", "tensorrt-llm"), oldest=(25, 12), newest=(25, 12)),
    }
)


def version_of(model: Model) -> Version | None:
    """Major and minor version of the engine in the model's image; None where the tag does not tell."""
    repository, _, tag = _without_digest(image_of(model)).rpartition(":")
    named = any(part in f"/{repository}" for part in KNOWN[model.engine].images)
    match = _TAG.fullmatch(tag) if repository and named else None
    return (int(match["major"]), int(match["minor"])) if match else None


def has(model: Model, feature: str) -> bool | None:
    """Whether the engine in the image has what goes by this name; None where nobody here knows."""
    known, version = KNOWN[model.engine], version_of(model)
    if version is None or version > known.newest:
        return None
    if feature in known.since:
        return version >= known.since[feature]
    return True if version >= known.oldest else None


def written(version: Version | None) -> str:
    """A version as people write it."""
    return "of a version that its tag does not tell" if version is None else ".".join(map(str, version))


def _without_digest(image: str) -> str:
    return image.partition("@")[0]
