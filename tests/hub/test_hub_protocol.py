"""The hub, asked by the real client and, for what the client hides, by plain HTTP."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from rehearsal.hub import model, repository
from tests.hub import hubs
from tests.hub.hubs import RunningHub

COMMIT = model.commit()
SHARD = "model-00001-of-00002.safetensors"


def api(hub: RunningHub) -> HfApi:
    return HfApi(endpoint=hub.url, token=False)


def test_the_client_downloads_the_snapshot_byte_by_byte(hub: RunningHub, tmp_path: Path) -> None:
    folder = Path(
        snapshot_download(
            model.REPOSITORY,
            revision=COMMIT,
            endpoint=hub.url,
            token=False,
            local_dir=tmp_path / "snapshot",
            cache_dir=tmp_path / "cache",
        )
    )

    downloaded = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert downloaded == dict(model.files())


def test_a_branch_leads_to_the_commit(hub: RunningHub) -> None:
    assert api(hub).model_info(model.REPOSITORY).sha == COMMIT
    assert api(hub).model_info(model.REPOSITORY, revision="main").sha == COMMIT


def test_the_tree_names_large_files_by_sha256_and_small_ones_by_their_git_blob(hub: RunningHub) -> None:
    entries = api(hub).list_repo_tree(model.REPOSITORY, revision=COMMIT, recursive=True)
    files = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    contents = dict(model.files())

    assert {path: file.size for path, file in files.items()} == {name: len(data) for name, data in contents.items()}
    shard, config = files[SHARD], files["config.json"]
    assert shard.lfs is not None
    assert shard.lfs.sha256 == hashlib.sha256(contents[SHARD]).hexdigest()
    assert config.lfs is None
    blob = b"blob %d\0" % config.size + contents["config.json"]
    assert config.blob_id == hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def test_file_metadata_carries_commit_hash_and_size(hub: RunningHub) -> None:
    for name, content in model.files():
        url = hf_hub_url(model.REPOSITORY, name, revision=COMMIT, endpoint=hub.url)
        metadata = get_hf_file_metadata(url, token=False)

        assert (metadata.commit_hash, metadata.size) == (COMMIT, len(content))
        assert metadata.etag == repository.describe(name, size=len(content), chunks=[content]).etag
        assert metadata.xet_file_data is None


@pytest.mark.parametrize("name", [SHARD, "tokenizer.json"])
def test_a_range_is_served_while_the_file_is_the_same(hub: RunningHub, name: str) -> None:
    url = f"{hub.url}/{model.REPOSITORY}/resolve/{COMMIT}/{name}"
    content = dict(model.files())[name]
    with httpx.Client(follow_redirects=True) as http:
        etag = http.head(url).headers["ETag"]
        rest = http.get(url, headers={"Range": "bytes=1000-", "If-Range": etag})
        changed = http.get(url, headers={"Range": "bytes=1000-", "If-Range": '"another"'})
        beyond = http.get(url, headers={"Range": f"bytes={len(content)}-"})

    assert (rest.status_code, rest.content) == (httpx.codes.PARTIAL_CONTENT, content[1000:])
    assert rest.headers["Content-Range"] == f"bytes 1000-{len(content) - 1}/{len(content)}"
    assert (changed.status_code, changed.content) == (httpx.codes.OK, content)
    assert beyond.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE


def test_what_is_not_there_is_refused_as_the_hub_refuses_it(hub: RunningHub) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api(hub).model_info("rehearsal/other")
    with pytest.raises(RevisionNotFoundError):
        api(hub).model_info(model.REPOSITORY, revision="0" * 40)
    with pytest.raises(RemoteEntryNotFoundError):
        get_hf_file_metadata(hf_hub_url(model.REPOSITORY, "pytorch_model.bin", endpoint=hub.url), token=False)


def test_a_gated_repository_gives_its_files_to_the_right_token_only(tmp_path: Path) -> None:
    with hubs.running(tmp_path, f"--gated={model.REPOSITORY}", HUB_TOKEN="secret") as gated:
        for name in ("config.json", SHARD):
            url = hf_hub_url(model.REPOSITORY, name, revision=COMMIT, endpoint=gated.url)
            for token in (False, "wrong"):
                with pytest.raises(GatedRepoError):
                    get_hf_file_metadata(url, token=token)
            assert get_hf_file_metadata(url, token="secret").commit_hash == COMMIT
        assert api(gated).model_info(model.REPOSITORY).gated == "manual"


def test_a_wrong_token_is_refused_for_what_is_public_where_a_token_is_known(hub: RunningHub, tmp_path: Path) -> None:
    paths = [
        f"/api/models/{model.REPOSITORY}",
        f"/api/models/{model.REPOSITORY}/tree/{COMMIT}",
        f"/{model.REPOSITORY}/resolve/{COMMIT}/config.json",
        f"/{model.REPOSITORY}/resolve/{COMMIT}/{SHARD}",
    ]

    def asked(hub: RunningHub, path: str, token: str | None) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return hub.http.get(f"{hub.url}{path}", headers=headers, follow_redirects=True)

    with hubs.running(tmp_path, HUB_TOKEN="secret") as public:
        for path in paths:
            assert [asked(public, path, token).status_code for token in (None, "secret", "wrong")] == [200, 200, 401]
            refused = asked(public, path, "wrong")
            message = "Invalid credentials in Authorization header"
            assert (refused.json(), refused.headers["X-Error-Message"]) == ({"error": message}, message)
            assert "X-Error-Code" not in refused.headers
        with pytest.raises(HfHubHTTPError, match="401") as fault:
            HfApi(endpoint=public.url, token="wrong").model_info(model.REPOSITORY)
        assert not isinstance(fault.value, RepositoryNotFoundError)
    assert [asked(hub, path, "wrong").status_code for path in paths] == [200] * 4


def test_folders_are_listed_level_by_level_or_all_at_once(tmp_path: Path) -> None:
    nested = tmp_path / "team" / "nested" / "original" / "deep"
    nested.mkdir(parents=True)
    (nested / "weights.bin").write_bytes(b"weights")
    (nested.parent.parent / "config.json").write_bytes(b"{}")

    def listed(hub: RunningHub, folder: str | None, *, recursive: bool) -> set[tuple[str, bool]]:
        entries = api(hub).list_repo_tree("team/nested", folder, recursive=recursive)
        return {(entry.path, isinstance(entry, RepoFolder)) for entry in entries}

    with hubs.running(tmp_path) as hub:
        assert listed(hub, None, recursive=False) == {("original", True), ("config.json", False)}
        assert listed(hub, "original", recursive=False) == {("original/deep", True)}
        assert listed(hub, None, recursive=True) == {
            ("original", True),
            ("original/deep", True),
            ("original/deep/weights.bin", False),
            ("config.json", False),
        }
