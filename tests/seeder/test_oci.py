"""OCI artifacts as a source: a real registry as a process, pushed to and pulled from over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from weight_seeder.faults import HopelessError, RangeIgnored, Transient
from weight_seeder.files import Digest, File, Selection
from weight_seeder.sources.oci import OciSource

from rehearsal import registry, toolchain
from rehearsal.places import Places
from rehearsal.registry import push, push_manifest
from tests.seeder.answering import Answer, Asked, answering

pytestmark = pytest.mark.engine

ALL = Selection()
MODEL = bytes(range(256)) * 9000
CONTENTS = {"config.json": b"{}", "original/model.safetensors": MODEL, "empty": b""}
REPOSITORY = "models/llama"
OPENED: list[OciSource] = []
PASSWORD = "open-sesame"
HTPASSWD = "puller:$2b$04$kCSzCnpr2WGUdSB5d4oGSO69b7f91dEs8pQeHCVBJiKTn3khW4si2\n"
"""The password's bcrypt, which is all that the registry takes; with 4 rounds, since it is checked on every request."""


@pytest.fixture(scope="module")
def program() -> Path:
    return toolchain.ensure_registry(Places.of_user())


@pytest.fixture(scope="module")
def url(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry.running(program, tmp_path_factory.mktemp("registry")) as url:
        yield url


@pytest.fixture
def client(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """What pushes to the registry; the seeder finds it by its environment."""
    monkeypatch.setenv("OCI_ENDPOINT", url)
    with httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGISTRY_AUTH", raising=False)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Ends the connections of the sources, which a seeder leaves to the end of its process."""
    yield
    for opened in OPENED:
        if "_client" in vars(opened):
            opened._client.close()
    OPENED.clear()


def source(digest: str, repository: str = REPOSITORY) -> OciSource:
    made = OciSource.parse(f"oci://registry.test/{repository}@{digest}", read_from=None, stall_seconds=5.0)
    OPENED.append(made)
    return made


def read(source: OciSource, file: File, offset: int = 0) -> bytes:
    with source.read(file, offset) as chunks:
        return b"".join(chunks)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def log_in(monkeypatch: pytest.MonkeyPatch, host: str = "registry.test", password: str = PASSWORD) -> None:
    """As a Secret of type kubernetes.io/dockerconfigjson."""
    auth = base64.b64encode(f"puller:{password}".encode()).decode()
    monkeypatch.setenv("REGISTRY_AUTH", json.dumps({"auths": {host: {"auth": auth}, "other.test": {"auth": "eDp5"}}}))


def test_an_artifact_is_its_titled_layers(client: httpx.Client) -> None:
    digest = push(client, REPOSITORY, CONTENTS)
    artifact = source(digest)

    files = artifact.files(ALL)

    assert files == [
        File(path=name, size=len(content), digest=Digest(kind="sha256", value=sha256(content)))
        for name, content in CONTENTS.items()
    ]
    assert {file.path: read(artifact, file) for file in files} == CONTENTS
    assert f"sha256:{artifact.revision}" == digest
    assert [file.path for file in artifact.files(Selection(include=["*.json"]))] == ["config.json"]


@pytest.mark.parametrize("offset", [1, 1 << 20, len(MODEL) - 1, len(MODEL)])
def test_a_layer_is_read_from_an_offset(client: httpx.Client, offset: int) -> None:
    artifact = source(push(client, REPOSITORY, {"model": MODEL}))

    assert read(artifact, artifact.files(ALL)[0], offset) == MODEL[offset:]


def test_a_file_is_pushed_from_the_disk_and_found_as_modelpack_names_it(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(MODEL)
    kind = "application/vnd.cncf.model.weight.v1.raw"
    digest = push(
        client, REPOSITORY, {"model": tmp_path / "model"}, annotation="org.cncf.model.filepath", media_type=kind
    )

    assert [(file.path, file.size) for file in source(digest).files(ALL)] == [("model", len(MODEL))]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"annotation": "title"}, r"\(without a title, application/vnd.oci.image.layer.v1.tar\) is not one file"),
        ({"more": {"io.deis.oras.content.unpack": "true"}}, "is not one file: push each file as a layer of its own"),
        ({"media_type": "application/vnd.cncf.model.weight.v1.tar"}, "is not one file: push each file as a layer"),
    ],
)
def test_layers_that_are_not_one_file_each_are_refused(
    client: httpx.Client, layers: dict[str, Any], message: str
) -> None:
    digest = push(client, REPOSITORY, {"model": MODEL}, **layers)

    with pytest.raises(HopelessError, match=message):
        source(digest).files(ALL)


