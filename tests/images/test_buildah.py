"""images/vllm, built for real by buildah on a base that stands in for vLLM's: what comes out, and what stays out."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal import images, toolchain
from rehearsal.hub import model
from rehearsal.places import CHECKOUT, Places
from tests.hub import hubs
from tests.hub.hubs import RunningHub
from tests.images.building import Builder, base_image, configuration, files

pytestmark = pytest.mark.engine
TOKEN = "hf_only-the-build-may-see-this"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub with the small model."""
    with hubs.running(tmp_path_factory.mktemp("hub")) as started:
        yield started


@pytest.fixture(scope="module")
def builder(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    """Buildah with the base in its storage, whose hub is ours."""
    places, folder = Places.of_user(), tmp_path_factory.mktemp("buildah")
    toolchain.ensure_cluster(places)
    made = Builder(unpacked=toolchain.ensure_buildah(places), folder=folder)
    seeder = images.build_all(places)[images.WEIGHT_SEEDER]
    base_image(made, seeder, places.debs / "bin/busybox", {"HF_ENDPOINT": hub.url})
    yield made
    shutil.rmtree(folder)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A copy of images/vllm that asks for one small package of our own."""
    folder = tmp_path / "vllm"
    shutil.copytree(CHECKOUT / "images/vllm", folder)
    wheel = wheels(folder) / "loader-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("loader.py", "LOADS = True\n")
        archive.writestr("loader-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: loader\nVersion: 1.0\n")
        archive.writestr("loader-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("loader-1.0.dist-info/RECORD", "")
    require(folder, hashlib.sha256(wheel.read_bytes()).hexdigest())
    return folder


def wheels(context: Path) -> Path:
    """Where the build finds packages, in place of a registry."""
    folder = context.parent / "wheels"
    folder.mkdir(exist_ok=True)
    return folder


def require(context: Path, checksum: str) -> None:
    (context / "requirements.txt").write_text(f"loader==1.0 --hash=sha256:{checksum}\n")


def into(archive: Path) -> str:
    return f"--tag=oci-archive:{archive}"


def volume(context: Path) -> str:
    return f"--volume={wheels(context)}:/wheels:ro"


def test_the_image_has_the_packages_and_no_weights(builder: Builder, context: Path, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    done = builder.build(context, volume(context), "--build-arg=REVISION=abc", into(archive))
    assert done.returncode == 0, done.stdout
    config = configuration(archive)["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["vllm", "serve"]
    assert config["Labels"]["org.opencontainers.image.revision"] == "abc"
    found = files(archive)
    assert [path for path in found if path.endswith("/loader.py")]
    assert [path for path in found if path.startswith(("weights/", "packages/", "wheels/"))] == []


def test_a_package_that_is_another_than_pinned_ends_the_build(builder: Builder, context: Path) -> None:
    require(context, "0" * 64)
    done = builder.build(context, volume(context))
    assert done.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stdout


def test_weights_are_baked_in_on_request_and_the_token_is_nowhere(
    builder: Builder, context: Path, hub: RunningHub, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    archive = tmp_path / "image.tar"
    weights = f"--build-arg=WEIGHTS=hf://{model.REPOSITORY}@{model.commit()}"
    secret = f"--secret=id=hf_token,src={tmp_path}/token"
    hub.inject()
    done = builder.build(context, volume(context), weights, secret, into(archive))
    assert done.returncode == 0, done.stdout
    found = files(archive)
    baked = {name: found[f"weights/{name}"] for name, _ in model.files()}
    assert baked == dict(model.files())
    assert TOKEN not in json.dumps(configuration(archive))
    assert [path for path, content in found.items() if TOKEN.encode() in content] == []
    assert hub.requests()
