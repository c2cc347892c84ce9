"""The command that finds what a source is pinned by, for a source that has a branch, a tag or nothing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

HUB: Final = "https://huggingface.co"
# As git abbreviates a commit, and as nobody names a branch.
_ABBREVIATED: Final = re.compile(r"[0-9a-f]{7,39}")


def find(scheme: str, location: str, revision: str, endpoint: str | None) -> str:
    """The way out for a right `location` with a wrong `revision`, asked at `endpoint` or else at the public service."""
    return _FINDERS[scheme](location, revision, endpoint)


def _commit(location: str, revision: str, endpoint: str | None) -> str:
    """A hub of one's own need not speak git; git knows of branches and tags alone without a copy of the history."""
    if _ABBREVIATED.fullmatch(revision):
        clone = f"git clone --bare --filter=tree:0 {shlex.quote(f'{endpoint or HUB}/{location}')} history.git"
        return f"find the commit's 40 digits with: {clone} && git -C history.git rev-parse {revision}"
    branch = shlex.quote(revision) if revision else "HEAD"
    if endpoint is None:
        return f"find the commit with: git ls-remote {HUB}/{location} {branch}"
    asked = shlex.quote(f"{endpoint.rstrip('/')}/api/models/{location}/revision/{revision or 'main'}")
    return f"find the commit, which is the answer's sha, with: curl -sL {asked}"


def _s3_sums(location: str, _: str, endpoint: str | None) -> str:
    service = f"--endpoint-url {shlex.quote(endpoint)} " if endpoint else ""
    return f"find the digest with: aws s3 cp {service}s3://{location}/SHA256SUMS - | sha256sum"


def _manifest(location: str, tag: str, endpoint: str | None) -> str:
    # A digest that is cut short finds nothing: only a tag does.
    name = tag if tag and not tag.startswith("sha256:") else "TAG"
    if endpoint is None:
        return f"find the digest with: oras resolve {location}:{shlex.quote(name)}"
    parts = urlsplit(endpoint)
    plain = "--plain-http " if parts.scheme == "http" else ""
    repository = location.partition("/")[2]
    return f"find the digest with: oras resolve {plain}{parts.netloc}/{repository}:{shlex.quote(name)}"


def _folder_sums(location: str, _: str, __: str | None) -> str:
    # Hidden files are those of git and of download caches.
    files = "find . -type f ! -path '*/.*' ! -name SHA256SUMS -exec sha256sum {} +"
    return f"make that file and its digest with: cd {location} && {files} > SHA256SUMS && sha256sum SHA256SUMS"


def _ollama_manifest(location: str, _: str, __: str | None) -> str:
    """As Ollama's own registry has it; its client shows 12 of the digits only."""
    name, _, tag = location.rpartition(":")
    steps = name.split("/")
    host, namespace, model = (*("registry.ollama.ai", "library")[: 3 - len(steps)], *steps)
    accept = "-H 'Accept: application/vnd.docker.distribution.manifest.v2+json'"
    address = f"https://{host}/v2/{namespace}/{model}/manifests/{tag}"
    return f"find the digest with: curl -sL {accept} {address} | sha256sum"


def _nim_profile(_: str, __: str, ___: str | None) -> str:
    return "find the profile's 64 digits with: docker run --rm --gpus all -e NGC_API_KEY IMAGE list-model-profiles"


_FINDERS: Final[Mapping[str, Callable[[str, str, str | None], str]]] = MappingProxyType(
    {
        "hf": _commit,
        "s3": _s3_sums,
        "oci": _manifest,
        "file": _folder_sums,
        "image": _folder_sums,
        "ollama": _ollama_manifest,
        "ngc": _nim_profile,
    }
)
