"""The pod of each engine, as the whole program registers it."""

from __future__ import annotations

from typing import Any

import pytest

from components.engines import Engine, engine_of
from tests.components.program import plain, run_program
from tests.components.samples import SMALLEST, SUM, changed, settings
from tests.components.test_engines import EXTRA, KINDS
from tests.components.test_restricted import violations

HOME = "/home/inference"


def config(kind: str) -> dict[str, Any]:
    given = {**SMALLEST["models"]["chat"], "engine": kind, **EXTRA.get(kind, {})}
    if kind == "ollama":
        given |= {"source": "image:///models", "weights": {}, "probes": {"startupSeconds": 600}}
        given |= {"image": f"registry.example.com/ollama-chat@sha256:{SUM}"}
    return changed(SMALLEST, "models.chat", given)


def pod(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pod's spec and its engine's container."""
    spec = plain(run_program(config(kind)).one("Deployment").inputs)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


@pytest.fixture(params=KINDS, scope="module")
def made(request: pytest.FixtureRequest) -> tuple[Engine, dict[str, Any], dict[str, Any]]:
    return engine_of(settings(config(request.param)).models["chat"]), *pod(request.param)


def test_an_engines_pod_is_what_its_profile_says(made: tuple[Engine, dict[str, Any], dict[str, Any]]) -> None:
    engine, spec, container = made
    assert container.get("command", []) == list(engine.command)
    assert "@sha256:" in container["image"] or engine.image is None
    assert [port["containerPort"] for port in container["ports"]] == [engine.port]
    assert container["readinessProbe"]["httpGet"]["path"] == engine.health_path
    assert container["startupProbe"]["exec"]["command"][0] in {"bash", "python3"}
    assert spec["securityContext"]["runAsUser"] == engine.user


def test_every_engine_writes_to_its_mounts_only(made: tuple[Engine, dict[str, Any], dict[str, Any]]) -> None:
    _, spec, container = made
    assert violations(spec) == []
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    env = {each["name"]: each.get("value", "") for each in container["env"]}
    assert env["HOME"] == HOME
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
    assert {path for path, read_only in mounts.items() if not read_only} == {HOME, "/tmp", "/dev/shm"}  # noqa: S108


def test_a_port_that_is_privileged_on_some_nodes_is_asked_for() -> None:
    assert pod("tgi")[0]["securityContext"]["sysctls"] == [
        {"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}
    ]
    assert "sysctls" not in pod("vllm")[0]["securityContext"]


def test_the_key_of_nvidias_registry_comes_from_the_users_secret_and_is_nowhere_in_clear() -> None:
    _, container = pod("nim")
    (key,) = [each for each in container["env"] if each["name"] == "NGC_API_KEY"]
    assert key == {"name": "NGC_API_KEY", "valueFrom": {"secretKeyRef": {"name": "ngc", "key": "NGC_API_KEY"}}}


def test_ollama_has_time_to_end_its_answers_before_it_is_told_to_stop() -> None:
    spec, container = pod("ollama")
    slept = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert slept == 10 + 300
    assert spec["terminationGracePeriodSeconds"] > slept


def test_tgi_sleeps_for_what_its_own_drain_does_not_last() -> None:
    _, container = pod("tgi")
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == 10 + 300 - 90
