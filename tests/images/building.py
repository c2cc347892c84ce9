"""Building a Dockerfile for real: Debian's buildah, and a base that stands in for one from a registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASE = "localhost/base:1"

# buildah starts itself again without LD_LIBRARY_PATH: its libraries have to be where the loader looks. Seen in a mount
# namespace of its own, so that nothing of the host changes.
_SCRIPT = """
mount -t overlay overlay -o "lowerdir=$LIBRARIES:$SYSTEM" "$SYSTEM"
exec "$BUILDAH" --storage-driver overlay "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Builder:
    """buildah with a storage of its own."""

    unpacked: Path
    folder: Path

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run buildah and give what it says, whether it succeeds or not."""
        architecture = f"{os.uname().machine}-linux-gnu"
        environment = {
            "PATH": os.environ["PATH"],
            "BUILDAH": str(self.unpacked / "usr/bin/buildah"),
            "LIBRARIES": f"{self.unpacked}/usr/lib/{architecture}:{self.unpacked}/lib/{architecture}",
            "SYSTEM": f"/usr/lib/{architecture}",
            "CONTAINERS_STORAGE_CONF": str(self._write("storage.conf", self._storage())),
            # Without it buildah makes its networks' folder in the host's /etc.
            "CONTAINERS_CONF": str(
                self._write("containers.conf", f'[network]\nnetwork_config_dir = "{self.folder}/cni"\n')
            ),
            "CONTAINERS_REGISTRIES_CONF": str(self._write("registries.conf", "unqualified-search-registries = []\n")),
            "TMPDIR": str(self.folder),
            "HOME": str(self.folder),
        }
        return subprocess.run(
            ["unshare", "--mount", "--propagation=private", "/bin/sh", "-ec", _SCRIPT, "sh", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def build(self, context: Path, *options: str, base: str = BASE) -> subprocess.CompletedProcess[str]:
        """Build the Dockerfile in a folder on another base than it names."""
        policy = self._write("policy.json", json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
        fixed = (f"--signature-policy={policy}", "--isolation=chroot", f"--build-arg=BASE={base}", "--pull-never")
        return self("build", *fixed, *options, context)

    def _storage(self) -> str:
        return f'[storage]\ndriver = "overlay"\nrunroot = "{self.folder}/run"\ngraphroot = "{self.folder}/graph"\n'

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path


def base_image(builder: Builder, seeder: Path, shell: Path, environment: dict[str, str]) -> None:
    """Make `BASE`: what vLLM's image has for the build, on the seeder's: Python, the hub's client; pip and a shell."""
    context = builder.folder / "base"
    context.mkdir()
    (wheel,) = (builder.unpacked / "usr/share/python-wheels").glob("pip-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(context / "pip")  # noqa: S202 - Debian's own
    shutil.copy(shell, context / "sh")
    # Packages come from a folder, and Debian's Python lets pip install them.
    (context / "pip.conf").write_text(
        "[global]\nno-index = true\nfind-links = /wheels\n[install]\nbreak-system-packages = true\n"
    )
    lines = (
        "ARG BASE",
        "FROM ${BASE}",
        "USER 0:0",
        "COPY sh /usr/bin/sh",
        "COPY pip /usr/lib/python3/dist-packages",
        "COPY pip.conf /etc/pip.conf",
        *(f"ENV {key}={value}" for key, value in environment.items()),
    )
    (context / "Dockerfile").write_text("\n".join(lines))
    done = builder.build(context, f"--tag={BASE}", base=f"oci-archive:{seeder}")
    assert done.returncode == 0, done.stdout


def configuration(archive: Path) -> dict[str, Any]:
    """The configuration of an archive's one image, with its history."""
    with tarfile.open(archive) as tar:
        manifest = _json(tar, _json(tar, "index.json")["manifests"][0]["digest"])
        return _json(tar, manifest["config"]["digest"])


def files(archive: Path) -> dict[str, bytes]:
    """The regular files of all layers, by their paths."""
    found: dict[str, bytes] = {}
    with tarfile.open(archive) as tar:
        manifest = _json(tar, _json(tar, "index.json")["manifests"][0]["digest"])
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=tar.extractfile(_blob(layer["digest"]))) as inner:
                for member in inner:
                    content = inner.extractfile(member) if member.isreg() else None
                    if content:
                        found[member.name.removeprefix("./")] = content.read()
    return found


def _json(tar: tarfile.TarFile, name: str) -> dict[str, Any]:
    content = tar.extractfile(_blob(name) if ":" in name else name)
    assert content
    document: dict[str, Any] = json.load(content)
    return document


def _blob(checksum: str) -> str:
    return "blobs/" + checksum.replace(":", "/")
