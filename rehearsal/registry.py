"""A registry of OCI artifacts (CNCF Distribution, as Debian packs it) as a process, and what is pushed to it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from rehearsal.serving import serving

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TITLE = "org.opencontainers.image.title"
# What ORAS gives a plain file.
FILE = "application/vnd.oci.image.layer.v1.tar"
_EMPTY = b"{}"


def configuration(folder: Path, address: str = "127.0.0.1:0", **more: Any) -> dict[str, Any]:
    """What the program is told, as JSON, which is YAML too; `more` are further sections, such as `auth`."""
    return {
        "version": "0.1",
        "log": {"accesslog": {"disabled": False}, "formatter": "json"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        # The secret signs the state of uploads: of no use to anybody when they are done.
        "http": {"addr": address, "secret": "rehearsal"},
        **more,
    }


@contextmanager
def running(
    program: Path, folder: Path, address: str = "127.0.0.1:0", *, within: Sequence[str | Path] = (), **more: Any
) -> Iterator[str]:
    """The registry's URL; with port 0 it takes a free one. `within` is a command that runs another (nsenter ...)."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "config.yml"
    settings.write_text(json.dumps(configuration(folder, address, **more)))
    command = (*within, program, "serve", settings)
    # Nothing of ours: it takes variables like REGISTRY_AUTH for its settings.
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    with serving(command, folder / "log", listens=r"listening on ([^\s\",]+)", environment=environment) as listening:
        yield f"http://{listening}"


def push(
    registry: httpx.Client,
    repository: str,
    files: Mapping[str, bytes | Path],
    *,
    tag: str = "latest",
    annotation: str = TITLE,
    media_type: str = FILE,
    more: Mapping[str, str] | None = None,
) -> str:
    """Push an artifact with one layer a file, as `oras push` does; gives the manifest's digest (`sha256:...`).

    `registry` is a client with the registry's URL as its base; `more` are annotations that each layer has as well.
    """
    config = _push_blob(registry, repository, _EMPTY)
    layers = [
        {
            **_push_blob(registry, repository, content),
            "mediaType": media_type,
            "annotations": {annotation: name, **(more or {})},
        }
        for name, content in files.items()
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", **config},
        "layers": layers,
    }
    return push_manifest(registry, repository, document, tag=tag)


def push_manifest(registry: httpx.Client, repository: str, document: Mapping[str, Any], *, tag: str = "latest") -> str:
    """Push a manifest or index as it is; gives its digest."""
    content = json.dumps(document).encode()
    headers = {"Content-Type": document["mediaType"]}
    registry.put(f"/v2/{repository}/manifests/{tag}", content=content, headers=headers).raise_for_status()
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _push_blob(registry: httpx.Client, repository: str, content: bytes | Path) -> dict[str, Any]:
    """Upload in one piece; gives digest and size, as a descriptor has them."""
    if isinstance(content, Path):
        with content.open("rb") as stream:
            digest, size = hashlib.file_digest(stream, "sha256").hexdigest(), content.stat().st_size
    else:
        digest, size = hashlib.sha256(content).hexdigest(), len(content)
    begun = registry.post(f"/v2/{repository}/blobs/uploads/").raise_for_status()
    target = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": f"sha256:{digest}"})
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    body: Any = content.open("rb") if isinstance(content, Path) else content
    try:
        registry.put(target, content=body, headers=headers).raise_for_status()
    finally:
        if isinstance(content, Path):
            body.close()
    return {"digest": f"sha256:{digest}", "size": size}
