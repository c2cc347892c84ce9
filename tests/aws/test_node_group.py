"""Node groups: what EKS is asked for, and what makes other nodes of them."""

from __future__ import annotations

import base64
import email
import json
import subprocess
import sys
from typing import Any

import pytest
import yaml

from components.aws import launch_template
from components.aws.user_data import user_data
from components.facts.ec2 import InstanceFacts, instance_type
from components.settings import EksPool
from tests.aws.options import options
from tests.components.program import PROJECT, Recorder, Registration, plain, run_program
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, SMALLEST, changed

POOL = "gpuPools.l40s"
RESERVATION = "cr-0a1b2c3d4e5f60001"


def group(config: dict[str, Any] = AWS_ATTACHED) -> dict[str, Any]:
    """The inputs of the GPU node group."""
    return plain(registered(run_program(config)).inputs)  # type: ignore[no-any-return]


def registered(recorder: Recorder) -> Registration:
    """The GPU node group, which is not that of the system."""
    (found,) = (each for each in recorder.of("NodeGroup") if "nvidia.com/gpu.present" in each.inputs["labels"])
    return found


def set_in_pool(**values: object) -> dict[str, Any]:
    config = AWS_ATTACHED
    for key, value in values.items():
        config = changed(config, f"{POOL}.{key}", value)
    return config


def test_a_group_asks_for_gpu_nodes_that_only_gpu_pods_tolerate() -> None:
    asked = group()
    assert asked["amiType"] == "AL2023_x86_64_NVIDIA"
    assert asked["instanceTypes"] == ["g6e.2xlarge"]
    assert asked["capacityType"] == "ON_DEMAND"
    assert asked["diskSize"] == 100
    assert asked["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}]
    assert asked["scalingConfig"] == {"minSize": 0, "maxSize": 2, "desiredSize": 0}
    assert asked["subnetIds"] == ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"]
    assert asked["nodeRepairConfig"] == {"enabled": True}
    assert asked["clusterName"] == "prod"


def test_nodes_say_what_they_are_to_scheduler_and_autoscaler() -> None:
    asked = group(set_in_pool(labels={"example.com/team": "search"}))
    generation = asked["nodeGroupName"].removeprefix("l40s-")
    assert asked["labels"] == {
        "example.com/team": "search",
        "inference/gpu-generation": generation,
        "inference/gpu-pool": "l40s",
        "k8s.amazonaws.com/accelerator": "NVIDIA-L40S",
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": "NVIDIA-L40S",
    }


def test_everything_of_a_pool_has_the_tags_of_the_cluster_and_its_own() -> None:
    config = set_in_pool(tags={"team": "search"}, efa=True, instanceType="g6e.24xlarge")
    recorder = run_program(changed(config, "cluster.tags", {"cost-centre": 7}))
    made = [
        each
        for each in recorder.registrations
        if each.type.startswith("aws:") and each.name.startswith("l40s") and "tags" in each.inputs
    ]
    assert {each.type.split(":")[-1] for each in made} == {
        "LaunchTemplate",
        "NodeGroup",
        "SecurityGroup",
        "SecurityGroupEgressRule",
        "SecurityGroupIngressRule",
    }
    expected = {"team": "search", "cost-centre": "7", "inference/cluster": "prod", "managed-by": "pulumi"}
    for each in made:
        assert expected.items() <= plain(each.inputs)["tags"].items(), each.type


@pytest.mark.parametrize(
    ("config", "storage"),
    [
        (AWS_ATTACHED, "85Gi"),
        (set_in_pool(disk={"sizeGiB": 200}), "170Gi"),
        (set_in_pool(instanceStore=True), "356Gi"),
    ],
    ids=["default", "larger disk", "instance store"],
)
def test_the_autoscaler_learns_of_disks_by_a_tag_before_there_is_a_node(config: dict[str, Any], storage: str) -> None:
    assert group(config)["tags"]["k8s.io/cluster-autoscaler/node-template/resources/ephemeral-storage"] == storage


def test_the_autoscaler_learns_of_time_slices() -> None:
    key = "k8s.io/cluster-autoscaler/node-template/resources/nvidia.com/gpu"
    assert key not in group()["tags"]
    sliced = changed(AWS_ATTACHED, "devicePlugin.timeSlicing", 3)
    assert group(sliced)["tags"][key] == "3"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("instanceType", "g6e.4xlarge"),
        ("alternatives", ["g6e.4xlarge"]),
        ("ami", "bottlerocket"),
        ("amiRelease", "1.34.1-20251112"),
        ("capacity", "SPOT"),
        ("zones", ["us-west-2a"]),
        ("disk", {"sizeGiB": 200}),
        ("disk", {"throughputMBps": 500}),
        ("instanceStore", True),
        ("autoscaler", "karpenter"),
    ],
)
def test_what_nodes_cannot_change_makes_another_group(key: str, value: object) -> None:
    config = set_in_pool(**{key: value})
    kind = "NodePool" if value == "karpenter" else "NodeGroup"
    (made,) = run_program(config).of(kind)
    assert made.name != group()["nodeGroupName"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("min", 1),
        ("max", 5),
        ("labels", {"a": "b"}),
        ("tags", {"team": "search"}),
        ("repair", False),
        ("maxUnavailable", 2),
        ("updates", "inPlace"),
        ("driver", 580),
        ("zones", ["us-west-2b", "us-west-2a"]),
    ],
)
def test_what_nodes_can_change_leaves_the_group_as_it_is(key: str, value: object) -> None:
    assert group(set_in_pool(**{key: value}))["nodeGroupName"] == group()["nodeGroupName"]


