"""The simulator over several nodes: what a group's pods see of each other."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
import pytest

from rehearsal.simulator import __main__, environment, flags, weights
from tests.simulator import engines


def group(rank: int, port: int) -> tuple[str, ...]:
    """Flags of a process of two."""
    more = ("--headless",) if rank else ()
    return ("--pipeline-parallel-size=2", "--nnodes=2", f"--node-rank={rank}", f"--master-port={port}", *more)


def test_the_first_node_serves_when_the_other_is_there_and_ends_when_it_has_gone(
    model_folder: Path, tmp_path: Path
) -> None:
    port = engines.free_port()
    leader = engines.spawn(model_folder, tmp_path / "leader", *group(0, port), port=engines.free_port())
    with engines.ended(leader):
        time.sleep(1)
        assert [status for status, _ in zip(engines.while_starting(leader), range(3), strict=False)] == [0, 0, 0]
        worker = engines.spawn(model_folder, tmp_path / "worker", *group(1, port), port=engines.free_port())
        with engines.ended(worker):
            assert [*engines.while_starting(leader)][-1] == httpx.codes.OK
            assert leader.stream("Count.", tokens=3).tokens == 3
            with pytest.raises(httpx.ConnectError):
                worker.get("/health")
            worker.process.kill()
            assert leader.process.wait(timeout=20) == 1


def test_each_node_needs_its_share_of_the_gpus_only(model_folder: Path) -> None:
    constants = environment.read({"NVIDIA_VISIBLE_DEVICES": "GPU-1", "SIMULATOR_STARTUP_SECONDS": "0"})
    four = flags.parse(["serve", str(model_folder), "-tp=2", *group(0, engines.free_port())])
    with pytest.raises(weights.LoadError, match=re.escape("World size (2) is larger than the number")):
        __main__.load(four, constants)
