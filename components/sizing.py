"""What a model's weights take: bytes of one revision, and the size of the volume that is asked for.

While a new revision is seeded, the volume holds the one that is served, the new one, and `keepRevisions` earlier ones:

    size = (keepRevisions + 2) x bytes of the selected files x 1.1, in whole Mi below 1 Gi and whole Gi above
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from components.facts import models

if TYPE_CHECKING:  # settings compute sizes here, so that an import at run time would be a circle
    from components.settings import Model

BESIDE_KEPT: Final = 2
"""Revisions on the volume during a change, beside those that are kept: the one that is served and the new one."""
_HEAD_ROOM_TENTHS: Final = 11
_MI: Final = 2**20
_GI: Final = 2**30


def shape_of(model: Model) -> Mapping[str, int]:
    """What is known of the model's shape, by the keys of `components.facts.shapes`: the stack's own word goes first."""
    given = model.facts.model_dump(by_alias=True, exclude_none=True) if model.facts else {}
    return {**models.config(model.source), **given}


def revision_bytes(model: Model) -> int | None:
    """Bytes of the files of one revision that are seeded; None where the facts do not have the source."""
    paths = models.files(model.source)
    if paths is None:
        return None
    return sum(models.selected(paths, model.weights.include, model.weights.exclude).values())


def needed_bytes(model: Model) -> int | None:
    """Bytes on the volume during a change of the revision, without head room; None as of `revision_bytes`."""
    one = revision_bytes(model)
    return None if one is None else (model.weights.keep_revisions + BESIDE_KEPT) * one


def volume_size(model: Model) -> str:
    """Size of the volume as a Kubernetes quantity: the one given, or the one that follows from the facts.

    ValueError where there is neither, which the settings refuse, and for weights in the engine's image.
    """
    if model.weights.size is not None:
        return model.weights.size
    needed = needed_bytes(model)
    if needed is None:
        raise ValueError(f"{model.source} has no volume whose size is known")
    return with_head_room(needed)


def with_head_room(needed: int) -> str:
    """The size of a volume for so many bytes of files, as a Kubernetes quantity."""
    return quantity(-(-needed * _HEAD_ROOM_TENTHS // 10))


def quantity(count: int) -> str:
    """The smallest whole Mi, or from 1 Gi on whole Gi, that hold so many bytes: `quantity(2**30 + 1) == "2Gi"`."""
    mebibytes = max(1, -(-count // _MI))
    return f"{mebibytes}Mi" if mebibytes * _MI < _GI else f"{-(-count // _GI)}Gi"
