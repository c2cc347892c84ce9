"""The judges, and what they are shown: the objects of every stack that this project ships."""

from __future__ import annotations

import os
from typing import Any

import pytest

from rehearsal.places import Places
from rehearsal.toolchain import judges
from tests.components.samples import SMALLEST, changed
from tests.security import manifests


@pytest.fixture(scope="session")
def programs() -> judges.Judges:
    """The programs, built or installed."""
    return judges.ensure(Places.of_user())


@pytest.fixture(scope="session")
def stacks() -> dict[str, list[dict[str, Any]]]:
    """The objects of each stack, and of one with the daemon that none of them asks for."""
    exporter = changed(SMALLEST, "devicePlugin.dcgmExporter", value=True)
    return {
        **{name: manifests.of_stack(name) for name in manifests.STACKS},
        "exporter": manifests.objects(exporter),
    }


@pytest.fixture(autouse=True)
def _no_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here asks a cluster."""
    for key in [key for key in os.environ if key.startswith("KUBE")]:
        monkeypatch.delenv(key)
