"""The NVML library, called as the device plugin calls it: through its C interface."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal import nvml
from rehearsal.fault import Fault

DRIVER_NOT_LOADED, TIMEOUT, UNKNOWN = 9, 10, 999
XID_CRITICAL_ERROR = 0x8


class Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class Event(ctypes.Structure):
    _fields_ = [
        ("device", ctypes.c_void_p),
        ("type", ctypes.c_ulonglong),
        ("data", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return ctypes.CDLL(str(nvml.build_library(tmp_path_factory.mktemp("nvml"))))


@pytest.fixture
def folder(tmp_path: Path, library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A device plugin folder that the library reads; afterwards the library has forgotten it."""
    monkeypatch.setenv("REHEARSAL_GPUS_FILE", str(tmp_path / nvml.GPUS_FILE))
    yield tmp_path
    while library.nvmlShutdown() == 0:
        pass


def handle(library: ctypes.CDLL, index: int) -> ctypes.c_void_p:
    device = ctypes.c_void_p()
    assert library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) == 0
    return device


def text(function: ctypes._NamedFuncPointer, *arguments: ctypes.c_void_p) -> str:
    buffer = ctypes.create_string_buffer(96)
    assert function(*arguments, buffer, len(buffer)) == 0
    return buffer.value.decode()


def event_set(library: ctypes.CDLL, *indices: int) -> ctypes.c_void_p:
    events = ctypes.c_void_p()
    assert library.nvmlEventSetCreate(ctypes.byref(events)) == 0
    for index in indices:
        mask = ctypes.c_ulonglong(XID_CRITICAL_ERROR)
        assert library.nvmlDeviceRegisterEvents(handle(library, index), mask, events) == 0
    return events


def wait(library: ctypes.CDLL, events: ctypes.c_void_p, timeout_ms: int = 0) -> tuple[int, str, int]:
    """The result code, and the UUID and XID of the event where there is one."""
    event = Event()
    code = library.nvmlEventSetWait_v2(events, ctypes.byref(event), timeout_ms)
    if code:
        return code, "", 0
    assert (event.type, event.gpu_instance, event.compute_instance) == (XID_CRITICAL_ERROR, 0xFFFFFFFF, 0xFFFFFFFF)
    return code, text(library.nvmlDeviceGetUUID, ctypes.c_void_p(event.device)), event.data


def test_a_machine_without_a_compiler_is_told_to_install_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Fault, match="gcc: not on PATH; install it"):
        nvml.build_library(tmp_path)


def test_announces_every_gpu_of_the_file(library: ctypes.CDLL, folder: Path) -> None:
    nvml.write_gpus(folder, "node-a", "NVIDIA-L4", memory_gib=24, count=2)
    assert library.nvmlInit_v2() == 0

    count, cuda = ctypes.c_uint(), ctypes.c_int()
    assert library.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0
    assert library.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(cuda)) == 0
    assert (count.value, cuda.value) == (2, 13000)
    assert text(library.nvmlSystemGetDriverVersion) == nvml.DRIVER_VERSION
    for index in range(2):
        device, memory, by_uuid = handle(library, index), Memory(), ctypes.c_void_p()
        assert library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) == 0
        assert memory.total == 24 * 2**30
        assert text(library.nvmlDeviceGetName, device) == "NVIDIA-L4"
        assert text(library.nvmlDeviceGetUUID, device) == nvml.gpu_uuid("node-a", index)
        uuid = nvml.gpu_uuid("node-a", index).encode()
        assert library.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(by_uuid)) == 0
        assert by_uuid.value == device.value


def test_refuses_an_index_beyond_the_last_gpu(library: ctypes.CDLL, folder: Path) -> None:
    nvml.write_gpus(folder, "node-a", "NVIDIA-L4", memory_gib=24, count=1)
    library.nvmlInit_v2()
    assert library.nvmlDeviceGetHandleByIndex_v2(1, ctypes.byref(ctypes.c_void_p())) != 0


def test_uuids_differ_between_nodes_and_gpus_and_stay_the_same() -> None:
    uuids = [nvml.gpu_uuid(node, index) for node in ("node-a", "node-b") for index in range(16)]
    assert len(set(uuids)) == 32
    assert uuids[0] == "GPU-a866cb59-c448-5420-a04a-0e89cd416033"


def test_reads_the_file_anew_after_the_last_shutdown(library: ctypes.CDLL, folder: Path) -> None:
    count = ctypes.c_uint()
    for gpus in (1, 4):
        nvml.write_gpus(folder, "node-a", "NVIDIA-L4", memory_gib=24, count=gpus)
        assert library.nvmlInit_v2() == 0
        library.nvmlDeviceGetCount_v2(ctypes.byref(count))
        assert count.value == gpus
        assert library.nvmlShutdown() == 0


