"""The rehearsal's container images, built on this machine without a registry or a container engine."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from rehearsal import nvml, vllm
from rehearsal.addon import PROGRAMS, Addon, in_order
from rehearsal.images import contents
from rehearsal.images.oci import Image, Layer, build, digest, import_into, manifest_digest
from rehearsal.lock import locked
from rehearsal.places import CHECKOUT, Places

__all__ = ["Image", "build_all", "images", "import_into", "manifest_digest"]

VLLM_SIMULATOR = "docker.io/local/vllm-simulator:0.33"
VLLM_CPU = "docker.io/local/vllm-cpu:0.32.0"
WEIGHT_SEEDER = "docker.io/local/weight-seeder:0.1"
DEVICE_PLUGIN = "docker.io/local/nvidia-device-plugin:0.18.0"
COREDNS = "docker.io/local/coredns:1.15.0"
NETWORK_POLICIES = "docker.io/local/kube-network-policies:1.1.1"
PAUSE = "docker.io/local/pause:3.10"
TRAEFIK = "docker.io/local/traefik:3.7.13"
LWS = "docker.io/local/lws:0.8.0"
PROMETHEUS_OPERATOR = "docker.io/local/prometheus-operator:0.88.0"
CONFIG_RELOADER = "docker.io/local/prometheus-config-reloader:0.88.0"
KUBE_STATE_METRICS = "docker.io/local/kube-state-metrics:2.18.0"
PROMETHEUS = "docker.io/local/prometheus:0.314.0"
KEDA_OPERATOR = "docker.io/local/keda-operator:2.21.0"
KEDA_ADAPTER = "docker.io/local/keda-adapter:2.21.0"
HTTP_OPERATOR = "docker.io/local/http-add-on-operator:0.12.0"
HTTP_INTERCEPTOR = "docker.io/local/http-add-on-interceptor:0.12.0"
HTTP_SCALER = "docker.io/local/http-add-on-scaler:0.12.0"
PROVISIONER = "docker.io/local/local-path-provisioner:0.0.30"
BUSYBOX = "docker.io/local/busybox:1.35"
ADDONS = {
    Addon.GATEWAY: (TRAEFIK,),
    Addon.LEADER_WORKER_SET: (LWS,),
    Addon.PROMETHEUS: (PROMETHEUS_OPERATOR, CONFIG_RELOADER, KUBE_STATE_METRICS, PROMETHEUS),
    Addon.KEDA: (KEDA_OPERATOR, KEDA_ADAPTER),
    Addon.HTTP_ADD_ON: (HTTP_OPERATOR, HTTP_INTERCEPTOR, HTTP_SCALER),
}
"""The images of each addon's programs, in their order."""

PATH = ("env", "PATH=/usr/local/bin:/usr/bin:/bin")
ROOT, NONROOT = ("user", "0:0"), ("user", "65532:65532")

RECIPES = digest(Path(__file__).parent)
"""A change of how layers are filled counts as a change of every layer."""


def build_all(places: Places, addons: Collection[Addon] = (), *, real_engine: bool = False) -> dict[str, Path]:
    """The OCI archives of all images by name, built where something that goes into one has changed since.

    With `real_engine`, that of the real engine too; of `addons`, what they run.
    Needs what the toolchain made, uv and gcc; raises Fault where one is missing or fails.
    """
    places.images.mkdir(parents=True, exist_ok=True)
    with locked(places.images / "lock", what="builds the images"):
        umoci = places.debs / "usr/bin/umoci"
        wanted = images(places, addons, real_engine=real_engine)
        return {image.name: build(image, places.images, umoci) for image in wanted}