TEMPLATES: dict[str, dict[str, Any]] = {
    "rates": {"disk": {"throughputMBps": 500}},
    "efa": {"efa": True, "instanceType": "g6e.24xlarge"},
}


@pytest.mark.parametrize("values", [{}, *TEMPLATES.values()], ids=["none", *TEMPLATES])
@pytest.mark.parametrize("path", [f"{POOL}.tags", "cluster.tags"])
def test_tags_replace_and_drain_no_node(path: str, values: dict[str, Any]) -> None:
    before, after = set_in_pool(**values), changed(set_in_pool(**values), path, {"a": "b"})
    assert group(before)["nodeGroupName"] == group(after)["nodeGroupName"]
    templates = [
        {key: value for key, value in plain(each.inputs).items() if key not in {"tags", "tagSpecifications"}}
        for config in (before, after)
        for each in run_program(config).of("LaunchTemplate")
    ]
    if templates:
        assert templates[0] == templates[1]
        assert list(options(after)["LaunchTemplate"].ignoreChanges) == ["tagSpecifications"]


def test_what_a_template_says_is_of_its_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program or other facts, or EKS would drain the nodes one by one."""
    config = set_in_pool(**TEMPLATES["efa"])
    before = run_program(config).one("LaunchTemplate")
    facts = InstanceFacts(**{**vars(instance_type("g6e.24xlarge")), "efa_interfaces": 1})
    with monkeypatch.context() as patch:
        patch.setattr(EksPool, "facts_of_type", facts)
        assert run_program(config).one("LaunchTemplate").name != before.name
    with monkeypatch.context() as patch:
        patch.setitem(launch_template.DEVICES, "al2023", "/dev/sda1")
        assert run_program(config).one("LaunchTemplate").name != before.name
    stored = changed(set_in_pool(instanceStore=True), "storage.local", {"kind": "instanceStore"})
    before = run_program(stored).one("LaunchTemplate")
    monkeypatch.setattr("components.aws.user_data.USER", 1000)
    assert run_program(stored).one("LaunchTemplate").name != before.name


def test_a_release_in_place_is_eks_own_matter() -> None:
    in_place = set_in_pool(updates="inPlace", amiRelease="1.34.1-20251112")
    asked = group(in_place)
    assert asked["nodeGroupName"] == group()["nodeGroupName"]
    assert (asked["version"], asked["releaseVersion"]) == ("1.34", "1.34.1-20251112")
    assert group(set_in_pool(updates="inPlace"))["version"] == "1.34"
    assert "version" not in group()


def test_another_group_gets_the_replicas_before_the_old_one_goes() -> None:
    recorder = run_program(AWS_ATTACHED)
    nodes, deployment = registered(recorder), recorder.one("Deployment")
    assert nodes.urn in deployment.depends_on
    assert plain(deployment.inputs)["spec"]["template"]["spec"]["nodeSelector"] == {
        "inference/gpu-pool": "l40s",
        "inference/gpu-generation": nodes.name.removeprefix("l40s-"),
    }


def test_the_autoscaler_owns_the_number_of_nodes() -> None:
    assert list(options(AWS_ATTACHED)["NodeGroup"].ignoreChanges) == ["scalingConfig.desiredSize"]


def test_nodes_may_join_pull_images_and_configure_their_network_and_no_more() -> None:
    recorder = run_program(AWS_ATTACHED)
    policies = {plain(each.inputs)["policyArn"].rsplit("/")[-1] for each in recorder.of("RolePolicyAttachment")}
    assert policies == {
        "AmazonEKSWorkerNodePolicy",
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonEKS_CNI_Policy",
    }
    attached = {each.urn for each in recorder.of("RolePolicyAttachment")}
    assert attached <= set(registered(recorder).depends_on)


def test_pools_share_a_role_that_stays_as_it_is_when_one_of_them_goes() -> None:
    pool = AWS_ATTACHED["gpuPools"]["l40s"]
    config = changed(AWS_ATTACHED, f"{POOL}.tags", {"team": "search"})
    one, two = run_program(config), run_program(changed(config, "gpuPools.more", {**pool, "tags": {"team": "chat"}}))
    assert one.one("iam/role:Role") == two.one("iam/role:Role")
    assert plain(two.one("iam/role:Role").inputs)["tags"] == {"inference/cluster": "prod", "managed-by": "pulumi"}
    role, groups = two.one("iam/role:Role"), two.of("NodeGroup")
    assert role.parent.endswith("::pulumi:pulumi:Stack::inference-test")
    assert [plain(each.inputs)["nodeRoleArn"].rpartition(":")[2] for each in groups] == ["prod-gpu-nodes"] * 2
    attached = {each.urn for each in two.of("RolePolicyAttachment") if each.parent == role.urn}
    assert len(attached) == 3
    assert all(attached <= set(each.depends_on) for each in groups)


def test_nodes_of_a_created_cluster_leave_its_network_to_the_cni() -> None:
    recorder = run_program(AWS_CREATED)
    (role,) = (each for each in recorder.of("iam/role:Role") if each.name == "dev-gpu-nodes")
    policies = [
        plain(each.inputs)["policyArn"] for each in recorder.of("RolePolicyAttachment") if each.parent == role.urn
    ]
    assert sorted(each.rpartition("/")[2] for each in policies) == [
        "AmazonEC2ContainerRegistryPullOnly", "AmazonEKSWorkerNodePolicy",
    ]  # fmt: skip


def test_nodes_that_are_there_already_need_no_role() -> None:
    assert run_program(changed(AWS_ATTACHED, POOL, SMALLEST["gpuPools"]["l4"])).of("iam/role:Role") == []


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"disk": {"sizeGiB": 500}},
        {"capacity": "SPOT"},
        {"labels": {"a": "b"}},
        {"tags": {"a": "b"}},
        {"amiRelease": "1.34.1-20251112"},
    ],
    ids=lambda values: next(iter(values), "default"),
)
def test_there_is_no_launch_template_without_need(values: dict[str, Any]) -> None:
    assert run_program(set_in_pool(**values)).of("LaunchTemplate") == []


def template(**values: object) -> dict[str, Any]:
    recorder = run_program(set_in_pool(**values))
    made, asked = plain(recorder.one("LaunchTemplate").inputs), plain(registered(recorder).inputs)
    assert "diskSize" not in asked
    assert asked["launchTemplate"] == {"id": f"{asked['nodeGroupName']}-id", "version": "1"}
    assert made["metadataOptions"]["httpTokens"] == "required"
    assert made["metadataOptions"]["httpPutResponseHopLimit"] == 1
    assert ("instanceType" in made) != ("instanceTypes" in asked)
    return made  # type: ignore[no-any-return]


def test_a_faster_disk_takes_a_template() -> None:
    (disk,) = template(disk={"sizeGiB": 300, "iops": 6000, "throughputMBps": 500})["blockDeviceMappings"]
    assert disk["deviceName"] == "/dev/xvda"
    ebs = {"volumeSize": 300, "volumeType": "gp3", "iops": 6000, "throughput": 500}
    assert ebs.items() <= disk["ebs"].items()
    assert disk["ebs"]["encrypted"] == "true"


def test_bottlerocket_takes_a_template_for_imdsv2_and_has_its_data_volume_sized() -> None:
    made = template(ami="bottlerocket", disk={"sizeGiB": 300})
    assert [disk["deviceName"] for disk in made["blockDeviceMappings"]] == ["/dev/xvdb"]
    assert "userData" not in made


def test_tags_of_the_pool_reach_instances_and_volumes_by_a_template() -> None:
    made = template(tags={"team": "search"}, ami="bottlerocket")["tagSpecifications"]
    assert {each["resourceType"]: each["tags"]["team"] for each in made} == dict.fromkeys(
        ("instance", "volume", "network-interface"), "search"
    )


def test_a_reservation_is_the_only_place_that_instances_start_in() -> None:
    made = template(reservation=RESERVATION, zones=["us-west-2a"])
    target = {"capacityReservationTarget": {"capacityReservationId": RESERVATION}}
    assert made["capacityReservationSpecification"] == target
    assert "instanceMarketOptions" not in made
    plain_zone, reserved = set_in_pool(zones=["us-west-2a"]), set_in_pool(zones=["us-west-2a"], reservation=RESERVATION)
    assert group(plain_zone)["nodeGroupName"] != group(reserved)["nodeGroupName"]


def test_a_capacity_block_is_a_market_of_its_own() -> None:
    made = template(
        capacity="CAPACITY_BLOCK", reservation=RESERVATION, instanceType="p5.48xlarge", zones=["us-west-2a"]
    )
    assert made["instanceMarketOptions"] == {"marketType": "capacity-block"}
    assert made["instanceType"] == "p5.48xlarge"
    assert made["capacityReservationSpecification"]["capacityReservationTarget"]["capacityReservationId"] == RESERVATION


@pytest.mark.parametrize(
    ("instance_type", "cards"),
    [
        ("g6e.12xlarge", range(1)),
        ("g6e.24xlarge", range(2)),
        ("p4d.24xlarge", range(4)),
        ("p5.48xlarge", range(32)),
        ("p5en.48xlarge", range(16)),
        ("p6-b200.48xlarge", range(8)),
        ("p6-b300.48xlarge", range(1, 17)),
    ],
)
def test_efa_is_on_every_card_that_has_it(instance_type: str, cards: range) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-acc-inst-types.html."""
    values = {"instanceType": instance_type, "checkOffering": False}
    interfaces = template(efa=True, zones=["us-west-2a"], **values)["networkInterfaces"]
    assert [(each["networkCardIndex"], each["deviceIndex"], each["interfaceType"]) for each in interfaces] == [
        (0, 0, "interface"),
        *((card, 0 if card else 1, "efa-only") for card in cards),
    ]
    assert {each["deleteOnTermination"] for each in interfaces} == {"true"}


