"""The device plugin and the DCGM exporter: on which nodes, with which file, with which rights."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.components.program import Recorder, plain, run_program
from tests.components.samples import AWS_ATTACHED, CUSTOM, SMALLEST, changed

BOTTLEROCKET = changed(AWS_ATTACHED, "gpuPools.l40s.ami", "bottlerocket")
SLICED = changed(SMALLEST, "devicePlugin.timeSlicing", 4)


def pod(recorder: Recorder, name: str = "nvidia-device-plugin") -> dict[str, Any]:
    (found,) = (each for each in recorder.of("DaemonSet") if each.name == name)
    return plain(found.inputs)["spec"]["template"]["spec"]  # type: ignore[no-any-return]


def terms(spec: dict[str, Any]) -> list[dict[str, str]]:
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return [
        {each["key"]: each["values"][0] for each in term["matchExpressions"]} for term in required["nodeSelectorTerms"]
    ]


def variables(spec: dict[str, Any]) -> dict[str, str]:
    (container,) = spec["containers"]
    return {each["name"]: each.get("value") for each in container["env"]}


def test_the_plugin_runs_on_every_generation_of_a_pool() -> None:
    assert terms(pod(run_program(AWS_ATTACHED))) == [{"inference/gpu-pool": "l40s"}]


def test_the_plugin_is_absent_where_all_nodes_bring_it() -> None:
    assert run_program(BOTTLEROCKET).of("DaemonSet") == []


def test_the_plugin_runs_beside_pools_that_bring_it_on_the_others_only() -> None:
    second = {"instanceType": "g6.2xlarge", "max": 1, "zones": ["us-west-2a"]}
    mixed = changed(BOTTLEROCKET, "gpuPools.l4", second)
    assert terms(pod(run_program(mixed))) == [{"inference/gpu-pool": "l4"}]


def test_time_slices_come_from_a_file_that_the_plugin_reads_and_are_refused_to_pods_with_several() -> None:
    recorder = run_program(SLICED)
    config, spec = recorder.one("ConfigMap"), pod(recorder)
    data = plain(config.inputs)["data"]
    assert yaml.safe_load(data["config.yaml"]) == {
        "version": "v1",
        "sharing": {
            "timeSlicing": {
                "failRequestsGreaterThanOne": True,
                "resources": [{"name": "nvidia.com/gpu", "replicas": 4}],
            }
        },
    }
    (volume,) = (each for each in spec["volumes"] if "configMap" in each)
    assert volume["configMap"]["name"] == config.name
    (mount,) = (each for each in spec["containers"][0]["volumeMounts"] if each["name"] == volume["name"])
    assert variables(spec)["CONFIG_FILE"] == f"{mount['mountPath']}/config.yaml"


def test_another_number_of_slices_rolls_the_plugin() -> None:
    assert pod(run_program(SLICED)) != pod(run_program(changed(SLICED, "devicePlugin.timeSlicing", 3)))


def test_there_is_no_file_without_slices_and_mig_is_a_variable_with_them_too() -> None:
    recorder = run_program(CUSTOM)
    assert recorder.of("ConfigMap") == []
    assert "CONFIG_FILE" not in variables(pod(recorder))
    sliced = pod(run_program(changed(SLICED, "devicePlugin.migStrategy", "single")))
    assert variables(sliced)["MIG_STRATEGY"] == "single"


@pytest.mark.parametrize("config", [SMALLEST, AWS_ATTACHED, BOTTLEROCKET], ids=["existing", "al2023", "bottlerocket"])
def test_the_exporter_sees_every_gpu_of_every_pool_and_takes_none(config: dict[str, Any]) -> None:
    recorder = run_program(changed(config, "devicePlugin.dcgmExporter", value=True))
    spec = pod(recorder, "dcgm-exporter")
    (container,) = spec["containers"]
    assert len(terms(spec)) == 1
    assert "inference/gpu-generation" not in terms(spec)[0]
    assert variables(spec)["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert {"key": "nvidia.com/gpu", "operator": "Exists"} in spec["tolerations"]
    assert container["ports"] == [{"name": "metrics", "containerPort": 9400, "protocol": "TCP"}]


def test_the_exporter_is_off_by_default() -> None:
    assert [each.name for each in run_program(SMALLEST).of("DaemonSet")] == ["nvidia-device-plugin"]


def test_the_exporter_may_read_counters_and_no_more() -> None:
    spec = pod(run_program(changed(SMALLEST, "devicePlugin.dcgmExporter", value=True)), "dcgm-exporter")
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "capabilities": {"add": ["SYS_ADMIN"], "drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    (folder,) = (each for each in spec["volumes"] if "hostPath" in each)
    (mount,) = (each for each in container["volumeMounts"] if each["name"] == folder["name"])
    assert mount["readOnly"] is True
