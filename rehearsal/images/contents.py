"""What goes where in the rehearsal's images: a Debian Python or C library, packages of uv.lock, programs of ours."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from rehearsal.command import run
from rehearsal.fault import Fault
from rehearsal.images.oci import sources
from rehearsal.places import CHECKOUT
from rehearsal.toolchain.debian import DebianPackage, unpack

SITE_PACKAGES = Path("usr/lib/python3/dist-packages")
"""On the module path of every Debian and Ubuntu Python 3, whatever its minor version."""

# Dependencies that Python imports at run time, by the names that they have in Debian and, since its change to 64-bit
# time, with a suffix. Left out: what serves terminals (readline, curses), NIS, Berkeley DB, and package scripts.
_LIBRARIES = "libc6 libgcc-s1 zlib1g libssl3 libexpat1 libffi[0-9]+ libbz2-1.0 liblzma5 libsqlite3-0 libuuid1 libzstd1"
_WANTED = re.compile(rf"(lib)?python3\.\d+-(minimal|stdlib)|({_LIBRARIES.replace(' ', '|')})(t64)?")

# Nothing here is read by a program at run time, and it is half of the size.
_LEFT_OUT = (
    "installed.json",
    "usr/share",
    "usr/lib/*-linux-gnu/gconv",
    "usr/lib/python3.*/config-*",
    "usr/lib/python3.*/ensurepip",
    "usr/lib/python3.*/lib2to3",
    "usr/lib/python3.*/pydoc_data",
)

BOTOCORE_DATA = {"endpoints.json", "partitions.json", "_retry.json", "sdk-default-configuration.json", "s3", "sts"}
"""What stays of botocore/data; the Dockerfile of the weight seeder keeps the same."""


VLLM_ASKS_FOR = ("libnuma1", "libstdc++6", "libsmartcols1", "util-linux", "dash")
"""Libraries; `lscpu`, by which it binds threads to cores, with its library; and the shell that it calls that by."""


def python_packages(folder: Path) -> Path:
    """Unpacks this release's Python with the libraries that it needs into the folder, unless it lies there already."""
    if not (folder / "installed.json").exists():
        ignored = [
            f"--no-{relation}" for relation in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
        ]
        known = run("apt-cache", "depends", "--recurse", *ignored, "libpython3-stdlib", "python3-minimal")
        names = sorted({name for name in known.split() if _WANTED.fullmatch(name)})
        unpack(tuple(DebianPackage(name=name, least="0") for name in names), folder, title="Python", about_s=10)
    return folder


def c_packages(folder: Path) -> Path:
    """Unpacks this release's C library into the folder, unless it lies there already."""
    packages = tuple(DebianPackage(name=name, least="0") for name in ("libc6", "libgcc-s1"))
    unpack(packages, folder, title="C library", about_s=5)
    return folder


def vllm_packages(folder: Path) -> Path:
    """Unpacks what vLLM asks of the system beside Python into the folder, unless it lies there already."""
    packages = tuple(DebianPackage(name=name, least="0") for name in VLLM_ASKS_FOR)
    unpack(packages, folder, title="what vLLM asks of the system", about_s=5)
    return folder


def fill_base(root: Path, packages: Path) -> None:
    """The unpacked packages as a root file system with the users root and nonroot (65532, as in distroless images)."""
    shutil.copytree(packages, root, symlinks=True, dirs_exist_ok=True)
    for pattern in _LEFT_OUT:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("bin", "lib", "lib64", "sbin"):
        # Newer packages have their files under /usr only; the kernel looks for the loader in /lib64.
        if not (root / name).exists() and (root / "usr" / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "etc", "proc", "sys", "tmp"):
        (root / name).mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0::/:/\nnonroot:x:65532:65532::/tmp:/\n")
    (root / "etc/group").write_text("root:x:0:\nnonroot:x:65532:\n")
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")


def fill_python_base(root: Path, packages: Path) -> None:
    """A root file system with `python3`, its library compiled."""
    fill_base(root, packages)
    (root / "usr/bin/python3").symlink_to(_interpreter(packages).name)
    compile_python(root, packages)


def requirements(group: str) -> str:
    """A dependency group as uv.lock pins it, in the format of requirements.txt with hashes."""
    return run(uv(), "export", "--quiet", "--frozen", "--only-group", group, "--no-header", cwd=CHECKOUT)


