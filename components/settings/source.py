"""Where a model's weights come from: forms that are pinned, so that the same settings are the same weights for ever.

hf://OWNER/NAME@COMMIT                     a repository on the hub, by the commit's 40 hexadecimal digits
s3://BUCKET/PREFIX[@sha256:DIGEST]         objects below a prefix; the digest is that of PREFIX/SHA256SUMS
oci://REGISTRY/REPOSITORY@sha256:DIGEST    an artifact, by its manifest
file:///PATH@sha256:DIGEST                 a folder with a file SHA256SUMS, by the digest of that file
image:///PATH                              a folder of the engine's image, which is pinned itself
ollama://MODEL:TAG@sha256:DIGEST           a model as Ollama pulls it, by the tag's manifest
ngc://ORGANIZATION/MODEL@profile:ID        a profile as a NIM image downloads it, by its id in that image
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from components.settings.source_forms import SOURCE
from components.settings.source_mistakes import mistake_in

Scheme = Literal["hf", "s3", "oci", "file", "image", "ollama", "ngc"]


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A source in its parts."""

    scheme: Scheme
    location: str
    """OWNER/NAME, BUCKET/PREFIX, REGISTRY/REPOSITORY, /PATH, MODEL:TAG or ORGANIZATION/MODEL."""
    revision: str
    """The 40 hexadecimal digits of a commit, the 64 of a digest or profile, or empty."""


def parse_source(text: str, *, endpoint: str | None = None) -> ModelSource:
    """The parts of a source. PydanticCustomError, a ValueError, with the way out where it is none.

    `endpoint` is the service that the way out has to ask, where that is not the source's public one.
    """
    if SOURCE.match(text) is None:
        raise mistake_in(text, endpoint)
    scheme, _, rest = text.partition("://")
    location, _, revision = rest.partition("@")
    return ModelSource(scheme=cast("Scheme", scheme), location=location, revision=revision.rpartition(":")[2])
