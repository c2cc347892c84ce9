"""S3 as a source: the real SDK against moto's server over HTTP, and against answers that moto does not give."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from weight_seeder.digests import hasher
from weight_seeder.faults import HopelessError, RangeIgnored, SeedError, Transient
from weight_seeder.files import Digest, File, Selection
from weight_seeder.sources.s3 import S3Source

from rehearsal import s3
from tests.seeder.answering import Answer, Asked, answering

pytestmark = pytest.mark.engine

SECRET = "wJalrXUtnFEMI"
ALL = Selection()
MODEL = bytes(range(256)) * 9000
PART_BYTES = 5 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as environment:
        # Pages as S3 has them with a thousand objects in each, without the time that it takes to make so many.
        environment.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
        with s3.running(tmp_path_factory.mktemp("s3")) as url:
            yield url


@pytest.fixture(scope="module")
def client(server: str) -> Any:
    return s3.client(server)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    values = {"ACCESS_KEY_ID": "AKIA", "SECRET_ACCESS_KEY": SECRET, "DEFAULT_REGION": "us-east-1"}
    for name, value in {**values, "CONFIG_FILE": "/dev/null", "SHARED_CREDENTIALS_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def bucket(
    server: str, client: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Any]:
    """A bucket of the test's own, and a client that fills it; the seeder finds the server by its environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server)
    name = f"b{hashlib.sha256(request.node.name.encode()).hexdigest()[:20]}"
    client.create_bucket(Bucket=name)
    return name, client


def put(bucket: tuple[str, Any], key: str, content: bytes, algorithm: str = "CRC64NVME") -> None:
    name, client = bucket
    client.put_object(Bucket=name, Key=key, Body=content, ChecksumAlgorithm=algorithm)


def put_in_parts(bucket: tuple[str, Any], key: str, parts: list[bytes], algorithm: str, kind: str) -> None:
    name, client = bucket
    about = {"Bucket": name, "Key": key}
    upload = client.create_multipart_upload(**about, ChecksumAlgorithm=algorithm, ChecksumType=kind)["UploadId"]
    done = [
        client.upload_part(**about, UploadId=upload, PartNumber=number, Body=part, ChecksumAlgorithm=algorithm)
        for number, part in enumerate(parts, start=1)
    ]
    name = f"Checksum{algorithm}"
    listed = [{"PartNumber": n, "ETag": part["ETag"], name: part[name]} for n, part in enumerate(done, start=1)]
    client.complete_multipart_upload(**about, UploadId=upload, MultipartUpload={"Parts": listed})


def source(bucket: tuple[str, Any], rest: str = "llama/v1") -> S3Source:
    return S3Source.parse(f"s3://{bucket[0]}/{rest}", read_from=None, stall_seconds=5.0)


def read(source: S3Source, file: File, offset: int = 0) -> bytes:
    with source.read(file, offset) as chunks:
        return b"".join(chunks)


def digest(kind: str, content: bytes) -> Digest:
    computed = hasher(kind, len(content))
    computed.update(memoryview(content))
    return Digest(kind=kind, value=computed.hexdigest())


@pytest.mark.parametrize("kind", ["sha256", "crc64nvme", "crc32c", "crc32"])
def test_an_object_has_the_checksum_that_it_was_uploaded_with(bucket: tuple[str, Any], kind: str) -> None:
    put(bucket, "llama/v1/model.safetensors", MODEL, kind.upper())
    put(bucket, "llama/v10/other", b"")
    store = source(bucket)

    (file,) = store.files(ALL)

    assert file == File(path="model.safetensors", size=len(MODEL), digest=digest(kind, MODEL))
    assert read(store, file) == MODEL


@pytest.mark.parametrize("offset", [1, 1 << 20, len(MODEL) - 1, len(MODEL)])
def test_an_object_is_read_from_an_offset(bucket: tuple[str, Any], offset: int) -> None:
    put(bucket, "llama/v1/model.safetensors", MODEL)
    store = source(bucket)

    assert read(store, store.files(ALL)[0], offset) == MODEL[offset:]


