"""Layers and archives: the same input gives the same bytes, and containerd gets only what it lacks."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

from rehearsal.images.oci import Image, Layer, digest, import_into, manifest_digest, pack


def tree(root: Path, *, umask: int, mtime: int) -> Path:
    """The same files, made under different circumstances."""
    before = os.umask(umask)
    try:
        (root / "usr/bin").mkdir(parents=True)
        (root / "tmp").mkdir()
        for name in ("zeta", "alpha") if mtime % 2 else ("alpha", "zeta"):
            (root / name).write_text(name)
            os.utime(root / name, (mtime, mtime))
        (root / "usr/bin/tool").touch(mode=0o755)
        (root / "link").symlink_to("usr/bin")
    finally:
        os.umask(before)
    return root


def test_a_layer_depends_on_contents_alone_not_on_time_order_or_umask(tmp_path: Path) -> None:
    pack(tree(tmp_path / "one", umask=0o022, mtime=1), tmp_path / "one.tar")
    pack(tree(tmp_path / "two", umask=0o077, mtime=2), tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_layer_is_in_order_and_every_user_can_read_it_run_its_programs_and_write_to_tmp(tmp_path: Path) -> None:
    pack(tree(tmp_path / "root", umask=0o077, mtime=1), tmp_path / "layer.tar")
    with tarfile.open(tmp_path / "layer.tar") as layer:
        names = layer.getnames()
        modes = {entry.name: entry.mode for entry in layer if not entry.issym()}
        owners = {(entry.uid, entry.gid) for entry in layer}
    assert modes == {
        "alpha": 0o644,
        "tmp": 0o1777,
        "usr": 0o755,
        "usr/bin": 0o755,
        "usr/bin/tool": 0o755,
        "zeta": 0o644,
    }
    assert owners == {(0, 0)}
    assert names == ["alpha", "link", "tmp", "usr", "usr/bin", "usr/bin/tool", "zeta"]


def test_links_stay_links(tmp_path: Path) -> None:
    pack(tree(tmp_path / "root", umask=0o022, mtime=1), tmp_path / "layer.tar")
    with tarfile.open(tmp_path / "layer.tar") as layer:
        assert layer.getmember("link").linkname == "usr/bin"


def test_a_digest_tells_names_and_contents_apart(tmp_path: Path) -> None:
    for folder, name, content in (("a", "x", "1"), ("b", "y", "1"), ("c", "x", "2"), ("d", "x1", "")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(content)
    assert len({digest(tmp_path / folder) for folder in "abcd"}) == 4
    assert digest("ab", "c") != digest("a", "bc")


def test_a_digest_ignores_caches_of_bytecode(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("x = 1")
    before = digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/module.cpython-311.pyc").write_bytes(b"made by an import")
    assert digest(tmp_path) == before


def test_an_image_is_built_anew_when_a_layer_its_settings_or_its_name_change() -> None:
    def key(name: str = "docker.io/local/x:1", layer: str = "k", user: str = "65532") -> str:
        layers = (Layer(key=layer, fill=lambda _root: None),)
        return Image(name=name, layers=layers, settings=(("user", user),), seconds=1).key

    assert key() == key()
    assert len({key(), key(name="docker.io/local/x:2"), key(layer="other"), key(user="0")}) == 4


def archive(path: Path, manifest: str) -> Path:
    """An OCI archive as far as its index goes."""
    content = json.dumps({"manifests": [{"digest": manifest}]}).encode()
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo("index.json")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return path


def test_the_digest_of_an_archive_is_its_manifest_s(tmp_path: Path) -> None:
    assert manifest_digest(archive(tmp_path / "x.tar", "sha256:abc")) == "sha256:abc"


def test_only_images_that_containerd_lacks_or_has_otherwise_are_imported(tmp_path: Path) -> None:
    names = ("docker.io/local/same:1", "docker.io/local/changed:1", "docker.io/local/new:1")
    archives = {
        name: archive(tmp_path / f"{index}.tar", f"sha256:{index}{index}{index}") for index, name in enumerate(names)
    }
    ctr = tmp_path / "ctr"
    ctr.write_text(
        f"""#!/bin/sh
echo "$*" >> {tmp_path}/calls
[ "$6" = list ] || exit 0
echo "REF TYPE DIGEST SIZE PLATFORMS LABELS"
echo "{names[0]} application/vnd.oci.image.manifest.v1+json sha256:000 1.0 MiB linux/amd64 -"
echo "{names[1]} application/vnd.oci.image.manifest.v1+json sha256:old 1.0 MiB linux/amd64 -"
"""
    )
    ctr.chmod(0o755)

    assert import_into(ctr, tmp_path / "socket", archives) == list(names[1:])
    client = f"--address {tmp_path}/socket --namespace k8s.io images"
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"{client} list",
        f"{client} import --no-unpack --base-name docker.io/local/changed {tmp_path}/1.tar",
        f"{client} import --no-unpack --base-name docker.io/local/new {tmp_path}/2.tar",
    ]
