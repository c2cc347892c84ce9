"""The bench of rollouts: understudies, floors, figures. Without a cluster: kubectl is one that takes notes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rehearsal import bench_figures, bench_rollout, understudy
from rehearsal.bench_rollout import Rollout
from rehearsal.kubectl import Kubectl

LABELS = {"app.kubernetes.io/name": "vllm", "app.kubernetes.io/instance": "chat"}
DEPLOYMENT: dict[str, Any] = {
    "metadata": {"name": "chat", "namespace": "inference", "uid": "1", "resourceVersion": "5"},
    "status": {"replicas": 1},
    "spec": {
        "replicas": 1,
        "minReadySeconds": 5,
        "selector": {"matchLabels": LABELS},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": LABELS | {"app.kubernetes.io/component": "engine"}},
            "spec": {
                "affinity": {"podAntiAffinity": {}},
                "topologySpreadConstraints": [{"maxSkew": 1}],
                "containers": [
                    {
                        "name": "engine",
                        "env": [{"name": "SIMULATOR_STARTUP_SECONDS", "value": "1"}, {"name": "HOME", "value": "/h"}],
                        "resources": {"limits": {"cpu": "1", "nvidia.com/gpu": "1"}, "requests": {"cpu": "1"}},
                    }
                ],
            },
        },
    },
}
SERVICE: dict[str, Any] = {
    "metadata": {"name": "chat", "namespace": "inference"},
    "spec": {
        "clusterIP": "10.0.0.1",
        "selector": LABELS,
        "ports": [{"name": "http", "port": 8000, "targetPort": "http", "nodePort": 31000}],
    },
}


def test_an_understudy_has_the_spec_of_the_model_under_a_name_of_its_own() -> None:
    made = understudy.deployment_of(DEPLOYMENT, "twin", replicas=4, env={"SIMULATOR_STARTUP_SECONDS": "20"})

    assert made["metadata"] == {
        "name": "twin",
        "namespace": "inference",
        "labels": {"app.kubernetes.io/instance": "twin"},
    }
    spec = made["spec"]
    assert (spec["replicas"], spec["strategy"]) == (4, DEPLOYMENT["spec"]["strategy"])
    # Neither the model's Service nor its ReplicaSets select its pods.
    assert spec["selector"]["matchLabels"]["app.kubernetes.io/instance"] == "twin"
    assert spec["template"]["metadata"]["labels"]["app.kubernetes.io/instance"] == "twin"
    assert "status" not in made
    assert DEPLOYMENT["spec"]["replicas"] == 1


def test_an_understudy_takes_no_gpu_and_no_place_of_the_model() -> None:
    spec = understudy.deployment_of(DEPLOYMENT, "twin", replicas=1)["spec"]

    container = understudy.engine(spec)
    assert container["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}
    assert {each["name"]: each["value"] for each in container["env"]} == {
        "HOME": "/h",
        "SIMULATOR_STARTUP_SECONDS": "1",
        "SIMULATOR_WITHOUT_GPU": "1",
    }
    assert set(spec["template"]["spec"]) == {"containers"}


def test_the_service_of_an_understudy_leads_to_it_alone() -> None:
    made = understudy.service_of(SERVICE, "twin")

    assert made["spec"] == {
        "selector": LABELS | {"app.kubernetes.io/instance": "twin"},
        "ports": [{"name": "http", "port": 8000, "targetPort": "http"}],
    }


def test_an_understudy_is_open_to_all_where_a_policy_closes_the_namespace() -> None:
    made = understudy.policy_of(DEPLOYMENT, "twin")

    assert made["spec"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/instance": "twin"}}
    assert (made["spec"]["ingress"], made["spec"]["egress"]) == ([{}], [{}])


@pytest.mark.parametrize(("surge", "floor"), [(1, 4 * 25), (2, 2 * 25), (3, 2 * 25), (4, 25)])
def test_a_floor_is_a_load_and_min_ready_seconds_for_each_round(surge: int, floor: float) -> None:
    assert bench_rollout.floor_s(surge, 5) == floor


def test_a_rollout_is_held_to_its_floor_and_says_what_each_round_adds() -> None:
    (figure,) = bench_figures.rollout_figures([Rollout(surge=2, rounds=2, floor_s=50, measured_s=55)])

    assert (figure.measured, figure.allowed) == (1.1, 1.15)
    assert "surge 2" in figure.name
    assert "each of 2 rounds adds 2.5 s" in figure.note


@dataclass(frozen=True, kw_only=True)
class Noting(Kubectl):
    """A kubectl that takes notes of what it is told."""

    told: list[tuple[str, ...]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def read(self, *arguments: str, text: str | None = None) -> str:
        self.told.append(arguments)
        self.texts.extend([text] if text else [])
        return json.dumps(DEPLOYMENT) if arguments[0] == "get" else ""


def test_each_surge_rolls_the_understudy_once_and_nothing_of_it_is_left() -> None:
    kubectl = Noting(program=Path("kubectl"), kubeconfig="")
    rolled = bench_rollout.measure(kubectl, "inference", "chat")

    assert [each.surge for each in rolled] == [1, 2, 4]
    verbs = [words[0] for words in kubectl.told]
    assert verbs == ["get", "delete", "create", "rollout", *["patch", "rollout"] * 3, "delete"]
    assert json.loads(kubectl.texts[0])["spec"]["replicas"] == bench_rollout.REPLICAS
    patches = [json.loads(words[-1].removeprefix("--patch="))["spec"] for words in kubectl.told if words[0] == "patch"]
    assert [each["strategy"]["rollingUpdate"]["maxSurge"] for each in patches] == [1, 2, 4]
    assert len({json.dumps(each["template"]) for each in patches}) == 3
