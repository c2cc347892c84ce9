"""The part of the Hugging Face hub's HTTP protocol that `huggingface_hub` 2.4 downloads a model with.

- `GET /api/models/{owner}/{name}[/revision/{revision}]`: the commit behind a revision, and the files
- `GET /api/models/{owner}/{name}/tree/{revision}[/{folder}]`: files with size, git blob id and, when large, sha256
- `HEAD, GET /{owner}/{name}/resolve/{revision}/{path}`: a file; a large one is a redirect to its storage
- `HEAD, GET /storage/{owner}/{name}/{sha256}/{path}`: a large file, where the hub has its content delivery network

Errors carry the `X-Error-Code` from which the client makes its exceptions. There are no Xet headers: plain HTTP
downloads are what every mirror and proxy of the hub speaks as well.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .repository import File, Repository

_BRANCH = "main"
_POINTER_BYTES = 132  # Length of a git-lfs pointer to a file with a size of 7 digits; clients do not use it.


@dataclass(frozen=True, kw_only=True)
class Hub:
    """What is served: the revisions of each repository by its id, the newest first, and those whose files need `token`.

    The token is a bearer's. Where there is one, another one is refused for what is public as well.
    """

    repositories: Mapping[str, Sequence[Repository]]
    gated: frozenset[str] = frozenset()
    token: str | None = None

    def info(self, request: Request) -> Response:
        """Answer for a repository: its commit and its files."""
        repository = self._find(request)
        siblings = [_sibling(file, with_blobs="blobs" in request.query_params) for file in repository.files]
        facts = {"private": False, "gated": repository.id in self.gated and "manual", "siblings": siblings}
        return JSONResponse({"id": repository.id, "modelId": repository.id, "sha": repository.commit} | facts)

    def tree(self, request: Request) -> Response:
        """Answer for a folder: its entries."""
        repository = self._find(request)
        recursive = request.query_params.get("recursive", "").lower() == "true"
        entries = _tree(repository, folder=request.path_params.get("path", ""), recursive=recursive)
        return JSONResponse(entries, headers={"X-Repo-Commit": repository.commit})

    def resolve(self, request: Request) -> Response:
        """Answer for a file: its bytes, or where they are stored."""
        repository = self._find(request)
        if repository.id in self.gated:
            _authorize(request, self.token)
        headers = {"X-Repo-Commit": repository.commit}
        file = repository.find(request.path_params["path"])
        if file is None:
            raise _refusal(404, "EntryNotFound", "Entry not found", headers)
        if file.sha256 is None:
            return _content(repository, file, headers)
        headers |= {"X-Linked-ETag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
        # Absolute, as the hub's: the client then downloads from there without asking the hub again.
        owner, name = repository.id.split("/")
        location = request.url_for("storage", owner=owner, name=name, sha256=file.sha256, path=file.path)
        return Response(status_code=302, headers=headers | {"Location": str(location)})

    def storage(self, request: Request) -> Response:
        """Answer for a large file by its hash, which only those know who were let in."""
        owner, name, path, sha256 = (request.path_params[key] for key in ("owner", "name", "path", "sha256"))
        for repository in self.repositories.get(f"{owner}/{name}", ()):
            # The path tells those who read the log, or ask for a fault, which file it is.
            file = repository.find(path)
            if file is not None and file.sha256 == sha256:
                # The real storage does not know the commit, and the client does not ask it: a HEAD follows redirects
                # within the hub's host only, where this one is.
                return _content(repository, file, {"X-Repo-Commit": repository.commit})
        raise HTTPException(404)

    def _find(self, request: Request) -> Repository:
        repository_id = f"{request.path_params['owner']}/{request.path_params['name']}"
        given = _given(request)
        # A gated one takes it for that of somebody who is not let in.
        if self.token is not None and given and repository_id not in self.gated and not _same(given, self.token):
            # As the hub does: with no X-Error-Code.
            message = "Invalid credentials in Authorization header"
            raise HTTPException(401, detail=message, headers={"X-Error-Message": message})
        revisions = self.repositories.get(repository_id)
        if not revisions:
            # As the hub does: a stranger may not learn whether the repository is missing or private.
            raise _refusal(404 if "authorization" in request.headers else 401, "RepoNotFound", "Repository not found")
        asked = request.path_params.get("revision", _BRANCH)
        for repository in revisions:
            if asked in (_BRANCH, repository.commit):
                return repository
        raise _refusal(404, "RevisionNotFound", f"Invalid rev id: {asked}")


def application(hub: Hub) -> Starlette:
    """The hub as an ASGI application."""
    return Starlette(
        routes=[
            Route("/healthz", lambda _: PlainTextResponse("ok")),
            Route("/api/models/{owner}/{name}", hub.info),
            Route("/api/models/{owner}/{name}/revision/{revision}", hub.info),
            Route("/api/models/{owner}/{name}/tree/{revision}", hub.tree),
            Route("/api/models/{owner}/{name}/tree/{revision}/{path:path}", hub.tree),
            Route("/{owner}/{name}/resolve/{revision}/{path:path}", hub.resolve),
            Route("/storage/{owner}/{name}/{sha256}/{path:path}", hub.storage, name="storage"),
        ],
        exception_handlers={HTTPException: _error},
    )


class _Content(FileResponse):
    """A file in steps that leave the time to sending it."""

    chunk_size = 1 << 20


def _content(repository: Repository, file: File, headers: dict[str, str]) -> Response:
    """The bytes on disk, whatever they are by now, under the hash of the commit; answers Range and If-Range."""
    return _Content(
        repository.root / file.path,
        media_type="application/octet-stream",
        headers=headers | {"ETag": f'"{file.etag}"'},
    )


def _sibling(file: File, *, with_blobs: bool) -> dict[str, Any]:
    if not with_blobs:
        return {"rfilename": file.path}
    lfs = file.sha256 and {"sha256": file.sha256, "size": file.size, "pointerSize": _POINTER_BYTES}
    return {"rfilename": file.path, "size": file.size, "blobId": file.blob_id} | ({"lfs": lfs} if lfs else {})


def _tree(repository: Repository, *, folder: str, recursive: bool) -> list[dict[str, Any]]:
    """Entries below `folder`, folders first: all of them, or only its direct children."""
    top = PurePosixPath(folder)
    below = [file for file in repository.files if top in PurePosixPath(file.path).parents]
    folders = {parent for file in below for parent in PurePosixPath(file.path).parents if top in parent.parents}
    wanted_folders = sorted(path for path in folders if recursive or path.parent == top)
    wanted_files = [file for file in below if recursive or PurePosixPath(file.path).parent == top]
    return [
        *({"type": "directory", "path": str(path), "oid": repository.commit, "size": 0} for path in wanted_folders),
        *map(_tree_file, wanted_files),
    ]


def _tree_file(file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": file.path, "oid": file.blob_id, "size": file.size}
    if file.sha256 is not None:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": _POINTER_BYTES}
    return entry


def _authorize(request: Request, token: str | None) -> None:
    """Let in the bearer of the token.

    Raises:
        HTTPException: 401 without a token, 403 with another one: both name the repository as gated.
    """
    given = _given(request)
    if not given:
        raise _refusal(401, "GatedRepo", "Access to this model is restricted. You must be authenticated to access it.")
    if token is None or not _same(given, token):
        raise _refusal(403, "GatedRepo", "Access to this model is restricted and you are not in the authorized list.")


def _given(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> HTTPException:
    names = {"X-Error-Code": code, "X-Error-Message": message}
    return HTTPException(status, detail=message, headers=names | (headers or {}))


def _error(_: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)
    return JSONResponse({"error": refusal.detail}, status_code=refusal.status_code, headers=refusal.headers)
