"""How long seeding takes beside `curl` of the same files, from the same server to the same disk, in one run.

Seeding ends with everything on the disk, curl with what the page cache still holds: so curl's files are brought to the
disk as well, by `sync`, and its time without that is a figure of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from rehearsal.fault import Fault
from rehearsal.places import CHECKOUT

FILES = 4
"""That many files, and as many downloads at once."""
FILE_BYTES = 256 << 20
REPOSITORY = "bench/weights"

_COPIES = 3  # The hub's, curl's and the seeder's.
_SEEDER = CHECKOUT / "images" / "weight-seeder"
_START_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Seeding:
    """Seconds of the same download of `size` bytes by the seeder, and by curl to the disk, a pair each turn.

    `curl_alone_s` is what of curl's time is before `sync`. `after_last_byte_s` is what of the seeder's time came after
    the last byte was written: the rest of the verification, bringing the files to the disk, and publishing.
    """

    size: int
    seeder_s: tuple[float, ...]
    curl_s: tuple[float, ...]
    curl_alone_s: tuple[float, ...]
    after_last_byte_s: tuple[float, ...]


def measure(scratch: Path, *, repeats: int, file_bytes: int = FILE_BYTES) -> Seeding:
    """Download the files with both in turns, `repeats` times, below the folder `scratch`, which is left as it was.

    Raises Fault if there is no curl, not enough room, or a download fails.
    """
    if shutil.which("curl") is None:
        raise Fault("bench: seeding is compared with curl, which is not installed; install it: apt-get install curl")
    scratch.mkdir(parents=True, exist_ok=True)
    needed, free = _COPIES * FILES * file_bytes, shutil.disk_usage(scratch).free
    if free < needed:
        raise Fault(f"bench: seeding needs {needed:,} bytes in {scratch}, and {free:,} are free; make room there")
    with tempfile.TemporaryDirectory(dir=scratch, prefix="bench-") as folder:
        root = Path(folder)
        names = _write(root / "hub" / REPOSITORY, file_bytes)
        with _hub(root / "hub") as url:
            commit = _commit(url)
            turns = [
                (_seed(url, commit, root / "seeded"), _curl(url, commit, names, root / "curled"))
                for _ in range(repeats)
            ]
    return Seeding(
        size=FILES * file_bytes,
        seeder_s=tuple(seeded[0] for seeded, _ in turns),
        curl_s=tuple(sum(curled) for _, curled in turns),
        curl_alone_s=tuple(curled[0] for _, curled in turns),
        after_last_byte_s=tuple(seeded[1] for seeded, _ in turns),
    )


def _write(folder: Path, file_bytes: int) -> list[str]:
    """Files that no file system can make small."""
    folder.mkdir(parents=True)
    names = [f"model-{number}.safetensors" for number in range(FILES)]
    for name in names:
        with (folder / name).open("wb") as stream:
            for _ in range(0, file_bytes, 1 << 20):
                stream.write(os.urandom(min(file_bytes, 1 << 20)))
    return names


@contextmanager
def _hub(root: Path) -> Iterator[str]:
    """The address of a hub that serves what is below `root`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "rehearsal.hub", f"--root={root}", f"--port={port}"]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + _START_S
    try:
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Fault(f"bench: the hub does not start; see why with: {' '.join(command)}")
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/healthz"):  # noqa: S310  # a hub of our own
            return True
    except URLError:
        return False


def _commit(url: str) -> str:
    with urlopen(f"{url}/api/models/{REPOSITORY}") as answer:  # noqa: S310  # a hub of our own
        return str(json.load(answer)["sha"])


def _seed(url: str, commit: str, volume: Path) -> tuple[float, float]:
    """Seconds of one seeding, and of its part after the last byte."""
    volume.mkdir()
    folder = f"{REPOSITORY.replace('/', '--')}/{commit[:12]}-bench"
    command = [
        *(sys.executable, "-m", "weight_seeder", "seed", f"--source=hf://{REPOSITORY}@{commit}"),
        *(f"--volume={volume}", f"--folder={folder}", f"--workers={FILES}", "--metrics-port=0"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(_SEEDER), "HF_ENDPOINT": url}
    seconds = _timed("the seeder", command, environment)
    # The rename is the last change of the folder that the published one is in; file times are of one clock.
    published = (volume / folder).parent.stat().st_mtime
    last_byte = max(file.stat().st_mtime for file in (volume / folder).glob("*.safetensors"))
    shutil.rmtree(volume)
    return seconds, published - last_byte


def _curl(url: str, commit: str, names: Sequence[str], folder: Path) -> tuple[float, float]:
    """Seconds of one download with curl, and of bringing its files to the disk."""
    folder.mkdir()
    command = ["curl", "-fsSL", "--parallel", "--parallel-max", str(FILES)]
    for name in names:
        command += ["-o", str(folder / name), f"{url}/{REPOSITORY}/resolve/{commit}/{name}"]
    download_s = _timed("curl", command, dict(os.environ))
    sync_s = _timed("sync", ["sync", *(str(folder / name) for name in names)], dict(os.environ), quiet=False)
    shutil.rmtree(folder)
    return download_s, sync_s


def _timed(what: str, command: Sequence[str], environment: dict[str, str], *, quiet: bool = True) -> float:
    if quiet:
        os.sync()  # What came before shall not be written to the disk in this one's time.
    started = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Fault(f"bench: {what} failed with {done.returncode}: {' '.join(last)}")
    return seconds
