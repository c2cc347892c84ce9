"""Nodes by Karpenter: what its kinds are asked for, and that a change of nodes is a rollout here too."""

from __future__ import annotations

from typing import Any

import pytest

from components.aws.karpenter import alias
from components.settings import EksPool
from tests.aws.options import options
from tests.components.program import Recorder, plain, run_program
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, changed

POOL = "gpuPools.l40s"
KARPENTER = changed(AWS_ATTACHED, f"{POOL}.autoscaler", "karpenter")
ONE_ZONE = changed(KARPENTER, f"{POOL}.zones", ["us-west-2a"])
GROUPS = "cluster-autoscaler"
AUTO_MODE = changed(KARPENTER, "cluster.autoMode", value=True)


def spec(recorder: Recorder, kind: str) -> dict[str, Any]:
    return plain(recorder.one(kind).inputs)["spec"]  # type: ignore[no-any-return]


def test_a_pool_bounds_gpus_and_goes_only_when_empty() -> None:
    recorder = run_program(KARPENTER)
    asked = spec(recorder, "NodePool")
    assert recorder.one("NodePool").type == "kubernetes:karpenter.sh/v1:NodePool"
    assert asked["limits"] == {"nvidia.com/gpu": "2"}
    assert asked["disruption"]["consolidationPolicy"] == "WhenEmpty"
    assert asked["disruption"]["budgets"] == [{"nodes": "0", "reasons": ["Drifted"]}]
    template = asked["template"]["spec"]
    assert template["expireAfter"] == "Never"
    assert template["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    assert {each["key"]: each["values"] for each in template["requirements"]} == {
        "node.kubernetes.io/instance-type": ["g6e.2xlarge"],
        "topology.kubernetes.io/zone": ["us-west-2a", "us-west-2b"],
        "karpenter.sh/capacity-type": ["on-demand"],
    }
    assert recorder.of("NodeGroup") == []
    assert recorder.of("LaunchTemplate") == []


def test_a_limit_counts_the_gpus_of_a_node() -> None:
    config = changed(changed(KARPENTER, f"{POOL}.instanceType", "g6e.12xlarge"), f"{POOL}.max", 3)
    assert spec(run_program(config), "NodePool")["limits"] == {"nvidia.com/gpu": "12"}