def test_a_missing_file_means_that_no_driver_is_loaded(
    library: ctypes.CDLL, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert library.nvmlInit_v2() == DRIVER_NOT_LOADED
    assert f"{folder / nvml.GPUS_FILE}: No such file" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("memory_mib=24576", "memory_mib=much", "2: cannot use 'memory_mib=much'"),
        ("memory_mib=24576", "memory_mib=24576 MiB", "2: cannot use"),
        ("cuda=13.0", "cuda=13", "4: cannot use 'cuda=13'"),
        ("uuid=GPU-", "uuid=", "5: cannot use"),
        ("memory_mib=24576\n", "", "product, memory_mib, driver and cuda must all be set"),
        ("product=NVIDIA-L4\n", "", "product, memory_mib, driver and cuda must all be set"),
        ("product", "colour=green\nproduct", "1: cannot use 'colour=green'"),
        ("product=NVIDIA-L4", f"product={'x' * 200}", "1: cannot use"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(
    library: ctypes.CDLL, folder: Path, capfd: pytest.CaptureFixture[str], old: str, new: str, complaint: str
) -> None:
    path = nvml.write_gpus(folder, "node-a", "NVIDIA-L4", memory_gib=24, count=2)
    path.write_text(path.read_text().replace(old, new, 1))
    assert library.nvmlInit_v2() == UNKNOWN
    assert complaint in capfd.readouterr().err


def test_more_gpus_than_the_library_holds_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="0 to 16 GPUs, not 17"):
        nvml.write_gpus(folder, "node-a", "NVIDIA-L4", memory_gib=24, count=17)


def test_an_xid_reaches_the_gpu_that_it_names_and_only_once(library: ctypes.CDLL, folder: Path) -> None:
    nvml.write_gpus(folder, "node-a", "NVIDIA-L4", memory_gib=24, count=2)
    library.nvmlInit_v2()
    events = event_set(library, 0, 1)
    assert wait(library, events)[0] == TIMEOUT
    nvml.inject_xid(folder, index=1, xid=79)
    nvml.inject_xid(folder, index=0, xid=48)
    assert wait(library, events) == (0, nvml.gpu_uuid("node-a", 1), 79)
    assert wait(library, events) == (0, nvml.gpu_uuid("node-a", 0), 48)
    assert wait(library, events)[0] == TIMEOUT


def test_an_xid_ends_a_wait_that_runs_already(library: ctypes.CDLL, folder: Path) -> None:
    nvml.write_gpus(folder, "node-a", "NVIDIA-L4", memory_gib=24, count=1)
    library.nvmlInit_v2()
    events, started = event_set(library, 0), time.monotonic()
    threading.Timer(0.2, nvml.inject_xid, (folder, 0, 79)).start()
    assert wait(library, events, timeout_ms=10_000) == (0, nvml.gpu_uuid("node-a", 0), 79)
    assert time.monotonic() - started < 5


def test_a_wait_without_events_lasts_as_long_as_its_timeout(library: ctypes.CDLL, folder: Path) -> None:
    nvml.write_gpus(folder, "node-a", "NVIDIA-L4", memory_gib=24, count=1)
    library.nvmlInit_v2()
    events, started = event_set(library, 0), time.monotonic()
    assert wait(library, events, timeout_ms=300)[0] == TIMEOUT
    assert 0.25 < time.monotonic() - started < 2


def test_xids_from_before_the_event_set_are_not_reported_again(library: ctypes.CDLL, folder: Path) -> None:
    nvml.write_gpus(folder, "node-a", "NVIDIA-L4", memory_gib=24, count=1)
    library.nvmlInit_v2()
    nvml.inject_xid(folder, index=0, xid=79)
    assert wait(library, event_set(library, 0))[0] == TIMEOUT


def test_events_of_gpus_that_nobody_registered_for_are_skipped(library: ctypes.CDLL, folder: Path) -> None:
    nvml.write_gpus(folder, "node-a", "NVIDIA-L4", memory_gib=24, count=2)
    library.nvmlInit_v2()
    events = event_set(library, 0)
    nvml.inject_xid(folder, index=1, xid=79)
    nvml.inject_xid(folder, index=0, xid=48)
    assert wait(library, events) == (0, nvml.gpu_uuid("node-a", 0), 48)


def test_lines_that_are_no_xid_are_skipped_with_a_complaint_and_half_a_line_is_awaited(
    library: ctypes.CDLL, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nvml.write_gpus(folder, "node-a", "NVIDIA-L4", memory_gib=24, count=1)
    library.nvmlInit_v2()
    events = event_set(library, 0)
    with (folder / nvml.XID_FILE).open("w") as xids:
        xids.write("7 79\nnonsense\n0 79 80\n0 7")
        xids.flush()
        assert wait(library, events)[0] == TIMEOUT
        xids.write("9\n")
    assert wait(library, events) == (0, nvml.gpu_uuid("node-a", 0), 79)
    assert capfd.readouterr().err.count("not '<GPU index> <XID>'") == 3


def test_a_new_xid_file_in_the_place_of_the_old_one_is_read_from_its_start(library: ctypes.CDLL, folder: Path) -> None:
    nvml.write_gpus(folder, "node-a", "NVIDIA-L4", memory_gib=24, count=1)
    library.nvmlInit_v2()
    (folder / nvml.XID_FILE).write_text("0 13\n" * 5)
    events = event_set(library, 0)
    os.truncate(folder / nvml.XID_FILE, 0)
    nvml.inject_xid(folder, index=0, xid=79)
    assert wait(library, events) == (0, nvml.gpu_uuid("node-a", 0), 79)