def test_empty_objects_folders_and_the_selection(bucket: tuple[str, Any]) -> None:
    for key in ("llama/v1/", "llama/v1/original/", "llama/v1/original/a b+c%2F.json", "llama/v1/empty.json"):
        put(bucket, key, b"")
    store = source(bucket)

    files = store.files(Selection(include=["*.json", "*/*.json"]))

    assert [file.path for file in files] == ["empty.json", "original/a b+c%2F.json"]
    assert [read(store, file) for file in files] == [b"", b""]
    assert store.files(Selection(include=["*.gguf"])) == []


def test_more_objects_than_a_page_holds_are_all_listed(bucket: tuple[str, Any]) -> None:
    names = [f"{number:03}" for number in range(31)]
    for name in names:
        put(bucket, f"llama/v1/{name}", b"")
    assert bucket[1].list_objects_v2(Bucket=bucket[0])["IsTruncated"]

    assert [file.path for file in source(bucket).files(ALL)] == names


def test_the_composite_checksum_of_an_upload_in_parts_is_not_taken_for_one(bucket: tuple[str, Any]) -> None:
    put_in_parts(bucket, "llama/v1/model", [b"x" * PART_BYTES, b"y"], "SHA256", "COMPOSITE")

    with pytest.raises(HopelessError, match=r"llama/v1/model has no checksum of its whole content: upload it again"):
        source(bucket).files(ALL)


def test_the_full_checksum_of_an_upload_in_parts_is_taken(bucket: tuple[str, Any]) -> None:
    put_in_parts(bucket, "llama/v1/model", [b"x" * PART_BYTES, b"y"], "CRC64NVME", "FULL_OBJECT")

    (file,) = source(bucket).files(ALL)

    assert (file.size, file.digest.kind) == (PART_BYTES + 1, "crc64nvme")


def test_the_sums_that_the_source_pins_are_used_and_decide_what_there_is(
    bucket: tuple[str, Any], tmp_path: Path
) -> None:
    contents = {"config.json": b"{}", "original/model.safetensors": MODEL}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    command = "find . -type f ! -name SHA256SUMS -exec sha256sum {} + > SHA256SUMS && sha256sum SHA256SUMS"
    printed = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        # Without a full checksum of their own.
        put(bucket, f"llama/v1/{path.relative_to(tmp_path)}", path.read_bytes(), "SHA1")
    put(bucket, "llama/v1/added later", b"")
    store = source(bucket, f"llama/v1@sha256:{printed.split()[0]}")

    files = store.files(ALL)

    assert {file.path: (file.digest, read(store, file)) for file in files} == {
        name: (digest("sha256", content), content) for name, content in contents.items()
    }
    assert store.revision == printed.split()[0]
    put(bucket, "llama/v1/SHA256SUMS", (tmp_path / "SHA256SUMS").read_bytes() + b"\n")
    with pytest.raises(HopelessError, match=r"checksum mismatch: s3://.*/llama/v1/SHA256SUMS has the sha256"):
        store.files(ALL)


def test_a_pinned_source_needs_the_sums_and_what_they_name(bucket: tuple[str, Any]) -> None:
    put(bucket, "llama/v1/config.json", b"{}")
    with pytest.raises(HopelessError, match=r"llama/v1/SHA256SUMS: no such object, .* make it with `cd FOLDER && find"):
        source(bucket, f"llama/v1@sha256:{'0' * 64}").files(ALL)

    sums = f"{'0' * 64}  model.safetensors\n".encode()
    put(bucket, "llama/v1/SHA256SUMS", sums)
    with pytest.raises(HopelessError, match=r"SHA256SUMS names 'model.safetensors', which is not there: upload it"):
        source(bucket, f"llama/v1@sha256:{hashlib.sha256(sums).hexdigest()}").files(ALL)


def test_an_object_that_is_overwritten_after_the_listing_is_not_read(bucket: tuple[str, Any]) -> None:
    put(bucket, "llama/v1/model", MODEL)
    store = source(bucket)
    (file,) = store.files(ALL)
    put(bucket, "llama/v1/model", MODEL[::-1])

    with pytest.raises(SeedError, match="it was overwritten after it was listed: run again") as fault:
        read(store, file, 1000)

    assert fault.value.exit_code == 1
    (file,) = store.files(ALL)
    assert read(store, file) == MODEL[::-1]


