"""The real images in a containerd of their own: they import, run as they will in pods, and announce GPUs."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from rehearsal import images, nvml
from rehearsal.images.oci import build
from rehearsal.places import Places
from rehearsal.toolchain import ensure_cluster, library_path
from tests.images import kubelet

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Containerd:
    ctr: Path
    socket: Path

    def command(self, *arguments: str) -> list[str]:
        return [str(self.ctr), "--address", str(self.socket), "--namespace", "k8s.io", *arguments]

    def run(self, image: str, *command: str) -> str:
        """Runs a container with a read-only root as the image's user, and gives what it printed."""
        name = f"test-{time.monotonic_ns()}"
        done = subprocess.run(
            self.command("run", "--rm", "--read-only", image, name, *command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def places() -> Places:
    user = Places.of_user()
    ensure_cluster(user)
    return user


@pytest.fixture(scope="module")
def archives(places: Places) -> dict[str, Path]:
    return images.build_all(places)


@pytest.fixture(scope="module")
def containerd(
    places: Places, archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Containerd]:
    """A containerd that has imported every image."""
    folder = tmp_path_factory.mktemp("containerd")
    socket = folder / "socket"
    (folder / "config.toml").write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
        f'[grpc]\naddress = "{socket}"\n'
    )
    tools = f"{places.debs}/usr/bin:{places.debs}/usr/sbin:{os.environ['PATH']}"
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen(
            [places.debs / "usr/bin/containerd", "--config", folder / "config.toml"],
            env=os.environ | {"PATH": tools, "LD_LIBRARY_PATH": library_path(places.debs)},
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 10
        while not socket.exists():
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        ctr = places.debs / "usr/bin/ctr"
        assert set(images.import_into(ctr, socket, archives)) == set(archives)
        yield Containerd(ctr, socket)
    finally:
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(folder / "root")  # 150 MB, which pytest would keep


def test_an_import_of_what_is_there_does_nothing(containerd: Containerd, archives: dict[str, Path]) -> None:
    assert images.import_into(containerd.ctr, containerd.socket, archives) == []


def test_a_second_build_finds_everything_built(places: Places, archives: dict[str, Path]) -> None:
    before = {path: path.stat().st_mtime_ns for path in archives.values()}
    assert images.build_all(places) == archives
    assert {path: path.stat().st_mtime_ns for path in archives.values()} == before


def test_a_build_in_another_cache_gives_the_same_digests(
    places: Places, archives: dict[str, Path], tmp_path: Path
) -> None:
    for shared in ("bin", "debs"):
        (tmp_path / shared).symlink_to(places.cache / shared)
    for image in images.images(Places(cache=tmp_path, state=tmp_path)):
        if image.name in (images.WEIGHT_SEEDER, images.DEVICE_PLUGIN):  # one with Python, and one with our C library
            rebuilt = build(image, tmp_path / "rebuilt", places.debs / "usr/bin/umoci")
            assert images.manifest_digest(rebuilt) == images.manifest_digest(archives[image.name])


@pytest.mark.parametrize(
    ("image", "command", "expected"),
    [
        (images.VLLM_SIMULATOR, ["vllm", "serve", "--help"], "--max-model-len"),
        (images.WEIGHT_SEEDER, ["weight-seeder", "seed", "--help"], "--source"),
        (images.DEVICE_PLUGIN, ["nvidia-device-plugin", "--version"], "v0.18.0"),
        (images.COREDNS, ["coredns", "-version"], "CoreDNS-1.15.0"),
        (images.PAUSE, ["pause", "-v"], "pause.c"),
        (images.PROVISIONER, ["local-path-provisioner", "--version"], "v0.0.30"),
        (images.NETWORK_POLICIES, ["kube-network-policies", "--help"], "-fail-open"),
        (images.BUSYBOX, ["sh", "-c", "mkdir --help 2>&1"], "Create DIRECTORY"),
    ],
)
def test_the_program_of_every_image_runs_on_a_read_only_root(
    containerd: Containerd, image: str, command: list[str], expected: str
) -> None:
    assert expected in containerd.run(image, *command)


@pytest.mark.parametrize(
    ("image", "modules"),
    [
        (images.VLLM_SIMULATOR, "starlette, uvicorn, prometheus_client"),
        (images.WEIGHT_SEEDER, "huggingface_hub, hf_xet"),
    ],
)
def test_python_runs_as_nobody_with_all_it_needs_compiled(containerd: Containerd, image: str, modules: str) -> None:
    script = (
        f"import os, sys, ssl, hashlib, asyncio, lzma, bz2, zlib, sqlite3, ctypes, uuid, {modules}\n"
        "cached = [path for m in sys.modules.values() if (path := getattr(m, '__cached__', None))]\n"
        # A flag of 1 marks bytecode that is valid without a look at the source (PEP 552); no file at all is an error.
        "print(os.getuid(), len(cached) > 100, [path for path in cached if open(path, 'rb').read(8)[4] != 1])"
    )
    assert containerd.run(image, "python3", "-c", script).splitlines()[-1] == "65532 True []"


@pytest.fixture
def plugin(containerd: Containerd, tmp_path: Path) -> Iterator[tuple[Path, grpc.Channel, kubelet.Registration]]:
    """The device plugin of a node with two GPUs, registered: its folder, a channel to it, and what it registered."""
    nvml.write_gpus(tmp_path, "node-a", "NVIDIA-L4", memory_gib=24, count=2)
    mount = f"type=bind,src={tmp_path},dst=/var/lib/kubelet/device-plugins,options=rbind:rw"
    with kubelet.registrations(tmp_path) as received:
        command = containerd.command(
            *("run", "--rm", "--read-only", "--mount", mount, images.DEVICE_PLUGIN, "plugin"),
            *("nvidia-device-plugin", "--device-discovery-strategy=nvml", "--device-list-strategy=envvar"),
        )
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(command, stderr=log)
        try:
            registration = received.get(timeout=20)
            with grpc.insecure_channel(f"unix:{tmp_path / registration.endpoint}") as channel:
                yield tmp_path, channel, registration
        except queue.Empty:
            pytest.fail((tmp_path / "log").read_text())
        finally:
            subprocess.run(containerd.command("task", "kill", "--signal", "SIGTERM", "plugin"), check=False)
            process.wait(timeout=20)


def test_the_real_device_plugin_registers_the_gpus_of_the_file(
    plugin: tuple[Path, grpc.Channel, kubelet.Registration],
) -> None:
    _folder, channel, registration = plugin
    assert registration.resource_name == "nvidia.com/gpu"
    devices = next(kubelet.list_and_watch(channel))
    assert devices == {nvml.gpu_uuid("node-a", index): "Healthy" for index in range(2)}


def test_an_allocation_names_the_chosen_gpus_to_the_container(
    plugin: tuple[Path, grpc.Channel, kubelet.Registration],
) -> None:
    _folder, channel, _registration = plugin
    uuids = [nvml.gpu_uuid("node-a", index) for index in range(2)]
    wish = kubelet.message("ContainerPreferredAllocationRequest", available_deviceIDs=uuids, allocation_size=2)
    preferred = kubelet.call(
        channel,
        "GetPreferredAllocation",
        kubelet.message("PreferredAllocationRequest", container_requests=[wish]),
        "PreferredAllocationResponse",
    )
    assert set(preferred.container_responses[0].deviceIDs) == set(uuids)
    chosen = kubelet.message("ContainerAllocateRequest", devices_ids=uuids[1:])
    allocated = kubelet.call(
        channel, "Allocate", kubelet.message("AllocateRequest", container_requests=[chosen]), "AllocateResponse"
    )
    environment = {entry.key: entry.value for entry in allocated.container_responses[0].envs}
    assert environment["NVIDIA_VISIBLE_DEVICES"] == uuids[1]


def test_an_injected_xid_turns_exactly_one_gpu_unhealthy(
    plugin: tuple[Path, grpc.Channel, kubelet.Registration],
) -> None:
    folder, channel, _registration = plugin
    updates = kubelet.list_and_watch(channel)
    assert set(next(updates).values()) == {"Healthy"}
    # The plugin listens for events a moment after it has registered; an XID that only an application causes is ignored.
    time.sleep(1)
    nvml.inject_xid(folder, index=0, xid=31)
    nvml.inject_xid(folder, index=1, xid=79)
    assert next(updates) == {nvml.gpu_uuid("node-a", 0): "Healthy", nvml.gpu_uuid("node-a", 1): "Unhealthy"}
