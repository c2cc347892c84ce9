"""The seeder as a process, from each kind of store but the hub: whole, resumed, and with a byte flipped underneath."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from rehearsal import registry, s3, toolchain
from rehearsal.places import Places

pytestmark = pytest.mark.engine

SECRET = "wJalrXUtnFEMI"
FOLDER = "llama/v1-0"
MODEL = "original/model.safetensors"
CONTENTS = {"config.json": b"{}", MODEL: bytes(range(256)) * 20_000}
SUMS = "".join(f"{hashlib.sha256(content).hexdigest()}  ./{name}\n" for name, content in CONTENTS.items()).encode()
PIN = f"@sha256:{hashlib.sha256(SUMS).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class Store:
    """Somewhere that has the files; `flip` damages the model in it so that its size and listing stay."""

    source: str
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str]
    flip: Callable[[], object]


def flipped(content: bytes) -> bytes:
    return content[:4_000_000] + bytes([content[4_000_000] ^ 1]) + content[4_000_001:]


def fill(folder: Path) -> Path:
    for name, content in {**CONTENTS, "SHA256SUMS": SUMS}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    mounted = fill(tmp_path / "mounted/models/llama").parent.parent
    model = mounted / "models/llama" / MODEL
    return Store(
        source=f"file:///models/llama{PIN}",
        flags=(f"--read-from={mounted}",),
        environment={},
        flip=lambda: model.write_bytes(flipped(CONTENTS[MODEL])),
    )


@pytest.fixture
def oci_store(tmp_path: Path) -> Iterator[Store]:
    program = toolchain.ensure_registry(Places.of_user())
    with registry.running(program, tmp_path / "registry") as url, httpx.Client(base_url=url) as client:
        digest = registry.push(client, "models/llama", CONTENTS)
        (blob,) = (
            path for path in tmp_path.glob("registry/storage/**/data") if path.stat().st_size == len(CONTENTS[MODEL])
        )
        auth = json.dumps({"auths": {"registry.test": {"username": "puller", "password": SECRET}}})
        yield Store(
            source=f"oci://registry.test/models/llama@{digest}",
            environment={"OCI_ENDPOINT": url, "REGISTRY_AUTH": auth},
            flip=lambda: blob.write_bytes(flipped(CONTENTS[MODEL])),
        )


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3.running(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture
def s3_store(s3_server: str) -> Store:
    client = s3.client(s3_server)
    client.create_bucket(Bucket="models")
    for name, content in {**CONTENTS, "SHA256SUMS": SUMS}.items():
        client.put_object(Bucket="models", Key=f"llama/v1/{name}", Body=content)
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": SECRET}
    return Store(
        source=f"s3://models/llama/v1{PIN}",
        environment={"AWS_ENDPOINT_URL_S3": s3_server, "AWS_EC2_METADATA_DISABLED": "true", **keys},
        flip=lambda: client.put_object(Bucket="models", Key=f"llama/v1/{MODEL}", Body=flipped(CONTENTS[MODEL])),
    )


@pytest.fixture(params=["folder", "oci", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found


def seeder(store: Store, command: str, *flags: str) -> tuple[int, str, str]:
    """Run a command of the seeder to its end; returns exit code, output and errors."""
    # As in the pod: no home to write to, and nothing of this process's credentials.
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": "images/weight-seeder"}
    done = subprocess.run(
        [sys.executable, "-m", "weight_seeder", command, f"--source={store.source}", *store.flags, *flags],
        env={**environment, **store.environment}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert SECRET not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def seed(store: Store, volume: Path) -> tuple[int, str, str]:
    return seeder(store, "seed", f"--volume={volume}", f"--folder={FOLDER}", "--metrics-port=0")


def seeded(volume: Path) -> dict[str, bytes]:
    """Contents by name, without what the seeder notes."""
    folder = volume / FOLDER
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != ".seeded.json"}


def test_a_store_is_listed_seeded_from_a_half_and_verified(store: Store, tmp_path: Path) -> None:
    code, listed, errors = seeder(store, "list", "--include=*", "--include=*/*", "--exclude=SHA256SUMS")
    assert (code, errors) == (0, "")
    assert json.loads(listed) == {
        "source": store.source,
        "files": [{"path": name, "size": len(content)} for name, content in CONTENTS.items()],
    }

    part = tmp_path / "volume/.incoming" / FOLDER.replace("/", "--") / f"{MODEL}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENTS[MODEL][:3_000_000])
    code, output, errors = seed(store, tmp_path / "volume")

    assert (code, errors) == (0, "")
    assert "3.00 MB are here already" in output
    assert seeded(tmp_path / "volume") == CONTENTS
    manifest = json.loads((tmp_path / "volume" / FOLDER / ".seeded.json").read_text())
    assert {file["path"]: file["sha256"] for file in manifest["files"]} == {
        name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()
    }
    assert SECRET not in json.dumps(manifest)


def test_a_flipped_byte_is_refused_and_nothing_is_published(store: Store, tmp_path: Path) -> None:
    store.flip()

    code, _, errors = seed(store, tmp_path / "volume")

    assert code == 2
    assert f"checksum mismatch: {MODEL} has the sha256" in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "volume" / FOLDER).exists()
