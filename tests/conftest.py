"""The embedded cluster that tests share, and the figures at the end of a run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.rehearsed import Rehearsed, host_state
from tests.figures import FIGURES


@pytest.fixture(scope="session")
def rehearsed() -> Iterator[Rehearsed]:
    """A copy of the checkout with a cluster of its own, on which `make up` has run.

    At the end: no log may tell of a component that broke, and `make down` must leave the host as it was.
    """
    before = host_state()
    # Short, because the path of a Unix socket has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="r-", dir="/tmp") as folder:
        rehearsal = Rehearsed.copy_into(Path(folder))
        try:
            rehearsal.first_up = rehearsal.make("up")
            yield rehearsal
            broken = rehearsal.broken()
        finally:
            rehearsal.make("down")
        after = host_state()
    assert not broken, "\n".join(broken)
    assert after == before


@pytest.fixture(scope="session")
def kubeconfig(rehearsed: Rehearsed) -> Path:
    """The administrator's kubeconfig of the shared cluster."""
    return rehearsed.kubeconfig


@pytest.fixture
def pulumi_env(rehearsed: Rehearsed, tmp_path: Path) -> dict[str, str]:
    """The environment for the Pulumi CLI, with a backend of the test's own."""
    return {**os.environ, **rehearsed.pulumi_environment, "PULUMI_BACKEND_URL": f"file://{tmp_path}"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Faults last: what a healthy cluster does should not have to be read out of a mended one."""
    items.sort(key=lambda item: item.path.name == "test_faults.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was counted."""
    if FIGURES:
        terminalreporter.section("figures")
        for name, count in sorted(FIGURES.items()):
            terminalreporter.line(f"{name}: {count}")
