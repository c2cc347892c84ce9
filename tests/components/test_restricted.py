"""Pod Security: https://kubernetes.io/docs/concepts/security/pod-security-standards/, profile restricted, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.program import plain, run_program
from tests.components.samples import CUSTOM, SMALLEST, SOURCES, changed

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


PODS = ("engine", "seed", "clean")


def pods(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Specs of the pods of the one model, by their one container."""
    recorder = run_program(config)
    specs = [
        plain(each.inputs)["spec"]["template"]["spec"] for kind in ("Deployment", "Job") for each in recorder.of(kind)
    ]
    return {spec["containers"][0]["name"]: spec for spec in specs}


def violations(pod: dict[str, Any]) -> list[str]:
    """Rules of the restricted profile that a pod breaks; one container may set what its pod leaves open."""
    found = [f"volume {volume['name']}" for volume in pod["volumes"] if not VOLUMES & set(volume)]
    found += [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        own = container.get("securityContext", {})
        context = pod.get("securityContext", {}) | own
        rules = {
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "runAsUser": context.get("runAsUser") != 0,
            "seccompProfile": context.get("seccompProfile", {}).get("type") in {"RuntimeDefault", "Localhost"},
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities")
            in ({"drop": ["ALL"]}, {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
            "privileged": not own.get("privileged"),
            "hostPort": not any("hostPort" in port for port in container.get("ports", [])),
        }
        found += [f"{container['name']}: {rule}" for rule, kept in rules.items() if not kept]
    return found


@pytest.mark.parametrize("config", [SMALLEST, CUSTOM, *SOURCES.values()], ids=["smallest", "custom", *SOURCES])
def test_no_pod_breaks_a_rule(config: dict[str, Any]) -> None:
    found = pods(config)
    assert set(found) == ({"engine"} if "image://" in str(config) else set(PODS))
    assert {name: violations(pod) for name, pod in found.items()} == {name: [] for name in found}


@pytest.mark.parametrize("kind", PODS)
def test_pods_write_to_their_mounts_only_and_one_alone_has_a_token_of_the_cluster(kind: str) -> None:
    pod = pods(SMALLEST)[kind]
    assert pod["automountServiceAccountToken"] is (kind == "clean")
    assert pod["enableServiceLinks"] is False
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    assert {container["securityContext"]["readOnlyRootFilesystem"] for container in containers} == {True}
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume)


def test_the_namespace_of_the_models_enforces_restricted_and_that_of_the_plugin_privileged() -> None:
    levels = {
        each.name: each.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for each in run_program(SMALLEST).of("Namespace")
    }
    assert levels == {"inference": "restricted", "nvidia-device-plugin": "privileged"}


@pytest.mark.parametrize(
    ("path", "value", "context"),
    [
        (
            "devicePlugin.migStrategy",
            "none",
            {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            },
        ),
        (
            "devicePlugin.migStrategy",
            "single",
            {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "readOnlyRootFilesystem": True},
        ),
        ("devicePlugin.passDeviceSpecs", True, {"privileged": True, "readOnlyRootFilesystem": True}),
    ],
)
def test_the_device_plugin_has_rights_only_where_a_setting_asks(path: str, value: object, context: object) -> None:
    plugin = plain(run_program(changed(SMALLEST, path, value)).one("DaemonSet").inputs)
    (container,) = plugin["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"] == context
