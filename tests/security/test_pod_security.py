"""Pod Security's own evaluator on every pod that the program makes: level restricted, latest version."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterable
from typing import Any

import pytest

from rehearsal.toolchain.judges import Judges
from tests.components.samples import CUSTOM, SOURCES
from tests.security import manifests

pytestmark = pytest.mark.engine

# Pods that restricted does not let in, with the reason of each; their namespaces are labelled privileged.
EXCEPTED = {
    "DaemonSet/nvidia-device-plugin": "mounts the kubelet's folder of sockets, which belongs to root",
    "DaemonSet/dcgm-exporter": "mounts the kubelet's folder of pods' GPUs, which belongs to root",
}


def forbidden(programs: Judges, documents: Iterable[dict[str, Any]]) -> dict[str, str]:
    """What the evaluator says of the objects' pods, by object."""
    pods = [{"name": manifests.title(each), "spec": spec} for each in documents for spec in manifests.pod_specs(each)]
    assert pods
    done = subprocess.run([programs.pod_security], input=json.dumps(pods), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


def test_every_pod_is_let_in_but_for_those_with_a_reason(
    programs: Judges, stacks: dict[str, list[dict[str, Any]]]
) -> None:
    found = {name for documents in stacks.values() for name in forbidden(programs, documents)}
    # As many: a reason that nobody needs any more goes.
    assert found == set(EXCEPTED)


@pytest.mark.parametrize("config", [CUSTOM, *SOURCES.values()], ids=["custom", *SOURCES])
def test_every_source_of_weights_and_every_override_leaves_pods_that_are_let_in(
    programs: Judges, config: dict[str, Any]
) -> None:
    assert set(forbidden(programs, manifests.objects(config))) <= set(EXCEPTED)


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
@pytest.mark.parametrize(
    ("level", "key", "value", "said"),
    [
        ("container", "privileged", True, "privileged"),
        ("container", "allowPrivilegeEscalation", None, "allowPrivilegeEscalation != false"),
        ("container", "capabilities", None, "unrestricted capabilities"),
        ("pod", "runAsNonRoot", None, "runAsNonRoot != true"),
        ("pod", "seccompProfile", None, "seccompProfile"),
    ],
)
def test_a_right_too_many_is_found(
    programs: Judges, stacks: dict[str, list[dict[str, Any]]], kind: str, level: str, key: str, value: Any, said: str
) -> None:
    document = copy.deepcopy(next(each for each in stacks["local"] if each["kind"] == kind))
    (spec,) = manifests.pod_specs(document)
    context = (spec["containers"][0] if level == "container" else spec)["securityContext"]
    context.pop(key, None)
    if value is not None:
        context[key] = value
    assert said in forbidden(programs, [document])[manifests.title(document)]


def test_an_init_container_is_judged_too(programs: Judges, stacks: dict[str, list[dict[str, Any]]]) -> None:
    document = copy.deepcopy(next(each for each in stacks["local"] if each["kind"] == "Deployment"))
    (spec,) = manifests.pod_specs(document)
    spec["initContainers"][0]["securityContext"]["privileged"] = True
    assert "privileged" in forbidden(programs, [document])[manifests.title(document)]


def test_a_key_that_no_pod_has_is_an_error_and_not_overlooked(programs: Judges) -> None:
    pods = json.dumps([{"name": "x", "spec": {"containers": [], "securityContexts": {}}}])
    done = subprocess.run([programs.pod_security], input=pods, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'unknown field "securityContexts"' in done.stderr