def test_an_index_is_refused_with_what_is_wanted_instead(client: httpx.Client) -> None:
    inner = push(client, REPOSITORY, CONTENTS)
    size = len(client.get(f"/v2/{REPOSITORY}/manifests/{inner}", headers={"Accept": registry.MANIFEST}).content)
    kind = "application/vnd.oci.image.index.v1+json"
    entry = {"mediaType": registry.MANIFEST, "digest": inner, "size": size}
    digest = push_manifest(client, REPOSITORY, {"schemaVersion": 2, "mediaType": kind, "manifests": [entry]})

    with pytest.raises(HopelessError, match=rf"is no manifest of an artifact but {kind.replace('+', '.')}: give the"):
        source(digest).files(ALL)


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a", "./b")])
def test_layers_that_would_share_a_place_in_a_folder_are_refused(client: httpx.Client, names: tuple[str, str]) -> None:
    # Two layers may have one name, which a mapping cannot have.
    inner = push(client, REPOSITORY, {"first": b"1", "second": b"2"})
    document = client.get(f"/v2/{REPOSITORY}/manifests/{inner}", headers={"Accept": registry.MANIFEST}).json()
    for layer, name in zip(document["layers"], names, strict=True):
        layer["annotations"][registry.TITLE] = name
    digest = push_manifest(client, REPOSITORY, document)

    with pytest.raises(HopelessError, match="which is not the only one in its place"):
        source(digest).files(ALL)


def test_a_digest_or_repository_that_is_not_there_is_told(client: httpx.Client) -> None:
    push(client, REPOSITORY, CONTENTS)
    for missing in (source(f"sha256:{'0' * 64}"), source(f"sha256:{'0' * 64}", "models/other")):
        with pytest.raises(HopelessError, match="answered 404: no such artifact, or one that is hidden"):
            missing.files(ALL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("oci://r.test:5000/a/b:v1", r"`oras resolve r\.test:5000/a/b:v1`, and write oci://r\.test:5000/a/b@DIGEST"),
        ("oci://r.test/a/b", r"`oras resolve r\.test/a/b:TAG`"),
        (f"oci://r.test/a/b:v1@sha256:{'0' * 64}", "names no digest"),
        (f"oci://r.test/a/b@sha256:{'0' * 63}", "names no digest"),
        (f"oci://r.test@sha256:{'0' * 64}", "is not of the form"),
        (f"oci://r.test/A@sha256:{'0' * 64}", "is not of the form"),
    ],
)
def test_other_forms_are_refused(text: str, message: str) -> None:
    with pytest.raises(HopelessError, match=message):
        OciSource.parse(text, read_from=None)


def test_a_private_registry_with_passwords(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "registry", "path": str(tmp_path / "htpasswd")}}
    with registry.running(program, tmp_path / "registry", auth=auth) as url:
        monkeypatch.setenv("OCI_ENDPOINT", url)
        with httpx.Client(base_url=url, auth=("puller", PASSWORD)) as client:
            digest = push(client, REPOSITORY, CONTENTS)

        for password in (None, "wrong-sesame"):
            if password:
                log_in(monkeypatch, password=password)
            with pytest.raises(HopelessError, match=r"answered 401: give the model a Secret of type .*docker") as fault:
                source(digest).files(ALL)
            assert "sesame" not in str(fault.value)
        for host in ("registry.test", "https://registry.test/v1/", "registry.test/models"):
            log_in(monkeypatch, host)
            artifact = source(digest)
            assert {file.path: read(artifact, file) for file in artifact.files(ALL)} == CONTENTS
        log_in(monkeypatch, "registry.test/mod")
        with pytest.raises(HopelessError, match="answered 401"):
            source(digest).files(ALL)