def test_efa_has_a_group_that_trusts_itself() -> None:
    recorder = run_program(set_in_pool(efa=True, instanceType="g6e.24xlarge"))
    (trusted,) = (each for each in recorder.of("SecurityGroup") if each.name.endswith("-efa"))
    for each in plain(recorder.one("LaunchTemplate").inputs)["networkInterfaces"]:
        assert each["securityGroups"] == ["sg-0c1b2c3d4e5f60001", f"{trusted.name}-id"]
    for rule in ("SecurityGroupIngressRule", "SecurityGroupEgressRule"):
        (asked,) = (plain(each.inputs) for each in recorder.of(rule) if each.name.endswith("-efa"))
        assert asked["securityGroupId"] == asked["referencedSecurityGroupId"] == f"{trusted.name}-id"


def test_an_instance_store_is_mounted_by_nodeadm_before_the_kubelet_starts() -> None:
    folder = "/mnt/k8s-disks/0/weights"
    config = changed(set_in_pool(instanceStore=True), "storage.local", {"kind": "instanceStore", "path": folder})
    asked = plain(run_program(config).one("LaunchTemplate").inputs)["userData"]
    assert asked == user_data([folder])
    document = email.message_from_bytes(base64.b64decode(asked))
    assert document.get_content_type() == "multipart/mixed"
    node, script = list(document.walk())[1:]
    assert node.get_content_type() == "application/node.eks.aws"
    assert yaml.safe_load(str(node.get_payload())) == {
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        "spec": {"instance": {"localStorage": {"strategy": "RAID0"}}},
    }
    text = str(script.get_payload())
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    assert "ConditionPathIsMountPoint=/mnt/k8s-disks/0\n" in text
    assert "After=mnt-k8s\\x2ddisks-0.mount\n" in text
    assert f"--owner=65532 --group=65532 --mode=0750 {folder}\n" in text


def test_an_instance_store_without_weights_on_it_needs_no_script() -> None:
    document = email.message_from_bytes(base64.b64decode(template(instanceStore=True)["userData"]))
    assert [part.get_content_type() for part in document.walk()] == ["multipart/mixed", "application/node.eks.aws"]


@pytest.mark.parametrize(
    ("values", "loaded"), [({}, False), ({"ami": "bottlerocket"}, True)], ids=["plain", "template"]
)
def test_a_stack_that_makes_nothing_of_ec2_does_not_load_it(values: dict[str, Any], *, loaded: bool) -> None:
    config = changed(set_in_pool(**values), "storage.shared.securityGroups", ["sg-0a1b2c3d4e5f60001"])
    code = (
        "import json, sys\n"
        "from tests.components.program import run_program\n"
        "run_program(json.load(sys.stdin))\n"
        "print('pulumi_aws.ec2._inputs' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(config),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(loaded)


def test_the_system_nodes_are_no_gpu_nodes() -> None:
    groups = {each.name: plain(each.inputs) for each in run_program(AWS_CREATED).of("NodeGroup")}
    assert all(("taints" in each) == ("nvidia.com/gpu.present" in each["labels"]) for each in groups.values())
