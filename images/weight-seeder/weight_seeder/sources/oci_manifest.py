"""The manifest of an artifact: which layers are files, as ORAS (title) and the CNCF's ModelPack (filepath) say it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from weight_seeder.faults import HopelessError
from weight_seeder.files import Digest, File
from weight_seeder.sources import names

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# An index is asked for as well, so that the refusal can name it: without it, registries answer 404.
ACCEPT = (
    f"{MANIFEST}, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json"
)
MOST_BYTES = 4 << 20
"""The specification asks registries to take manifests of this size; more need not be read into memory."""

TITLES = ("org.opencontainers.image.title", "org.cncf.model.filepath")
_UNPACK = "io.deis.oras.content.unpack"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def files(content: bytes, where: str) -> list[File]:
    """The layers as files.

    Raises:
        HopelessError: for an index, for layers that are no files, and for two files of the same name.
    """
    try:
        manifest = json.loads(content)
        layers = manifest.get("layers")
        if not isinstance(layers, list):
            kind = manifest.get("mediaType", "a document without layers")
            raise HopelessError(
                f"{where} is no manifest of an artifact but {kind}: give the digest of the manifest whose layers are "
                "the files (`oras manifest fetch REGISTRY/REPOSITORY@DIGEST` shows what an index lists)"
            )
        found = [_file(layer, where) for layer in layers]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HopelessError(f"{where}: its manifest is not of the form that OCI specifies") from None
    names.check([file.path for file in found], where)
    return found


def _file(layer: Mapping[str, Any], where: str) -> File:
    """A layer as a file. Archives are refused: nothing says what the checksums of the files in them are."""
    notes = layer.get("annotations") or {}
    title = next((notes[name] for name in TITLES if notes.get(name)), None)
    kind, digest = layer["mediaType"], _DIGEST.fullmatch(layer["digest"])
    # ORAS gives a plain file the media type of a tar layer, and marks the folders that it has packed.
    archive = notes.get(_UNPACK) == "true" or (kind.startswith("application/vnd.cncf.model.") and ".tar" in kind)
    if title is None or archive or digest is None:
        raise HopelessError(
            f"{where}: layer {layer['digest']} ({title or 'without a title'}, {kind}) is not one file: push each file "
            f"as a layer of its own with the annotation {TITLES[0]}: `oras push REGISTRY/REPOSITORY:TAG FILE...` does"
        )
    return File(path=str(title), size=int(layer["size"]), digest=Digest(kind="sha256", value=digest[1]))
