"""What each kind looks like, with defaults and with everything overridden; renew with `pytest --snapshot-update`."""

from __future__ import annotations

from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.components.program import plain, run_program
from tests.components.samples import CUSTOM, SMALLEST

KINDS = (
    "DaemonSet",
    "Deployment",
    "Job",
    "Namespace",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "Role",
    "RoleBinding",
    "Service",
    "ServiceAccount",
)


@pytest.mark.parametrize("config", [SMALLEST, CUSTOM], ids=["defaults", "custom"])
def test_resources_are_as_reviewed(config: dict[str, Any], snapshot: SnapshotAssertion) -> None:
    recorder = run_program(config)
    for kind in KINDS:
        found = {each.name: plain(each.inputs) for each in recorder.of(kind)}
        assert found == snapshot(name=kind, extension_class=JSONSnapshotExtension)
