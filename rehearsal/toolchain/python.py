"""Python packages of a pinned list with hashes, installed once into a folder of the cache."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from rehearsal.command import run
from rehearsal.fault import Fault
from rehearsal.progress import step


def install(
    requirements: Path, destination: Path, *, title: str, about_s: float, metadata: Mapping[str, str] | None = None
) -> bool:
    """Install `requirements` as wheels for this Python into `destination`, unless the same lie there; True if it did.

    `metadata` names packages that only say they are there, with a version: for code that asks for another's name.
    """
    record = destination / "installed.json"
    pinned = {
        "list": hashlib.sha256(requirements.read_bytes()).hexdigest(),
        "python": list(sys.version_info[:2]),
        "metadata": dict(metadata or {}),
    }
    if record.exists() and json.loads(record.read_text()) == pinned:
        return False
    uv = shutil.which("uv")
    if uv is None:
        raise Fault("uv: not on PATH; install it (pip install uv), and run again")
    # Installed aside and moved into place, so that what was interrupted leaves nothing that looks finished.
    aside = destination.with_name(f".{destination.name}.installing")
    shutil.rmtree(aside, ignore_errors=True)
    with step(title, about_s=about_s):
        wheels = ("--only-binary", ":all:", "--require-hashes", "--no-deps", "--requirements", requirements)
        # Compiled here: where it is used, it may lie on a read-only file system.
        options = ("--quiet", "--compile-bytecode", "--python", sys.executable, "--target", aside)
        run(uv, "pip", "install", *options, *wheels, then="running again continues")
        for name, version in (metadata or {}).items():
            folder = aside / f"{name}-{version}.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (aside / "installed.json").write_text(json.dumps(pinned))
        shutil.rmtree(destination, ignore_errors=True)
        aside.replace(destination)
    return True
