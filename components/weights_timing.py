"""What `weights.check: checksums` takes: a replica, or the seeder of its node, reads every byte before the engine does.

    check     bytes of the revision / the slower of the volume and of hashing, twice: that it is slower than its data
              sheet says is no reason to give a rollout up

In seconds. With `sizes` it takes no time that counts. The check is an init container, so that the startup probe has not
begun: it is part of what may come between one replica and the next, and of a seeding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from components.settings.source import parse_source
from components.settings.types import size_bytes
from components.sizing import revision_bytes, volume_size

if TYPE_CHECKING:  # settings check times, so that an import at run time would be a circle
    from components.settings import Model

HASH_MBPS: Final = 400
"""MB/s of SHA-256 on one core without instructions for it; files are hashed one after another."""
CHECK_SAFETY: Final = 2


def read_seconds(model: Model, megabytes_per_second: int) -> float:
    """Seconds in which a revision is read once at a rate: the facts' bytes, or where there are none the volume's."""
    known = revision_bytes(model)
    return (size_bytes(volume_size(model)) if known is None else known) / (megabytes_per_second * 1_000_000)


def checking_seconds(model: Model) -> int:
    """Seconds that looking at the weights may take before the engine starts; for weights in its image none."""
    if model.weights.check != "checksums" or parse_source(model.source).scheme == "image":
        return 0
    return math.ceil(CHECK_SAFETY * read_seconds(model, min(model.weights.bandwidth_mbps, HASH_MBPS)))
