"""The hub's list of a repository's files, by the client's session but without its API class.

That class brings all that the hub can do, and takes longer to load than all the rest: a third of a second in which
nothing is downloaded. https://huggingface.co/docs/hub/api has the requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from huggingface_hub import constants
from huggingface_hub.utils import build_hf_headers, validate_repo_id  # type: ignore[attr-defined]  # documented
from huggingface_hub.utils._pagination import paginate

from weight_seeder.faults import Transient
from weight_seeder.files import Digest, File


def files(repository: str, revision: str) -> Iterator[File]:
    """Every file of a commit, page after page; what is refused, or not answered, the client raises.

    Raises:
        Transient: the list cannot be read.
    """
    validate_repo_id(repository)
    address = f"{constants.ENDPOINT}/api/models/{repository}/tree/{revision}"
    try:
        for entry in paginate(address, params={"recursive": True, "expand": False}, headers=headers()):
            if entry["type"] == "file":
                yield _file(entry)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        said = " ".join(str(error).split())
        raise Transient(f"the hub's list cannot be read: {said or type(error).__name__}") from error


def address(repository: str, revision: str, path: str) -> str:
    """Where a file's bytes are, or a redirect to them."""
    return f"{constants.ENDPOINT}/{repository}/resolve/{quote(revision, safe='')}/{quote(path)}"


def headers() -> dict[str, str]:
    """Those of the client, with its token where there is one."""
    return dict(build_hf_headers(library_name="weight-seeder"))


def _file(entry: dict[str, Any]) -> File:
    lfs = entry.get("lfs")
    digest = Digest(kind="sha256", value=lfs["oid"]) if lfs else Digest(kind="git-blob", value=entry["oid"])
    return File(path=str(entry["path"]), size=int(entry["size"]), digest=digest)
