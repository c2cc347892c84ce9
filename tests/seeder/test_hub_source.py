"""Large files of a hub with TLS, which are read below the HTTP library, and where they are not."""

from __future__ import annotations

import hashlib
import os
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest
from huggingface_hub import constants
from weight_seeder.files import Digest, File
from weight_seeder.sources import hub
from weight_seeder.sources.hub import HubSource

from tests.seeder.answering import Answer, Asked, answering
from tests.seeder.certificates import certify

CONTENT = os.urandom(5 << 20)
FILE = File(
    path="model.safetensors",
    size=len(CONTENT),
    digest=Digest(kind="sha256", value=hashlib.sha256(CONTENT).hexdigest()),
)
SOURCE = f"hf://owner/name@{'1' * 40}"


def reply(asked: Asked) -> Answer:
    """The content, from where it is asked for."""
    first = int(asked.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    return Answer(status=206 if first else 200, body=CONTENT[first:])


@pytest.mark.parametrize("offset", [0, 1 << 20, len(CONTENT) - 10])
def test_a_large_file_comes_whole_over_tls_from_any_byte_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    certificate, key = certify(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    with answering(reply, context=context) as server:
        # Made of HF_ENDPOINT when the client is imported.
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        with HubSource.parse(SOURCE, read_from=None).read(FILE, offset) as chunks:
            received = b"".join(bytes(chunk) for chunk in chunks)

    assert server.url.startswith("https://")
    assert received == CONTENT[offset:]


@pytest.mark.parametrize(
    ("version", "stream", "below"),
    [
        ("HTTP/1.1", {"socket": "plain", "ssl_object": None}, True),
        ("HTTP/1.1", {"socket": "tls", "ssl_object": "tls"}, True),
        ("HTTP/1.1", {"socket": "plain", "ssl_object": "tls in a proxy's tls"}, False),
        ("HTTP/2", {"socket": "tls", "ssl_object": "tls"}, False),
    ],
)
def test_what_is_below_the_library_is_read_only_where_it_is_the_body(
    monkeypatch: pytest.MonkeyPatch, version: str, stream: dict[str, Any], *, below: bool
) -> None:
    class Tls:
        """In place of an SSLSocket, which cannot be made without a connection."""

    monkeypatch.setattr(hub, "ssl", SimpleNamespace(SSLSocket=Tls))
    tls = Tls()
    found = {name: tls if value == "tls" else value for name, value in stream.items()}
    network = SimpleNamespace(get_extra_info=found.get)
    response = SimpleNamespace(http_version=version, extensions={"network_stream": network})

    assert (hub._socket(cast("httpx2.Response", response)) is not None) is below
