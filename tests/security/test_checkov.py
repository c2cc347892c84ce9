"""Checkov on every object of every stack and on every Dockerfile: no check fails but those that have a reason here.

Severities are told to Checkov's customers only, so that every check counts alike.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import pytest

from rehearsal.places import CHECKOUT
from rehearsal.toolchain.judges import Judges
from tests.security import manifests

pytestmark = pytest.mark.engine
_PULL = "images have a digest or a version's tag, so that asking the registry at each start only adds a way to fail"
_DIGEST = "the user's own image of the settings, or a default by its version's tag; a digest can be set"
_ROOT = "the folders of the kubelet that it uses belong to root"
_DCGM = "DCGM reads the counters of the driver with SYS_ADMIN, which its documentation asks for"
REASONS: Final = {
    **{
        (role, check): reason
        for role in ("engine", "seeding", "cleaning", "nvidia-device-plugin", "dcgm-exporter")
        for check, reason in (("CKV_K8S_15", _PULL), ("CKV_K8S_43", _DIGEST))
    },
    **{
        (daemon, check): _ROOT
        for daemon in ("nvidia-device-plugin", "dcgm-exporter")
        for check in ("CKV_K8S_23", "CKV_K8S_40")
    },
    ("cleaning", "CKV_K8S_38"): "it asks the API server which pods have a revision mounted before it removes any",
    ("nvidia-device-plugin", "CKV_K8S_8"): "it serves the kubelet's socket and no port; the kubelet notices its end",
    ("nvidia-device-plugin", "CKV_K8S_9"): "it serves the kubelet's socket and no port; the kubelet notices its end",
    **{("dcgm-exporter", check): _DCGM for check in ("CKV_K8S_20", "CKV_K8S_25", "CKV_K8S_39")},
    ("Dockerfile", "CKV_DOCKER_2"): "Kubernetes ignores HEALTHCHECK: its probes are in the pod",
    ("Dockerfile", "CKV_DOCKER_7"): "the base is an argument with tag and digest, which Checkov does not resolve",
}
SPOILT = {
    "privileged": "CKV_K8S_16",
    "hostNetwork": "CKV_K8S_19",
    "root": "CKV_K8S_23",
}
"""What is done to an engine's pod, by a name, and the check that must fail for it."""


def _spoilt(documents: list[dict[str, Any]], how: str) -> dict[str, Any]:
    document = copy.deepcopy(next(each for each in documents if each["kind"] == "Deployment"))
    document["metadata"]["name"] = f"spoilt-{how.lower()}"
    (spec,) = manifests.pod_specs(document)
    container = spec["containers"][0]
    if how == "privileged":
        container["securityContext"]["privileged"] = True
    elif how == "hostNetwork":
        spec["hostNetwork"] = True
    else:
        spec["securityContext"].pop("runAsNonRoot")
        spec["securityContext"].pop("runAsUser")
    return document


@pytest.fixture(scope="module")
def failed(
    programs: Judges, stacks: dict[str, list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, set[tuple[str, str]]]:
    """Role and check of what failed, by what was judged: all of it in one run, since most of one is its start."""
    folder = tmp_path_factory.mktemp("judged")
    for name, documents in stacks.items():
        (folder / f"{name}.yaml").write_text(manifests.as_yaml(documents))
    for how in SPOILT:
        (folder / f"spoilt-{how}.yaml").write_text(manifests.as_yaml([_spoilt(stacks["local"], how)]))
    for file in sorted((CHECKOUT / "images").glob("*/Dockerfile")):
        (folder / file.parent.name).mkdir()
        (folder / file.parent.name / "Dockerfile").write_text(file.read_text())
    (folder / "spoilt").mkdir()
    (folder / "spoilt/Dockerfile").write_text("FROM debian:latest\nADD x /x\nEXPOSE 22\n")
    return _judged(programs, folder)


def _judged(programs: Judges, folder: Path) -> dict[str, set[tuple[str, str]]]:
    options = ("--framework", "kubernetes", "dockerfile", "--directory", str(folder))
    done = subprocess.run(
        [*programs.checkov_command, *options, "--skip-download", "--quiet", "--compact", "--output", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for part in json.loads(done.stdout):
        assert part["summary"]["parsing_errors"] == 0
        for check in part["results"]["failed_checks"]:
            kind, _, name = (*check["resource"].split("."), "", "")[:3]
            role = "Dockerfile" if part["check_type"] == "dockerfile" else manifests.role(kind, name)
            found[check["file_path"].lstrip("/")].add((role, check["check_id"]))
    return found


def test_no_check_fails_but_those_that_have_a_reason(failed: dict[str, set[tuple[str, str]]]) -> None:
    found = set().union(*(checks for name, checks in failed.items() if not name.startswith("spoilt")))
    # As many: a reason that nobody needs any more goes.
    assert found == set(REASONS)


@pytest.mark.parametrize(("how", "check"), SPOILT.items())
def test_a_spoilt_pod_is_found(failed: dict[str, set[tuple[str, str]]], how: str, check: str) -> None:
    assert ("engine", check) in failed[f"spoilt-{how}.yaml"] - set(REASONS)


def test_a_spoilt_dockerfile_is_found(failed: dict[str, set[tuple[str, str]]]) -> None:
    found = {check for _, check in failed["spoilt/Dockerfile"]}
    assert {"CKV_DOCKER_1", "CKV_DOCKER_3", "CKV_DOCKER_4", "CKV_DOCKER_7"} <= found