def images(places: Places, addons: Collection[Addon] = (), *, real_engine: bool = False) -> tuple[Image, ...]:
    """What the rehearsal's images are made of, as things stand now. Unpacks the Debian packages that they share."""
    python = contents.python_packages(places.images / "python")
    c_library = contents.c_packages(places.images / "c-library")
    base = Layer(
        key=digest(RECIPES, python / "installed.json"), fill=lambda root: contents.fill_python_base(root, python)
    )
    c_base = Layer(
        key=digest(RECIPES, c_library / "installed.json"), fill=lambda root: contents.fill_base(root, c_library)
    )
    return (
        _python_image(
            VLLM_SIMULATOR,
            base,
            python,
            program="vllm",
            group="simulator",
            modules={"rehearsal/simulator": CHECKOUT / "rehearsal/simulator"},
            start="rehearsal.simulator",
        ),
        _python_image(
            WEIGHT_SEEDER,
            base,
            python,
            program="weight-seeder",
            group="seeder",
            modules={"weight_seeder": CHECKOUT / "images/weight-seeder/weight_seeder"},
            start="weight_seeder",
        ),
        Image(
            name=DEVICE_PLUGIN,
            layers=(c_base, _device_plugin(places.bin / "nvidia-device-plugin")),
            # It writes its socket into a folder that belongs to root.
            settings=(ROOT, PATH, ("entrypoint", "nvidia-device-plugin")),
            seconds=5,
        ),
        _static_image(COREDNS, places.bin / "coredns"),
        _static_image(NETWORK_POLICIES, places.bin / "kube-network-policies"),
        _static_image(PAUSE, places.bin / "pause"),
        _static_image(PROVISIONER, places.bin / "local-path-provisioner"),
        _busybox_image(places.debs / "bin/busybox"),
        *((_vllm_image(base, contents.vllm_packages(places.images / "vllm-libraries")),) if real_engine else ()),
        *(
            _static_image(name, places.bin / program)
            for addon in in_order(addons)
            for name, program in zip(ADDONS[addon], PROGRAMS[addon], strict=True)
        ),
    )


def _python_image(
    name: str, base: Layer, python: Path, *, program: str, group: str, modules: dict[str, Path], start: str
) -> Image:
    """Three layers, by how often they change: Debian's Python, the pinned packages, our own code."""
    pinned = contents.requirements(group)
    packages = Layer(key=digest(base.key, pinned), fill=lambda root: contents.fill_site_packages(root, pinned, python))
    ours = Layer(
        key=digest(base.key, program, start, *modules, *modules.values()),
        fill=lambda root: contents.fill_python_program(root, program, modules, start, python),
    )
    settings = (
        NONROOT,
        PATH,
        ("env", "PYTHONUNBUFFERED=1"),
        ("env", "PYTHONDONTWRITEBYTECODE=1"),
        ("entrypoint", program),
    )
    return Image(name=name, layers=(base, packages, ours), settings=settings, seconds=20)


def _vllm_image(base: Layer, packages: Path) -> Image:
    """Python, what vLLM asks of the system, and a `vllm` that is found where the node mounts it."""
    layer = Layer(
        key=digest(RECIPES, base.key, packages / "installed.json", vllm.MOUNTED_AT, vllm.MODULE),
        fill=lambda root: contents.fill_vllm(root, packages, vllm.MOUNTED_AT, vllm.MODULE),
    )
    settings = (NONROOT, PATH, ("env", "PYTHONUNBUFFERED=1"), ("env", "PYTHONDONTWRITEBYTECODE=1"))
    return Image(name=VLLM_CPU, layers=(base, layer), settings=(*settings, ("entrypoint", "vllm")), seconds=5)


def _device_plugin(binary: Path) -> Layer:
    """NVIDIA's plugin, and our NVML library where the loader finds it without any setting."""

    def fill(root: Path) -> None:
        contents.copy(binary, root / "usr/local/bin" / binary.name)
        folder = root / f"usr/lib/{os.uname().machine}-linux-gnu"
        folder.mkdir(parents=True)
        nvml.build_library(folder)

    return Layer(key=digest(RECIPES, binary, nvml.SOURCE), fill=fill)


def _static_image(name: str, binary: Path) -> Image:
    """A statically linked program on PATH, and nothing else."""
    # Where Prometheus' operator looks for the program that reloads a configuration, and on PATH too.
    layer = Layer(key=digest(RECIPES, binary), fill=lambda root: contents.copy(binary, root / "bin" / binary.name))
    return Image(name=name, layers=(layer,), settings=(NONROOT, PATH, ("entrypoint", binary.name)), seconds=3)


def _busybox_image(binary: Path) -> Image:
    """A shell and its commands for the volume provisioner, whose helper makes folders that belong to root."""
    layer = Layer(key=digest(RECIPES, binary), fill=lambda root: contents.fill_busybox(root, binary))
    return Image(name=BUSYBOX, layers=(layer,), settings=(ROOT, PATH, ("cmd", "sh")), seconds=3)