def fill_site_packages(root: Path, pinned: str, packages: Path) -> None:
    """The pinned requirements as wheels for the image's Python; nothing is built, so no compiler's output differs."""
    listed = root / "requirements.txt"
    listed.write_text(pinned)
    target = root / SITE_PACKAGES
    version = _interpreter(packages).name.removeprefix("python")
    # uv wants some Python to run; which wheels it takes follows from `--python-version`.
    interpreter = ("--python", sys.executable, "--python-version", version)
    wheels = ("--only-binary", ":all:", "--require-hashes", "--link-mode", "copy", "--requirements", listed)
    run(uv(), "pip", "install", "--quiet", "--target", target, *interpreter, *wheels)
    listed.unlink()
    for path in (*target.glob("bin"), *target.glob(".lock"), *target.rglob("tests")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    # Of all of AWS's services, whose models botocore brings, the seeder asks these two.
    for path in (*target.glob("boto3/data"), *target.glob("boto3/examples"), *target.glob("botocore/data/*")):
        if path.name not in BOTOCORE_DATA:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    # These name the machine and the moment of the installation.
    for path in (*target.rglob("RECORD"), *target.rglob("direct_url.json"), *target.rglob("uv_cache.json")):
        path.unlink()
    compile_python(root, packages)


def fill_python_program(root: Path, name: str, modules: dict[str, Path], start: str, packages: Path) -> None:
    """Our own modules (destination under the module path: source), and an executable that starts one of them."""
    for destination, source in modules.items():
        for file in sources(source):
            copy(file, root / SITE_PACKAGES / destination / file.relative_to(source))
    launcher = f'#!/usr/bin/python3\nimport runpy\nrunpy.run_module("{start}", run_name="__main__", alter_sys=True)\n'
    executable(root / "usr/local/bin" / name).write_text(launcher)
    compile_python(root, packages)


def fill_vllm(root: Path, packages: Path, folder: str, start: str) -> None:
    """An executable `vllm` that starts module `start` of what is mounted at `folder`, and what that needs beside it."""
    for path in packages.rglob("*-linux-gnu/*.so.*"):
        # Where newer releases have them, and the loader of older ones looks too.
        copy(path, root / "usr/lib" / path.parent.name / path.name)
    copy(packages / "usr/bin/lscpu", root / "usr/bin/lscpu")
    copy(packages / "bin/dash", root / "usr/bin/sh")
    # For its subprocesses too, whatever environment they get.
    (root / SITE_PACKAGES).mkdir(parents=True)
    (root / SITE_PACKAGES / "vllm.pth").write_text(f"{folder}\n")
    launcher = f'#!/usr/bin/python3\nimport runpy\nrunpy.run_module("{start}", run_name="__main__", alter_sys=True)\n'
    executable(root / "usr/local/bin/vllm").write_text(launcher)


def fill_busybox(root: Path, binary: Path) -> None:
    """One program under the name of each command that it knows."""
    copy(binary, root / "bin/busybox")
    for command in run(binary, "--list").split():
        if command != "busybox":
            (root / "bin" / command).symlink_to("busybox")


def compile_python(root: Path, packages: Path) -> None:
    """Compiles every module under `root`, so that a pod with a read-only root starts fast.

    The bytecode is valid without a look at its source, whose time a layer does not keep. The unpacked interpreter
    does it, by its own loader, because bytecode differs between minor versions and the host's may be another.
    """
    loader = next(path for path in packages.rglob("ld-linux-*.so.*") if not path.is_symlink())
    libraries = ":".join(str(path) for path in packages.rglob("*-linux-gnu") if path.is_dir())
    python = (loader, "--library-path", libraries, _interpreter(packages))
    options = ("-q", "--invalidation-mode", "unchecked-hash", "-s", root, "-p", "/")
    run(
        *(*python, "-m", "compileall", *options, root),
        environment={
            "PYTHONHOME": str(packages / "usr"),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            # The make targets keep the bytecode of what they run elsewhere; an image's belongs into the image.
            "PYTHONPYCACHEPREFIX": "",
        },
    )


def executable(path: Path) -> Path:
    """An empty executable file at the path, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def copy(source: Path, destination: Path) -> None:
    """Copies a file with its mode, and makes the folders that it goes into."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, destination)


def uv() -> str:
    """Where uv is. Raises Fault where it is not."""
    found = shutil.which("uv")
    if found is None:
        raise Fault("uv: not on PATH; install it (pip install uv), and run again")
    return found


def _interpreter(packages: Path) -> Path:
    return next(path for path in (packages / "usr/bin").glob("python3.*") if path.name.count(".") == 1)
