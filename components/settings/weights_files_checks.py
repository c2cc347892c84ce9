"""Whether patterns leave what an engine needs of a source's files, and whether the volume holds them.

The files are known where the facts list the source's; of others nothing is said here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from components.facts import models
from components.settings.mistakes import Mistake, quote, refused
from components.settings.model import Model
from components.settings.schema import allowed, node_at, settings_schema
from components.settings.source import parse_source
from components.settings.stack import Settings
from components.settings.storage import Gp3
from components.settings.types import size_bytes
from components.sizing import BESIDE_KEPT, needed_bytes, revision_bytes, with_head_room

_WEIGHTS: Final = re.compile(r"\.(safetensors|gguf|bin|pth|pt)$")
# What trainers leave beside the weights.
_NO_WEIGHTS: Final = re.compile(r"(^|/)(training_args|optimizer|scheduler|rng_state)[^/]*$")
_PART: Final = re.compile(r"(?P<name>.+)-\d{5}-of-(?P<parts>\d{5}\.\w+)")
# Mistral's own form of the same.
_CONFIGS: Final = ("config.json", "params.json")
_MOST_NAMED: Final = 3
_LISTED: Final = ("hf", "s3", "oci", "file")


def _on_volumes(settings: Settings) -> Iterator[tuple[str, Model]]:
    return ((name, each) for name, each in settings.models.items() if parse_source(each.source).scheme != "image")


def _patterns_leave_a_model(settings: Settings) -> Iterator[Mistake]:
    for name, model in _on_volumes(settings):
        listed = models.files(model.source)
        if listed is not None:
            yield from _missing(name, model, listed)


def _missing(name: str, model: Model, listed: Mapping[str, int]) -> Iterator[Mistake]:
    """What the selection lacks, blamed on who takes it away: `exclude` only where `include` had it."""
    included = models.selected(listed, model.weights.include, ())
    taken = models.selected(listed, model.weights.include, model.weights.exclude)
    lacks = _lack(listed, taken)
    if lacks is None:
        return
    what, examples = lacks
    guilty = "include" if _lack(listed, included) == lacks else "exclude"
    verb = "takes" if guilty == "include" else "leaves"
    yield refused(
        ("models", name, "weights", guilty),
        f"{verb} {what} of {quote(model.source)}" + (f", but {_named(taken)}" if taken else ""),
        allowed=f"patterns with which {_named(examples)} {'are' if len(examples) > 1 else 'is'} seeded",
        fix=f"correct {guilty} in the stack file",
    )


def _lack(listed: Mapping[str, int], taken: Mapping[str, int]) -> tuple[str, list[str]] | None:
    """What is not taken of what a model is made of, in words, and its files; None where nothing is."""
    weights, got = _weights(listed), _weights(taken)
    if not taken:
        return "none of the files", weights or sorted(listed)
    if weights and not got:
        return "no weights", weights
    for path in got:
        parts = _parts(path, weights)
        missing = [part for part in parts if part not in taken]
        if missing:
            return f"{len(parts) - len(missing)} of the {len(parts)} parts of the weights", missing
    config = [path for path in _CONFIGS if path in listed]
    needs_one = any(not path.endswith(".gguf") for path in got)
    return ("no config", config) if config and needs_one and not set(config) & set(taken) else None


def _weights(paths: Iterable[str]) -> list[str]:
    return sorted(path for path in paths if _WEIGHTS.search(path) and not _NO_WEIGHTS.search(path))


def _parts(path: str, weights: Iterable[str]) -> list[str]:
    """The files that a file of the weights is one part of."""
    whole = _PART.fullmatch(path)
    parts = ((other, _PART.fullmatch(other)) for other in weights)
    return [other for other, part in parts if whole and part and part.groups() == whole.groups()]


def _named(paths: Iterable[str]) -> str:
    """`a, b, c and 4 more`."""
    first, rest = sorted(paths)[:_MOST_NAMED], sorted(paths)[_MOST_NAMED:]
    return ", ".join(first) + (f" and {len(rest)} more" if rest else "")


def _the_size_is_known(settings: Settings) -> Iterator[Mistake]:
    for name, model in _on_volumes(settings):
        if revision_bytes(model) is not None or model.weights.size is not None:
            continue
        path = ("models", name, "weights", "size")
        sizes = allowed(node_at(settings_schema(), path))
        if parse_source(model.source).scheme in _LISTED:
            yield refused(
                path,
                f"is missing, and the program has no list of the files of {quote(model.source)}",
                allowed=f"{sizes}; none where there is such a list",
                fix=f"make the list with: make model-facts STACK=<name> MODEL={name}, or give weights.size",
            )
        else:
            yield refused(
                path,
                f"is missing, and only the engine's own tool knows the files of {quote(model.source)}",
                allowed=sizes,
                example="100Gi",
            )


def _the_volume_holds_a_change(settings: Settings) -> Iterator[Mistake]:
    """Where a volume has a size at all; what is given may leave out the head room, not a revision."""
    for name, model in _on_volumes(settings):
        storage = settings.storage_of(model)
        size, one, needed = model.weights.size, revision_bytes(model), needed_bytes(model)
        if not one or not needed or size is None or not (storage is None or isinstance(storage, Gp3)):
            continue
        given, kept = size_bytes(size), model.weights.keep_revisions
        if given >= needed:
            continue
        fewer = given // one - BESIDE_KEPT
        during = f"{kept} kept, the one that is served and the new one are {kept + BESIDE_KEPT} x {one:,}"
        yield refused(
            ("models", name, "weights", "size"),
            f"{quote(size)} is less than one revision's {one:,} bytes"
            if given < one
            else f"{quote(size)} is too small for a change of the revision: {during} = {needed:,} bytes",
            allowed=f"at least {with_head_room(needed)}" + (f", or keepRevisions {fewer}" if fewer >= 0 else ""),
            example=with_head_room(needed),
        )


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (
    _patterns_leave_a_model,
    _the_size_is_known,
    _the_volume_holds_a_change,
)
