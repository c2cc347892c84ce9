"""Container images as files: deterministic layers, OCI archives made by umoci, and their way into containerd."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from rehearsal.command import run
from rehearsal.progress import step

EPOCH = "1970-01-01T00:00:00Z"
NAMESPACE = "k8s.io"
"""The containerd namespace in which the kubelet's images live."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Part of a file system. `key` is a digest of all that `fill` puts into the empty folder that it is given."""

    key: str
    fill: Callable[[Path], None]


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image by its full name with a tag. `settings` are its configuration as umoci's `--config.*` flags name it."""

    name: str
    layers: tuple[Layer, ...]
    settings: tuple[tuple[str, str], ...]
    seconds: int

    @property
    def repository(self) -> str:
        """The name without its tag."""
        return self.name.rpartition(":")[0]

    @property
    def tag(self) -> str:
        """What follows the last colon of the name."""
        return self.name.rpartition(":")[2]

    @property
    def key(self) -> str:
        """Digest of everything that the image is made of."""
        return digest(self.name, repr(self.settings), *(layer.key for layer in self.layers))


def digest(*parts: str | Path) -> str:
    """SHA-256 in hex over texts, files and folders (their files by relative path, caches of bytecode aside)."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            contents = [("", part.encode())]
        else:
            contents = [(str(file.relative_to(part)), file.read_bytes()) for file in sources(part)]
        for name, content in contents:
            total.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(content).digest())
    return total.hexdigest()


def sources(path: Path) -> list[Path]:
    """The file itself, or the folder's files in order without Python's caches."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def pack(folder: Path, archive: Path) -> None:
    """Writes a tar of the folder that depends on names, contents and executability, not on time, owner or umask."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        entry.mode = 0o1777 if entry.name == "tmp" else 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, str(path.relative_to(folder)), recursive=False, filter=plain)


def build(image: Image, cache: Path, umoci: Path) -> Path:
    """The image's OCI archive in `cache`, built unless one of the same contents lies there. Older ones are removed."""
    stem = image.repository.rpartition("/")[2]
    archive = cache / f"{stem}-{image.key}.tar"
    if archive.exists():
        return archive
    work = cache / f".{stem}.building"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with step(f"build image {image.name}", about_s=image.seconds):
        layout, reference = work / "layout", f"{work / 'layout'}:{image.tag}"
        run(umoci, "init", "--layout", layout)
        run(umoci, "new", "--image", reference)
        for layer in image.layers:
            root, packed = work / "root", work / "layer.tar"
            root.mkdir()
            layer.fill(root)
            pack(root, packed)
            run(umoci, "raw", "add-layer", "--image", reference, "--history.created", EPOCH, packed)
            shutil.rmtree(root)
        flags = [f"--config.{setting}={value}" for setting, value in image.settings]
        run(umoci, "config", "--image", reference, "--created", EPOCH, "--no-history", *flags)
        run(umoci, "gc", "--layout", layout)
        pack(layout, work / "archive.tar")
    for old in cache.glob(f"{stem}-{'?' * len(image.key)}.tar"):
        old.unlink()
    (work / "archive.tar").replace(archive)
    shutil.rmtree(work)
    return archive


def manifest_digest(archive: Path) -> str:
    """The digest (`sha256:...`) under which containerd knows the archive's one image."""
    with tarfile.open(archive) as tar:
        index = cast("IO[bytes]", tar.extractfile("index.json"))  # a regular file of every OCI layout
        return str(json.load(index)["manifests"][0]["digest"])


def import_into(ctr: Path, socket: Path, archives: Mapping[str, Path]) -> list[str]:
    """Loads the images that the containerd at `socket` does not have with the same digest; gives their names.

    `archives` are OCI archives by the image's full name.
    """
    client = (ctr, "--address", socket, "--namespace", NAMESPACE, "images")
    rows = [row.split() for row in run(*client, "list").splitlines()[1:]]
    present = {row[0]: row[2] for row in rows}
    wanted = {name: archive for name, archive in archives.items() if present.get(name) != manifest_digest(archive)}
    for name, archive in wanted.items():
        # Unpacked by the first container that needs it: most nodes run few of them.
        run(*client, "import", "--no-unpack", "--base-name", name.rpartition(":")[0], archive)
    return list(wanted)
