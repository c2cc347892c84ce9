"""A hub as a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import hubs
from tests.hub.hubs import RunningHub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub with the small model, which the tests leave as it is."""
    root: Path = tmp_path_factory.mktemp("hub")
    with hubs.running(root) as started:
        yield started
