"""kube-score on every object of every stack: nothing critical but what has its reason here."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from typing import Any, Final

import pytest

from rehearsal.toolchain.judges import Judges
from tests.security import manifests

pytestmark = pytest.mark.engine
CRITICAL = 1
"""The grade of what kube-score calls so; 5 is a warning."""

_PULL = "images have a digest or a version's tag, so that asking the registry at each start only adds a way to fail"
_ROOT = "the folders of the kubelet that it uses belong to root"
_ALONE = "of its namespace nobody else is; it answers the kubelet by a socket, and Prometheus if at all"
REASONS: Final = {
    **{
        (role, "container-image-pull-policy"): _PULL
        for role in ("engine", "seeding", "cleaning", "nvidia-device-plugin", "dcgm-exporter")
    },
    **{
        (daemon, check): reason
        for daemon in ("nvidia-device-plugin", "dcgm-exporter")
        for check, reason in (("container-security-context-user-group-id", _ROOT), ("pod-networkpolicy", _ALONE))
    },
    ("dcgm-exporter", "pod-probes-identical"): "/health is all that it tells of itself",
}


def critical(programs: Judges, documents: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Role and check of every critical finding."""
    done = subprocess.run(
        [programs.kube_score, "score", "--kubernetes-version=v1.35", "--output-format=json", "-"],
        input=manifests.as_yaml(documents),
        capture_output=True,
        text=True,
        check=False,
    )
    scored = json.loads(done.stdout)
    assert len(scored) >= len({manifests.title(each) for each in documents if each["kind"] in ("Deployment", "Job")})
    return {
        (manifests.role(each["type_meta"]["kind"], each["object_meta"]["name"]), check["check"]["id"])
        for each in scored
        for check in each["checks"]
        if not check["skipped"] and check["grade"] <= CRITICAL
    }


def test_nothing_is_critical_but_what_has_a_reason(programs: Judges, stacks: dict[str, list[dict[str, Any]]]) -> None:
    found = set().union(*(critical(programs, documents) for documents in stacks.values()))
    # As many: a reason that nobody needs any more goes.
    assert found == set(REASONS)


def _privileged(spec: dict[str, Any]) -> None:
    spec["containers"][0]["securityContext"]["privileged"] = True


def _latest(spec: dict[str, Any]) -> None:
    spec["containers"][0]["image"] = "registry.example.com/vllm:latest"


def _unlimited(spec: dict[str, Any]) -> None:
    del spec["containers"][0]["resources"]["limits"]


def _writable(spec: dict[str, Any]) -> None:
    spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = False


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (_privileged, "container-security-context-privileged"),
        (_latest, "container-image-tag"),
        (_unlimited, "container-resources"),
        (_writable, "container-security-context-readonlyrootfilesystem"),
    ],
)
def test_what_is_spoilt_is_found(
    programs: Judges,
    stacks: dict[str, list[dict[str, Any]]],
    spoil: Callable[[dict[str, Any]], None],
    check: str,
) -> None:
    documents = copy.deepcopy(stacks["local"])
    engine = next(each for each in documents if each["kind"] == "Deployment")
    spoil(next(manifests.pod_specs(engine)))
    assert ("engine", check) in critical(programs, documents) - set(REASONS)


def test_a_pod_without_a_policy_is_found(programs: Judges, stacks: dict[str, list[dict[str, Any]]]) -> None:
    documents = [each for each in stacks["local"] if each["kind"] != "NetworkPolicy"]
    assert ("engine", "pod-networkpolicy") in critical(programs, documents)
