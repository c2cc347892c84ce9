"""Go programs of the pinned list, built once into the cache."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from rehearsal.command import run
from rehearsal.fault import Fault
from rehearsal.progress import step

FOLDER = Path(__file__).parent
LEAST_GO = (1, 26)
"""The highest `go` line among the modules that are built (CoreDNS)."""


class Manifests(BaseModel):
    """A folder of a module, by its path in there, with objects that the program needs in a cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    module: str
    folder: str


class GoProgram(BaseModel):
    """One entry of `pins.toml`: some main packages of one module."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    folder: str
    packages: tuple[str, ...]
    stamps: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    cgo: bool = False
    linker: str | None = None
    manifests: Manifests | None = None
    seconds: int

    @property
    def module(self) -> Path:
        """The folder with this program's go.mod and go.sum."""
        return FOLDER / self.folder

    @property
    def binaries(self) -> tuple[str, ...]:
        """File names that the build makes: one package is named after the program, several by their folders."""
        if len(self.packages) == 1:
            return (self.name,)
        return tuple(package.rsplit("/", 1)[-1] for package in self.packages)


def build(program: GoProgram, destination: Path, *, headers: tuple[Path, ...] = ()) -> bool:
    """Build `program` into `destination` unless what lies there was made from the same pins; True if it was built.

    `headers` are folders with C's and C++'s headers that its module has not.
    """
    stamp = destination / ".stamps" / program.name
    fingerprint = _fingerprint(program)
    made = all((destination / binary).exists() for binary in program.binaries) and (
        program.manifests is None or manifests(program.name, destination).exists()
    )
    if made and stamp.exists() and stamp.read_text() == fingerprint:
        return False
    require_go()
    # Built aside and moved into place, so that an interrupted build leaves nothing that looks finished.
    aside = destination / f".{program.name}.building"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    flags = ["-s", "-w", *(f"-X {value}" for value in program.stamps)]
    if program.linker:
        flags.append(f"-extldflags '{program.linker}'")
    target = str(aside / program.name) if len(program.packages) == 1 else f"{aside}/"
    with step(f"build {program.name} {program.version}", about_s=program.seconds):
        options = ("-trimpath", "-tags", ",".join(program.tags), "-ldflags", " ".join(flags), "-o", target)
        patched = _patched(program, aside)
        go(program.module, "build", *patched, *options, *program.packages, cgo=program.cgo, headers=headers)
    if program.manifests:
        _copy_manifests(program, aside, destination)
    for binary in program.binaries:
        (aside / binary).replace(destination / binary)
    shutil.rmtree(aside)
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(fingerprint)
    return True


def manifests(name: str, destination: Path) -> Path:
    """Where the manifests of program `name` lie beside it."""
    return destination / f"{name}.manifests"


def source(folder: str, module: str) -> Path:
    """Where the source of `module`, at the version that `folder`'s go.mod pins, lies in Go's module cache.

    The download is checked against go.sum.
    """
    go(FOLDER / folder, "mod", "download", module)
    listed: dict[str, Any] = json.loads(go(FOLDER / folder, "list", "-m", "-json", module))
    return Path(listed["Dir"])


def require_go() -> None:
    """Raise Fault unless a Go of a sufficient version is on PATH."""
    if shutil.which("go") is None:
        raise Fault(
            f"go: not on PATH; install Go {LEAST_GO[0]}.{LEAST_GO[1]} or later, or use CLUSTER=existing make up"
        )
    version = go(FOLDER, "env", "GOVERSION").strip()
    # A development build names no version, and is newer than any.
    numbers = re.match(r"go(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < LEAST_GO:
        raise Fault(f"go: version {version} is too old; install Go {LEAST_GO[0]}.{LEAST_GO[1]} or later")


def go(folder: Path, *arguments: str, cgo: bool = False, headers: tuple[Path, ...] = ()) -> str:
    """Run one Go command in `folder` and give its output; Fault with its last lines if it fails."""
    environment = {"GOFLAGS": "-buildvcs=false", "CGO_ENABLED": str(int(cgo))}
    if headers:
        # Go's own value of the second has -g as well: much of a C++ compiler's time, for what the linker leaves out.
        environment |= {"CGO_CPPFLAGS": " ".join(f"-I{each}" for each in headers), "CGO_CXXFLAGS": "-O2"}
    return run("go", *arguments, cwd=folder, environment=environment, then="running again continues")


def _copy_manifests(program: GoProgram, aside: Path, destination: Path) -> None:
    """Put the program's manifests beside it, where they are found without Go."""
    if program.manifests:
        copy, target = aside / "manifests", manifests(program.name, destination)
        _copy(source(program.folder, program.manifests.module) / program.manifests.folder, copy)
        shutil.rmtree(target, ignore_errors=True)
        copy.replace(target)


def _copy(folder: Path | str, copy: Path) -> None:
    """Copy a folder of Go's module cache, which is read-only, without its modes."""
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    run("chmod", "-R", "u+w", copy)


def _patched(program: GoProgram, aside: Path) -> tuple[str, ...]:
    """Options that build with our files of modules in place of theirs: `_patched/<import path>/<file>`.

    The rest of such a module is a copy of what Go downloaded and checked.
    """
    ours = program.module / "_patched"
    files = sorted(ours.rglob("*.go"))
    if not files:
        return ()
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(program.module / name, aside / name)
    for file in files:
        package = str(file.parent.relative_to(ours))
        answer = go(program.module, "list", "-f", "{{.Module.Path}} {{.Module.Dir}} {{.Dir}}", package)
        module, root, folder = answer.split()
        copy = aside / "patched" / module
        if not copy.exists():
            _copy(root, copy)
            go(program.module, "mod", "edit", f"-replace={module}={copy}", str(aside / "go.mod"))
        shutil.copyfile(file, copy / Path(folder).relative_to(root) / file.name)
    return (f"-modfile={aside}/go.mod",)


def _fingerprint(program: GoProgram) -> str:
    # Without tags as before there were any: nothing is built again for them.
    left_out = {"seconds", "manifests", *(() if program.tags else ("tags",))}
    digest = hashlib.sha256(program.model_dump_json(exclude=left_out).encode())
    if program.manifests:
        digest.update(program.manifests.model_dump_json().encode())
    for file in sorted(path for path in program.module.rglob("*") if path.is_file()):
        digest.update(str(file.relative_to(program.module)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
