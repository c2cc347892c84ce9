"""The embedded cluster that tests share, and the figures at the end of a run."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from rehearsal.places import Places
from tests.cluster.rehearsed import Rehearsed, host_state
from tests.figures import CONTRACT, FIGURES, SCENARIOS
from tests.processes import ORDER, Scheduling

_RUNNING = pytest.StashKey[ExitStack]()
"""What runs of the shared cluster, to be ended."""

# How long an example takes says nothing of the code on a machine that does other things as well.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


@pytest.fixture(scope="session")
def rehearsed(pytestconfig: pytest.Config) -> Iterator[Rehearsed]:
    """A copy of the checkout with a cluster of its own, on which `make up` has run.

    At the end: no log may tell of an error that nobody expects, and `make down` must leave the host as it was.
    """
    with ExitStack() as running:
        pytestconfig.stash[_RUNNING] = running
        yield running.enter_context(_rehearsed())


@contextmanager
def _rehearsed() -> Iterator[Rehearsed]:
    before = host_state()
    # Short, because the path of a Unix socket has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="r-", dir="/tmp") as folder:
        rehearsal = Rehearsed.copy_into(Path(folder))
        try:
            rehearsal.first_up = rehearsal.make("up")
            yield rehearsal
            errors = rehearsal.unexpected_errors(kubelets=False) if rehearsal.errors is None else rehearsal.errors
            broken = [*rehearsal.broken(), *errors]
        finally:
            rehearsal.make("down")
            # By the paths of modules, which nobody uses again.
            shutil.rmtree(Places.of_user().bytecode / folder.removeprefix("/"), ignore_errors=True)
        after = host_state()
    assert not broken, "\n".join(broken)
    assert after == before


@pytest.fixture(scope="session")
def logs_read(rehearsed: Rehearsed) -> None:
    """For tests that kill parts of the cluster: what the logs tell from then on is no sign of anything."""
    rehearsed.errors = rehearsed.unexpected_errors(kubelets=False)


@pytest.fixture(scope="session")
def kubeconfig(rehearsed: Rehearsed) -> Path:
    """The administrator's kubeconfig of the shared cluster."""
    return rehearsed.kubeconfig


@pytest.fixture(scope="session")
def four(rehearsed: Rehearsed) -> Iterator[Rehearsed]:
    """The rehearsal with four replicas of an engine that loads fast, and GPUs for as many again."""
    changes: dict[str, Any] = {
        "models.chat.replicas": {"min": 4, "max": 4},
        "models.chat.concurrency": 256,
        "models.chat.drainSeconds": 120,
        "models.chat.rollout.minReadySeconds": 1,
        # A line of the log for each request would cost more than its tokens.
        "models.chat.engineArgs": ["--disable-uvicorn-access-log"],
        "models.chat.env": {
            "SIMULATOR_LOAD_MBPS": 40,
            "SIMULATOR_STARTUP_SECONDS": 0.5,
            "SIMULATOR_GPU_MEMORY_GIB": 24,
            "SIMULATOR_STEP_MS": 60,
            "SIMULATOR_STEP_MS_PER_SEQ": 0.2,
        },
    }
    try:
        rehearsed.restore_configuration()
        rehearsed.configure("gpuPools.l4.gpu.count", 4)
        rehearsed.make("up")
        # No rollout finds room before.
        rehearsed.announce_gpus(4)
        for key, value in changes.items():
            rehearsed.configure(key, value)
        rehearsed.make("up")
        yield rehearsed
    finally:
        rehearsed.restore_configuration()


@pytest.fixture
def pulumi_env(rehearsed: Rehearsed, tmp_path: Path) -> dict[str, str]:
    """The environment for the Pulumi CLI, with a backend of the test's own."""
    return {**os.environ, **rehearsed.pulumi_environment, "PULUMI_BACKEND_URL": f"file://{tmp_path}"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for a cluster first, beside which the rest finds the processor idle; faults after what is healthy."""
    items.sort(key=_turn)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the cluster with the last test on it: idle it takes a sixth of a processor."""
    running = item.config.stash.get(_RUNNING, None)
    if running and _on_cluster(item) and nextitem and not _on_cluster(nextitem):
        running.close()


def _on_cluster(item: pytest.Item) -> bool:
    return item.get_closest_marker("cluster") is not None


def _turn(item: pytest.Item) -> tuple[bool, int]:
    file = str(item.path.relative_to(item.config.rootpath))
    return not _on_cluster(item), ORDER.index(file) if file in ORDER else -1


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Where a cluster runs beside it, what needs none takes the time that the cluster leaves, which mostly waits."""
    if hasattr(item.config, "workerinput") and not _on_cluster(item) and os.nice(0) == 0:
        os.nice(5)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Instead of xdist's own, by which each process would sooner or later bring up a cluster."""
    return Scheduling(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what this process has counted to the one that prints it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput |= {"figures": dict(FIGURES), "scenarios": SCENARIOS}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what one of several processes has counted."""
    counted = getattr(node, "workeroutput", {})
    FIGURES.update(counted.get("figures", {}))
    SCENARIOS.update(counted.get("scenarios", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was counted."""
    if FIGURES:
        terminalreporter.section("figures")
        for name, count in sorted(FIGURES.items()):
            terminalreporter.line(f"{name}: {count}")
    if [name for name in FIGURES if name.startswith(CONTRACT)] == [f"{CONTRACT}the simulator"]:
        terminalreporter.line("real vLLM: not asked here; make calibrate")
    if FIGURES and not SCENARIOS:
        terminalreporter.line("rollouts and faults under thousands of streams: not run here; make rehearse")
    for title, figures in SCENARIOS.items():
        terminalreporter.line(f"{title}: {figures}")