def test_a_class_says_where_nodes_are_and_what_of() -> None:
    recorder = run_program(KARPENTER)
    asked, pool = spec(recorder, "EC2NodeClass"), spec(recorder, "NodePool")["template"]["spec"]
    name = recorder.one("EC2NodeClass").name
    assert pool["nodeClassRef"] == {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": name}
    assert asked["amiSelectorTerms"] == [{"alias": "al2023@latest"}]
    assert asked["role"] == "prod-karpenter-nodes"
    assert asked["subnetSelectorTerms"] == [
        {"id": "subnet-0a1b2c3d4e5f60001"},
        {"id": "subnet-0a1b2c3d4e5f60002"},
    ]
    assert asked["securityGroupSelectorTerms"] == [{"id": "sg-0c1b2c3d4e5f60001"}]
    assert asked["metadataOptions"]["httpTokens"] == "required"
    assert asked["blockDeviceMappings"][0]["ebs"]["volumeSize"] == "100Gi"
    assert not {"instanceStorePolicy", "userData", "capacityReservationSelectorTerms"} & set(asked)


@pytest.mark.parametrize(("config", "kinds"), [(KARPENTER, ("NodePool", "EC2NodeClass")), (AUTO_MODE, ("NodePool",))])
def test_deletion_waits_for_large_nodes(config: dict[str, Any], kinds: tuple[str, ...]) -> None:
    asked = options(config)
    assert {asked[kind].customTimeouts.delete for kind in kinds} == {"60m"}


def test_tags_make_no_node_drift() -> None:
    assert list(options(KARPENTER)["EC2NodeClass"].ignoreChanges) == ["spec.tags"]


def test_broken_nodes_are_replaced_in_a_created_cluster() -> None:
    """https://karpenter.sh/v1.14/reference/settings/#feature-gates."""
    (made,) = (each for each in run_program(AWS_CREATED).of("Release") if each.name == "karpenter")
    assert plain(made.inputs)["values"]["settings"] == {"clusterName": "dev", "featureGates": {"nodeRepair": True}}


def test_nodes_join_by_an_access_entry_of_their_role() -> None:
    recorder = run_program(KARPENTER)
    entry = recorder.one("AccessEntry")
    assert plain(entry.inputs)["type"] == "EC2_LINUX"
    assert plain(entry.inputs)["principalArn"].endswith(":prod-karpenter-nodes")
    assert entry.urn in recorder.one("EC2NodeClass").depends_on


def test_nodes_of_karpenter_share_a_role_and_none_with_those_of_groups() -> None:
    """EKS takes away a role's access with its last node group, and makes the access entry of groups itself."""
    pool = KARPENTER["gpuPools"]["l40s"]
    config = changed(changed(KARPENTER, "gpuPools.more", pool), "gpuPools.groups", {**pool, "autoscaler": GROUPS})
    recorder = run_program(config)
    assert {each.name for each in recorder.of("iam/role:Role")} == {"prod-karpenter-nodes", "prod-gpu-nodes"}
    classes = [plain(each.inputs)["spec"] for each in recorder.of("EC2NodeClass")]
    assert [each["role"] for each in classes] == ["prod-karpenter-nodes"] * 2
    assert plain(recorder.one("NodeGroup").inputs)["nodeRoleArn"].endswith(":prod-gpu-nodes")
    assert plain(recorder.one("AccessEntry").inputs)["principalArn"].endswith(":prod-karpenter-nodes")


def test_nodes_of_a_created_cluster_have_the_role_that_its_karpenter_may_pass_on() -> None:
    recorder = run_program(AWS_CREATED)
    assert spec(recorder, "EC2NodeClass")["role"] == "dev-karpenter-nodes"
    assert len(recorder.of("AccessEntry")) == len({each.inputs["principalArn"] for each in recorder.of("AccessEntry")})


@pytest.mark.parametrize(
    ("key", "value", "term"),
    [
        ("instanceStore", True, {"instanceStorePolicy": "RAID0"}),
        (
            "reservation",
            "cr-0a1b2c3d4e5f60001",
            {"capacityReservationSelectorTerms": [{"id": "cr-0a1b2c3d4e5f60001"}]},
        ),
        ("amiRelease", "1.34.1-20251112", {"amiSelectorTerms": [{"alias": "al2023@v20251112"}]}),
    ],
)
def test_a_class_follows_the_pool_and_is_another_one(key: str, value: object, term: dict[str, Any]) -> None:
    recorder = run_program(changed(ONE_ZONE, f"{POOL}.{key}", value))
    asked = spec(recorder, "EC2NodeClass")
    assert term.items() <= asked.items()
    before = run_program(ONE_ZONE)
    for kind in ("EC2NodeClass", "NodePool"):
        assert recorder.one(kind).name != before.one(kind).name


@pytest.mark.parametrize(("key", "value"), [("max", 5), ("tags", {"a": "b"}), ("updates", "inPlace")])
def test_what_needs_no_other_nodes_leaves_the_pool_its_name(key: str, value: object) -> None:
    recorder = run_program(changed(KARPENTER, f"{POOL}.{key}", value))
    assert recorder.one("NodePool").name == run_program(KARPENTER).one("NodePool").name


def test_labels_are_of_nodes_that_start_so_that_others_make_another_pool() -> None:
    recorder = run_program(changed(KARPENTER, f"{POOL}.labels", {"a": "b"}))
    assert recorder.one("NodePool").name != run_program(KARPENTER).one("NodePool").name
    assert spec(recorder, "NodePool")["template"]["metadata"]["labels"]["a"] == "b"


def test_capacity_that_is_reserved_is_taken_from_nowhere_else() -> None:
    config = changed(ONE_ZONE, f"{POOL}.reservation", "cr-0a1b2c3d4e5f60001")
    requirements = spec(run_program(config), "NodePool")["template"]["spec"]["requirements"]
    assert {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["reserved"]} in requirements


def test_replicas_wait_for_the_pool_and_select_its_generation() -> None:
    recorder = run_program(KARPENTER)
    pool, deployment = recorder.one("NodePool"), recorder.one("Deployment")
    generation = pool.name.removeprefix("l40s-")
    assert pool.urn in deployment.depends_on
    assert plain(deployment.inputs)["spec"]["template"]["spec"]["nodeSelector"] == {
        "inference/gpu-pool": "l40s",
        "inference/gpu-generation": generation,
    }
    labels = spec(recorder, "NodePool")["template"]["metadata"]["labels"]
    assert labels["inference/gpu-generation"] == generation
    assert labels["inference/gpu-pool"] == "l40s"


def test_updates_in_place_are_karpenters_own_drift() -> None:
    config = changed(changed(KARPENTER, f"{POOL}.updates", "inPlace"), f"{POOL}.maxUnavailable", 2)
    assert spec(run_program(config), "NodePool")["disruption"]["budgets"] == [{"nodes": "2", "reasons": ["Drifted"]}]


def test_auto_mode_has_a_class_of_its_own_and_lets_nodes_live_as_long_as_it_can() -> None:
    recorder = run_program(AUTO_MODE)
    template = spec(recorder, "NodePool")["template"]["spec"]
    assert template["nodeClassRef"] == {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "default"}
    assert template["expireAfter"] == "504h"
    assert recorder.of("EC2NodeClass") == []
    assert recorder.of("iam/role:Role") == []
    assert recorder.of("AccessEntry") == []
    assert recorder.of("DaemonSet") == []


@pytest.mark.parametrize(
    ("ami", "release", "expected"),
    [
        ("al2023", None, "al2023@latest"),
        ("al2023", "1.34.1-20251112", "al2023@v20251112"),
        ("bottlerocket", None, "bottlerocket@latest"),
        ("bottlerocket", "1.49.0-a1b2c3d4", "bottlerocket@v1.49.0"),
    ],
)
def test_an_ami_is_known_to_karpenter_by_part_of_its_release(ami: str, release: str | None, expected: str) -> None:
    values = {"instanceType": "g6.xlarge", "max": 1, "zones": ["us-west-2a"], "ami": ami, "amiRelease": release}
    assert alias(EksPool.model_validate(values)) == expected