class TokenServer:
    """Gives tokens, signed as Distribution wants them, to who knows the password; counts them."""

    def __init__(self, folder: Path) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens")])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .sign(self.key, hashes.SHA256())
        )
        self.bundle = folder / "tokens.pem"
        self.bundle.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def settings(self, realm: str) -> dict[str, Any]:
        about = {"service": "registry.test", "issuer": "tokens", "rootcertbundle": str(self.bundle)}
        return {"token": {"realm": realm, **about}}

    def reply(self, asked: Asked) -> Answer:
        query = parse_qs(urlsplit(asked.path).query)
        wanted = f"Basic {base64.b64encode(f'puller:{PASSWORD}'.encode()).decode()}"
        if asked.headers.get("authorization") != wanted:
            return Answer(status=401)
        kind, name, actions = query["scope"][0].split(":")
        access = {"type": kind, "name": name, "actions": actions.split(",")}
        return Answer(body=json.dumps({"token": self.token(query["service"][0], access)}).encode())

    def token(self, service: str, access: dict[str, Any]) -> str:
        now = int(time.time())
        chain = [base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()]
        claims = {"iss": "tokens", "sub": "puller", "aud": service, "jti": "1", "access": [access]}
        times = {"iat": now, "nbf": now - 60, "exp": now + 300}
        parts = [{"typ": "JWT", "alg": "RS256", "x5c": chain}, claims | times]
        signed = b".".join(self.encoded(json.dumps(part).encode()) for part in parts)
        return b".".join([signed, self.encoded(self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256()))]).decode()

    @staticmethod
    def encoded(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")


def test_a_private_registry_with_a_token_server(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = TokenServer(tmp_path)
    access = {"type": "repository", "name": REPOSITORY, "actions": ["push", "pull"]}
    pusher = {"Authorization": f"Bearer {tokens.token('registry.test', access)}"}
    with (
        answering(tokens.reply) as server,
        registry.running(program, tmp_path / "registry", auth=tokens.settings(f"{server.url}/token")) as url,
        httpx.Client(base_url=url, headers=pusher) as client,
    ):
        monkeypatch.setenv("OCI_ENDPOINT", url)
        digest = push(client, REPOSITORY, CONTENTS)

        with pytest.raises(HopelessError, match=r"the token server 127\.0\.0\.1 answered 401 and gave no token: give"):
            source(digest).files(ALL)
        server.asked.clear()
        log_in(monkeypatch)
        artifact = source(digest)
        assert {file.path: read(artifact, file) for file in artifact.files(ALL)} == CONTENTS

    # One token for all of it, and for pulling only.
    (asked,) = server.asked
    assert parse_qs(urlsplit(asked.path).query) == {
        "service": ["registry.test"],
        "scope": [f"repository:{REPOSITORY}:pull"],
    }


def test_a_token_that_has_run_out_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = json.dumps({"layers": []}).encode()
    given: list[str] = []

    def reply(asked: Asked) -> Answer:
        if asked.path.startswith("/token"):
            given.append(f"t{len(given)}")
            return Answer(body=json.dumps({"access_token": given[-1]}).encode())
        if len(given) < 2 or asked.headers.get("authorization") != f"Bearer {given[-1]}":
            challenge = f'Bearer realm="http://{asked.headers["host"]}/token",service="s"'
            return Answer(status=401, headers={"WWW-Authenticate": challenge})
        return Answer(body=manifest)

    with answering(reply) as server:
        monkeypatch.setenv("OCI_ENDPOINT", server.url)
        artifact = source(f"sha256:{sha256(manifest)}")
        with pytest.raises(HopelessError, match="answered 401"):
            artifact.files(ALL)  # a registry that takes no token is not asked for ever
        assert artifact.files(ALL) == []

    assert given == ["t0", "t1"]


def test_a_token_server_in_clear_is_not_told_the_password_of_a_registry_with_tls() -> None:
    # Unit-sized: a registry with TLS takes a certificate that the client would have to trust.
    import httpx2  # noqa: PLC0415 - nothing else here needs it
    from weight_seeder.sources.oci_login import Login  # noqa: PLC0415 - as above

    request = httpx2.Request("GET", "https://registry.test/v2/a/manifests/x")
    flow = Login(registry="registry.test", repository="a").sync_auth_flow(request)
    next(flow)
    challenge = {"WWW-Authenticate": 'Bearer realm="http://evil.test/token"'}
    with pytest.raises(HopelessError, match=r"a token server that is not asked: http://evil\.test"):
        flow.send(httpx2.Response(401, headers=challenge, request=request))


def test_another_host_that_has_the_blobs_is_not_told_who_asks(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "registry", "path": str(tmp_path / "htpasswd")}}
    storage = tmp_path / "registry" / "storage"

    def serve(asked: Asked) -> Answer:
        content = (storage / asked.path.lstrip("/")).read_bytes()
        begun = int(asked.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        return Answer(status=206 if begun else 200, body=content[begun:])

    with answering(serve) as elsewhere:
        redirect = {"storage": [{"name": "redirect", "options": {"baseurl": elsewhere.url}}]}
        with registry.running(program, tmp_path / "registry", auth=auth, middleware=redirect) as url:
            monkeypatch.setenv("OCI_ENDPOINT", url)
            log_in(monkeypatch)
            with httpx.Client(base_url=url, auth=("puller", PASSWORD)) as client:
                artifact = source(push(client, REPOSITORY, {"model": MODEL}))
            (file,) = artifact.files(ALL)
            assert read(artifact, file) == MODEL
            assert read(artifact, file, 1000) == MODEL[1000:]

    assert [asked.headers.get("range") for asked in elsewhere.asked] == [None, "bytes=1000-"]
    assert not [asked for asked in elsewhere.asked if "authorization" in asked.headers or PASSWORD in str(asked)]


def test_another_host_that_asks_who_it_is_gets_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(monkeypatch)
    challenge = Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="mine"'})
    with answering(lambda _: challenge) as thief:
        moved = Answer(status=307, headers={"Location": f"{thief.url}/blob"})
        with answering(lambda _: moved) as server:
            monkeypatch.setenv("OCI_ENDPOINT", server.url)
            with pytest.raises(Transient, match="answered 401"):
                source(f"sha256:{'0' * 64}").files(ALL)

    assert [asked.headers.get("authorization") for asked in thief.asked] == [None]


@pytest.mark.parametrize("status", [401, 403])
def test_another_host_whose_signature_ran_out_is_asked_again_and_the_registry_is_not(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    file = File(path="m", size=len(MODEL), digest=sha_digest())
    with answering(lambda _: Answer(status=status)) as storage:
        for location, kind in ((f"{storage.url}/blob?X-Signature=secret", Transient), ("/blob", HopelessError)):
            moved = Answer(status=307, headers={"Location": location})

            def reply(asked: Asked, moved: Answer = moved) -> Answer:
                return Answer(status=status) if asked.path == "/blob" else moved

            with answering(reply) as server:
                monkeypatch.setenv("OCI_ENDPOINT", server.url)
                with pytest.raises(kind, match=f"answered {status}") as fault:
                    read(source(f"sha256:{'0' * 64}"), file)
            assert "secret" not in str(fault.value)


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (Answer(status=429, headers={"Retry-After": "7"}), Transient, "answered 429"),
        (Answer(status=503), Transient, "answered 503"),
        (Answer(status=400), HopelessError, "answered 400"),
        (Answer(body=b"{}", headers={"Content-Length": "9"}), Transient, r"broke or fell silent \(RemoteProtocolError"),
        (Answer(body=b"{}"), HopelessError, "checksum mismatch: the manifest that came for oci://"),
        (Answer(body=bytes((4 << 20) + 1)), HopelessError, "its manifest has more than 4194304 bytes"),
        (Answer(status=302, headers={"Location": "/again"}), HopelessError, r"make no sense \(TooManyRedirects\)"),
    ],
)
def test_an_error_is_one_line_that_holds_no_secret(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, kind: type[Exception], text: str
) -> None:
    log_in(monkeypatch)
    with answering(lambda _: answer) as server:
        monkeypatch.setenv("OCI_ENDPOINT", server.url.replace("//", "//user:hunter2@"))
        artifact = source(f"sha256:{'0' * 64}")
        with pytest.raises(kind, match=text) as fault:
            artifact.files(ALL)

    assert len(str(fault.value).splitlines()) == 1
    assert not [secret for secret in ("hunter2", PASSWORD) if secret in str(fault.value)]
    if isinstance(fault.value, Transient):
        assert fault.value.retry_after == (7.0 if "429" in text else None)


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"layers": [{}]}', b'{"layers": {}}', b'{"layers": ["x"]}'])
def test_a_manifest_of_another_form_is_refused(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    with answering(lambda _: Answer(body=content)) as server:
        monkeypatch.setenv("OCI_ENDPOINT", server.url)
        with pytest.raises(HopelessError, match=r"not of the form that OCI specifies|is no manifest of an artifact"):
            source(f"sha256:{sha256(content)}").files(ALL)


def test_a_registry_that_knows_no_ranges_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda _: Answer(body=MODEL)) as server:
        monkeypatch.setenv("OCI_ENDPOINT", server.url)
        with pytest.raises(RangeIgnored):
            read(source(f"sha256:{'0' * 64}"), File(path="m", size=len(MODEL), digest=sha_digest()), 10)


