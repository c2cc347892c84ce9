"""Debian packages of the pinned list, unpacked into the cache: the host's own set of packages is not touched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from rehearsal.command import run, succeeds
from rehearsal.fault import Fault
from rehearsal.progress import step


class DebianPackage(BaseModel):
    """A package by name and least version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    least: str


class DebianGroup(BaseModel):
    """Packages that are unpacked together, and the seconds that it takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: int
    packages: tuple[DebianPackage, ...]


def unpack(packages: tuple[DebianPackage, ...], destination: Path, *, title: str, about_s: float) -> bool:
    """Fetch and unpack `packages` under `destination` unless the same list lies there already; True if it was done.

    `installed.json` beside the files records the version of each. apt checks every file against the signed index.
    """
    record = destination / "installed.json"
    fingerprint = hashlib.sha256(repr(packages).encode()).hexdigest()
    if record.exists() and json.loads(record.read_text())["list"] == fingerprint:
        return False
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Fault(
            "apt-get: not on PATH; the embedded cluster needs Debian or Ubuntu; use CLUSTER=existing make up instead"
        )
    with step(f"unpack Debian packages: {title}", about_s=about_s):
        aside = destination.with_name(f".{destination.name}.unpacking")
        shutil.rmtree(aside, ignore_errors=True)
        (aside / "download").mkdir(parents=True)
        # apt's sandbox user must be able to write here, or each download prints a warning.
        for folder in (aside, aside / "download"):
            folder.chmod(0o755)
        versions = _download(packages, aside / "download")
        for archive in sorted((aside / "download").glob("*.deb")):
            run("dpkg-deb", "-x", str(archive), str(aside))
        shutil.rmtree(aside / "download")
        (aside / "installed.json").write_text(json.dumps({"list": fingerprint, "versions": versions}, indent=1))
        shutil.rmtree(destination, ignore_errors=True)
        aside.replace(destination)
    return True


def library_path(unpacked: Path) -> str:
    """A value of LD_LIBRARY_PATH under which the unpacked programs find the unpacked shared libraries."""
    architecture = f"{os.uname().machine}-linux-gnu"
    return f"{unpacked}/usr/lib/{architecture}:{unpacked}/lib/{architecture}"


def _download(packages: tuple[DebianPackage, ...], folder: Path) -> dict[str, str]:
    versions = _candidates(packages)
    if set(versions) != {package.name for package in packages}:
        run("apt-get", "update", "-qq")
        versions = _candidates(packages)
    for package in packages:
        found = versions.get(package.name)
        if found is None:
            raise Fault(
                f"apt: {package.name} is not in this release's archive; Debian 12 has it; or CLUSTER=existing make up"
            )
        if succeeds("dpkg", "--compare-versions", found.split(":", 1)[-1], "lt", package.least):
            raise Fault(
                f"apt: {package.name} {found} is older than {package.least}; use a newer release, "
                "or CLUSTER=existing make up"
            )
    try:
        run("apt-get", "download", "-qq", *versions, cwd=folder)
    except Fault:
        # The index may be older than the archive: a package that it names may have been replaced.
        run("apt-get", "update", "-qq")
        run("apt-get", "download", "-qq", *versions, cwd=folder)
    return versions


def _candidates(packages: tuple[DebianPackage, ...]) -> dict[str, str]:
    """The version of each package that apt would fetch, for those that it knows."""
    policy = run("apt-cache", "policy", *(package.name for package in packages), environment={"LC_ALL": "C"})
    versions: dict[str, str] = {}
    name = ""
    for line in policy.splitlines():
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif line.strip().startswith("Candidate:") and not line.endswith("(none)"):
            versions[name] = line.split()[-1]
    return versions