def test_an_object_that_is_removed_after_the_listing_ends_the_run(bucket: tuple[str, Any]) -> None:
    put(bucket, "llama/v1/model", MODEL)
    store = source(bucket)
    (file,) = store.files(ALL)
    bucket[1].delete_object(Bucket=bucket[0], Key="llama/v1/model")

    with pytest.raises(SeedError, match="it was removed after it was listed: run again"):
        read(store, file)


@pytest.mark.parametrize("keys", [("a//b",), ("./a",), ("a", "a/b")])
def test_keys_that_would_share_a_place_in_a_folder_are_refused(bucket: tuple[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        put(bucket, f"llama/v1/{key}", b"")

    with pytest.raises(HopelessError, match="which is not the only one in its place"):
        source(bucket).files(ALL)


def test_nothing_below_the_prefix_and_no_such_bucket_are_told_apart(bucket: tuple[str, Any]) -> None:
    with pytest.raises(
        HopelessError, match=rf"nothing is below this prefix: see `aws s3 ls s3://{bucket[0]}/llama/v1/`"
    ):
        source(bucket).files(ALL)
    with pytest.raises(HopelessError, match=r"cannot list s3://nosuch/llama/v1/: S3 answered 404 NoSuchBucket: mend"):
        source(("nosuch", None)).files(ALL)


def test_without_credentials_the_ways_to_give_them_are_named(
    bucket: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(
        SeedError, match=r"no credentials: give the model a Secret .*weights.credentials.*Account"
    ) as it:
        source(bucket).files(ALL)
    # The next pod may have them: those of a new role come late.
    assert not isinstance(it.value, HopelessError)


def test_a_role_that_may_not_read_is_asked_again_since_a_new_one_is_known_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/none")
    with answering(lambda _: error(403, "AccessDenied")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        with pytest.raises(SeedError, match="allow s3:ListBucket and s3:GetObject") as fault:
            source(("bucket", None)).files(ALL)
    assert not isinstance(fault.value, HopelessError)


def test_a_service_account_without_its_role_is_told(
    bucket: tuple[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    (tmp_path / "token").write_text("a token of the cluster's")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/weights")
    body = b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
    with answering(lambda _: Answer(status=403, body=body)) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        with pytest.raises(HopelessError, match="STS answered 403 AccessDenied: mend the trust policy of the role"):
            source(bucket).files(ALL)


def error(status: int, code: str, **headers: str) -> Answer:
    """As S3 answers, with a message that repeats what it should not."""
    body = f"<Error><Code>{code}</Code><Message>the key {SECRET}</Message></Error>".encode()
    return Answer(status=status, body=body, headers=headers)


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (error(503, "SlowDown", **{"Retry-After": "7"}), Transient, "S3 answered 503 SlowDown"),
        (error(500, "InternalError"), Transient, "S3 answered 500 InternalError"),
        (error(400, "RequestTimeout"), Transient, "S3 answered 400 RequestTimeout"),
        (error(403, "AccessDenied"), HopelessError, "allow s3:ListBucket and s3:GetObject"),
        (error(403, "SignatureDoesNotMatch"), HopelessError, "the credentials are not valid"),
        (
            error(301, "PermanentRedirect", **{"x-amz-bucket-region": "eu-west-1"}),
            HopelessError,
            "the bucket is in another region: set weights.region to it",
        ),
        (error(400, "InvalidArgument"), HopelessError, "S3 answered 400 InvalidArgument"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do_and_holds_no_secret(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, kind: type[Exception], text: str
) -> None:
    with answering(lambda _: answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url.replace("//", "//user:hunter2@"))
        with pytest.raises(kind, match=text) as fault:
            source(("bucket", None)).files(ALL)

    assert len(str(fault.value).splitlines()) == 1
    assert not [secret for secret in (SECRET, "hunter2") if secret in str(fault.value)]
    # The seeder's loop tries again, and not the SDK beside it.
    assert len(server.asked) == (2 if "region" in text else 1)
    if isinstance(fault.value, Transient):
        assert fault.value.retry_after == (7.0 if "503" in text else None)


@pytest.mark.parametrize("deeper", range(0, 100, 9))
def test_an_endpoint_that_redirects_everything_is_told_and_not_followed_for_ever(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, deeper: int
) -> None:
    """Wherever in botocore the recursion reaches its limit."""
    limit = sys.getrecursionlimit()
    request.addfinalizer(lambda: sys.setrecursionlimit(limit))
    sys.setrecursionlimit(limit + deeper)
    with answering(lambda _: Answer(status=301, headers={"Location": "https://127.0.0.1/"})) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        with pytest.raises(HopelessError, match="the endpoint redirects every request: mend it"):
            source(("bucket", None)).files(ALL)


@pytest.mark.parametrize("endpoint", ["ftp//:x", "http://"])
def test_an_endpoint_that_is_no_address_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"{endpoint}user:hunter2@")
    with pytest.raises(HopelessError, match="AWS_ENDPOINT_URL_S3") as fault:
        source(("bucket", None)).files(ALL)
    assert "hunter2" not in str(fault.value)


def listing(etag: str = '"e"') -> bytes:
    entry = f"<Contents><Key>llama/v1/model</Key><Size>{len(MODEL)}</Size><ETag>{etag}</ETag></Contents>"
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entry}</ListBucketResult>".encode()


def reply(asked: Asked, content: Answer) -> Answer:
    """A listing with one object, its checksum as most endpoints tell it, and what is given for its content."""
    if "list-type" in asked.path:
        return Answer(body=listing())
    if "range" not in asked.headers and "if-match" not in asked.headers:
        value = base64.b64encode(bytes.fromhex(digest("sha256", MODEL).value)).decode()
        return Answer(body=MODEL, headers={"ETag": '"e"', "x-amz-checksum-sha256": value})
    return content


def partial(content_range: str, more: bytes = b"") -> Answer:
    """What is told to be that range, with the bytes from 1000 on."""
    return Answer(status=206, body=MODEL[1000:] + more, headers={"ETag": '"e"', "Content-Range": content_range})


def test_a_connection_that_breaks_is_worth_another_try_after_the_bytes_that_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut = Answer(body=MODEL[:1_500_000], headers={"Content-Length": str(len(MODEL)), "Connection": "close"})
    with answering(lambda asked: reply(asked, cut)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        store = source(("bucket", None))
        (file,) = store.files(ALL)
        arrived: list[bytes] = []
        with pytest.raises(Transient, match="the connection broke or fell silent"), store.read(file, 0) as chunks:
            arrived.extend(chunks)

    assert b"".join(arrived) == MODEL[:1_500_000]
    assert server.asked[-1].headers["if-match"] == '"e"'


def test_an_endpoint_that_knows_no_ranges_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda asked: reply(asked, Answer(body=MODEL))) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        store = source(("bucket", None))
        (file,) = store.files(ALL)
        with pytest.raises(RangeIgnored):
            read(store, file, 1000)


@pytest.mark.parametrize(
    "wrong",
    [
        Answer(body=b"<html>try again"),
        partial(f"bytes 0-{len(MODEL) - 1}/{len(MODEL)}"),
        partial(f"bytes 1000-{len(MODEL) - 2}/{len(MODEL) - 1}"),
        partial(f"bytes 1000-{len(MODEL)}/{len(MODEL) + 1}"),
        partial(f"bytes 1000-{len(MODEL) - 1}/{len(MODEL)}", more=b"x"),
    ],
)
def test_a_wrong_rest_is_refused_before_a_byte_and_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, wrong: Answer
) -> None:
    with answering(lambda asked: reply(asked, wrong)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        store = source(("bucket", None))
        (file,) = store.files(ALL)
        with (
            pytest.raises(Transient, match=r"model: asked for it from byte 1000 .*on, and got"),
            store.read(file, 1000),
        ):
            pytest.fail("it was taken")


def test_an_endpoint_that_cannot_be_reached_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda _: Answer()) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    with pytest.raises(Transient, match=r"cannot list s3://bucket/llama/v1/: the endpoint cannot be reached"):
        source(("bucket", None)).files(ALL)


@pytest.mark.parametrize(
    "text", ["s3://bucket", "s3://bucket/", "s3://bucket/v1/", "s3://Bucket/v1", "s3://bucket/v1@main", "s3:///v1"]
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(HopelessError, match="is not of the form s3://BUCKET/PREFIX"):
        S3Source.parse(text, read_from=None)