@pytest.mark.parametrize(
    ("status", "body", "content_range"),
    [
        (200, b"<html>try again", None),
        (206, MODEL[10:], f"bytes 0-{len(MODEL) - 1}/{len(MODEL)}"),
        (206, MODEL[10:-1], f"bytes 10-{len(MODEL) - 2}/{len(MODEL) - 1}"),
        (206, MODEL[9:], f"bytes 10-{len(MODEL) - 1}/{len(MODEL)}"),
        (206, MODEL[9:], None),
    ],
)
def test_a_wrong_rest_is_refused_before_a_byte_and_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, content_range: str | None
) -> None:
    headers = {"Content-Range": content_range} if content_range else {}
    file = File(path="m", size=len(MODEL), digest=sha_digest())
    with answering(lambda _: Answer(status=status, body=body, headers=headers)) as server:
        monkeypatch.setenv("OCI_ENDPOINT", server.url)
        with (
            pytest.raises(Transient, match=r"m: asked for it from byte 10 .*on, and got"),
            source(f"sha256:{'0' * 64}").read(file, 10),
        ):
            pytest.fail("it was taken")


def sha_digest() -> Digest:
    return Digest(kind="sha256", value=sha256(MODEL))


@pytest.mark.parametrize("endpoint", ["registry.test", "http://registry.test:hunter2"])
def test_an_endpoint_that_is_no_address_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("OCI_ENDPOINT", endpoint)
    with pytest.raises(HopelessError, match="OCI_ENDPOINT is not an http:// or https:// address"):
        source(f"sha256:{'0' * 64}").files(ALL)


@pytest.mark.parametrize("text", ["hunter2", "{}", '{"auths": {"registry.test": {"auth": "hunter2a!"}}}'])
def test_credentials_that_cannot_be_read_are_not_repeated(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("REGISTRY_AUTH", text)
    with pytest.raises(HopelessError, match=r"REGISTRY_AUTH is not what a \.dockerconfigjson holds") as fault:
        source(f"sha256:{'0' * 64}").files(ALL)
    assert "hunter2" not in str(fault.value)
