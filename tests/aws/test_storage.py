"""Storage for weights on AWS: what is made of each kind, and who may reach it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from typing import Any

import pytest

from components.settings import EksPool
from tests.aws.stored import CLUSTER_GROUP, named, stored
from tests.components.program import Recorder, plain, run_program
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, changed

# pulumi_aws.ec2 warns of what it has deprecated when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:aws.ec2/:DeprecationWarning")
EFS_TAGS = {"inference/cluster": "lab", "managed-by": "pulumi", "Name": "lab-shared"}


@pytest.fixture(scope="module")
def attached() -> Recorder:
    return stored(AWS_ATTACHED)


@pytest.fixture(scope="module")
def created() -> Recorder:
    return stored(AWS_CREATED)


def storage_class(recorder: Recorder, name: str) -> dict[str, Any]:
    found = plain(named(recorder, "StorageClass", name).inputs)
    assert isinstance(found, dict)
    return found


def rules(recorder: Recorder, kind: str, name: str) -> set[tuple[Any, ...]]:
    keys = ("securityGroupId", "referencedSecurityGroupId", "ipProtocol", "fromPort", "toPort")
    found = [plain(each.inputs) for each in recorder.of(kind) if each.name.startswith(name)]
    return {tuple(rule.get(key) for key in keys) for rule in found}


def test_efs_is_encrypted_elastic_tagged_and_protected(attached: Recorder) -> None:
    file_system = attached.one("FileSystem")
    assert plain(file_system.inputs) == {"encrypted": True, "throughputMode": "elastic", "tags": EFS_TAGS}
    assert file_system.protect


def test_provisioned_throughput_and_no_protection_are_as_asked(created: Recorder) -> None:
    file_system = created.one("FileSystem")
    assert plain(file_system.inputs)["throughputMode"] == "provisioned"
    assert plain(file_system.inputs)["provisionedThroughputInMibps"] == 512
    assert not file_system.protect


def test_efs_is_reached_in_every_zone_by_the_nodes_and_by_nobody_else(attached: Recorder) -> None:
    targets = {each.name: plain(each.inputs) for each in attached.of("MountTarget")}
    assert {name: target["subnetId"] for name, target in targets.items()} == {
        "shared-us-west-2a": "subnet-us-west-2a",
        "shared-us-west-2b": "subnet-us-west-2b",
    }
    assert all(target["securityGroups"] == ["shared-id"] for target in targets.values())
    assert attached.one("SecurityGroup").inputs["vpcId"] == "vpc-0a1b2c3d4e5f60001"
    assert rules(attached, "SecurityGroupIngressRule", "shared") == {("shared-id", CLUSTER_GROUP, "tcp", 2049, 2049)}
    assert attached.of("SecurityGroupEgressRule") == []


def test_security_groups_of_the_user_are_taken_as_they_are() -> None:
    recorder = stored(changed(AWS_ATTACHED, "storage.shared.securityGroups", ["sg-0a1b2c3d4e5f60009"]))
    assert {tuple(each.inputs["securityGroups"]) for each in recorder.of("MountTarget")} == {("sg-0a1b2c3d4e5f60009",)}
    assert recorder.of("SecurityGroup") + recorder.of("SecurityGroupIngressRule") == []


def test_an_efs_volume_is_a_folder_of_the_pods_user_that_outlives_its_claim(attached: Recorder) -> None:
    made = storage_class(attached, "shared")
    assert made["metadata"]["name"] == "inference-shared"
    assert made["provisioner"] == "efs.csi.aws.com"
    assert made["parameters"] == {
        "provisioningMode": "efs-ap",
        "fileSystemId": "shared-id",
        "directoryPerms": "750",
        "uid": "65532",
        "gid": "65532",
        "basePath": "/weights",
        "subPathPattern": "${.PVC.name}",
        "ensureUniqueDirectory": "false",
    }
    assert (made["reclaimPolicy"], made["volumeBindingMode"]) == ("Retain", "Immediate")
    assert made["mountOptions"] == ["tls"]
    assert "allowedTopologies" not in made


def test_the_longest_names_still_make_an_access_point() -> None:
    """EFS: at most 100 characters, https://docs.aws.amazon.com/efs/latest/ug/API_RootDirectory.html."""
    longest = 40
    assert len(f"/weights/{'m' * longest}-weights-{'s' * longest}") <= 100


def test_claims_on_efs_wait_for_the_mount_targets_and_the_rule(attached: Recorder) -> None:
    made, claim = named(attached, "StorageClass", "shared"), attached.one("PersistentVolumeClaim")
    needed = {each.urn for kind in ("MountTarget", "SecurityGroupIngressRule") for each in attached.of(kind)}
    assert len(needed) == 3
    assert needed <= set(made.depends_on)
    assert made.urn in claim.depends_on
    assert claim.inputs["spec"]["storageClassName"] == "inference-shared"


def test_gp3_volumes_are_made_encrypted_in_the_zone_of_the_pool_at_the_rates_asked_for(created: Recorder) -> None:
    made = storage_class(created, "disks-")
    assert made["provisioner"] == "ebs.csi.aws.com"
    assert made["parameters"] == {
        "type": "gp3",
        "iops": "6000",
        "throughput": "1000",
        "encrypted": "true",
        "csi.storage.k8s.io/fstype": "ext4",
    }
    assert made["allowedTopologies"] == [
        {"matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": ["us-east-2b"]}]}
    ]
    assert (made["reclaimPolicy"], made["volumeBindingMode"]) == ("Delete", "WaitForFirstConsumer")
    assert made["allowVolumeExpansion"] is True


def test_auto_mode_brings_its_own_driver_for_ebs() -> None:
    assert storage_class(stored(AWS_CREATED, auto_mode=True), "disks-")["provisioner"] == "ebs.csi.eks.amazonaws.com"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("storage.disks.throughputMBps", 500),
        ("storage.disks.iops", 8000),
        ("gpuPools.l4.zones", ["us-east-2a"]),
        ("gpuPools.l4.alternatives", []),
        ("gpuPools.l4.disk.sizeGiB", 300),
    ],
)
def test_other_rates_zones_or_nodes_are_another_volume_beside_the_old_one(
    created: Recorder, path: str, value: object
) -> None:
    other = stored(changed(AWS_CREATED, path, value))
    for kind, name in (("StorageClass", "disks-"), ("PersistentVolumeClaim", "chat-"), ("Job", "chat-seed-")):
        assert named(created, kind, name).urn != named(other, kind, name).urn


CHANGES: dict[str, object] = {
    "instanceType": "g6e.24xlarge",
    "alternatives": ["g6e.24xlarge"],
    "min": 1,
    "max": 5,
    "quotaVcpus": 1024,
    "zones": ["us-west-2b"],
    "ami": "bottlerocket",
    "amiRelease": "1.34.1-20251112",
    "driver": 581,
    "capacity": "SPOT",
    "reservation": "cr-0a1b2c3d4e5f60001",
    "autoscaler": "karpenter",
    "updates": "inPlace",
    "maxUnavailable": 2,
    "repair": False,
    "disk": {"sizeGiB": 300},
    "instanceStore": True,
    "efa": True,
    "labels": {"a": "b"},
    "tags": {"a": "b"},
    "facts": {
        "gpu": {"product": "NVIDIA-L40S", "memoryGiB": 44, "count": 4},
        "vcpus": 48,
        "memoryGiB": 384,
        "nvmeGB": 3800,
    },
    "checkOffering": False,
}
ELSEWHERE: dict[str, object] = {
    "cluster.tags": {"a": "b"},
    "storage.local": {"kind": "instanceStore", "path": "/mnt/k8s-disks/0/other"},
}
POOLS: dict[str, dict[str, object]] = {
    "plain": {},
    "template": {"disk": {"sizeGiB": 200, "throughputMBps": 500}, "instanceStore": True},
    "karpenter": {"autoscaler": "karpenter", "instanceStore": True},
}
STAY: dict[str, set[str]] = {
    "plain": {"labels", "storage.local"},
    "template": {"labels"},
    "karpenter": set(),
}
"""What else makes no other nodes of a pool: EKS changes labels, and a folder needs an instance store."""
REFUSED: dict[str, set[str]] = {"plain": set(), "template": {"ami"}, "karpenter": {"ami", "efa", "min"}}


def bound(config: dict[str, Any]) -> tuple[str, str]:
    """The generation of the pool's nodes and the name of the gp3 class that is theirs."""
    return _bound(json.dumps(config))


@functools.cache
def _bound(config: str) -> tuple[str, str]:
    recorder = run_program(json.loads(config))
    nodes = recorder.of("NodePool") or recorder.of("NodeGroup")
    return nodes[0].name, storage_class(recorder, "shared-")["metadata"]["name"]


def test_every_field_of_a_pool_is_tried() -> None:
    assert set(CHANGES) == {field.alias for field in EksPool.model_fields.values()}


@pytest.mark.parametrize(
    ("kind", "change"),
    [(kind, change) for kind in POOLS for change in (*CHANGES, *ELSEWHERE) if change not in REFUSED[kind]],
)
def test_other_nodes_have_another_gp3_volume_and_the_same_nodes_the_same(kind: str, change: str) -> None:
    config = changed(AWS_ATTACHED, "storage.shared", {"kind": "gp3"})
    values = {"zones": ["us-west-2a"], "instanceType": "g6e.12xlarge", "checkOffering": True, **POOLS[kind]}
    for key, value in values.items():
        config = changed(config, f"gpuPools.l40s.{key}", value)
    other = changed(config, *((change, ELSEWHERE[change]) if change in ELSEWHERE else at_pool(change)))
    (nodes, volume), (other_nodes, other_volume) = bound(config), bound(other)
    assert (nodes == other_nodes) == (volume == other_volume)
    harmless = {
        "min",
        "max",
        "quotaVcpus",
        "driver",
        "updates",
        "maxUnavailable",
        "repair",
        "tags",
        "facts",
        "checkOffering",
    }
    same = {*harmless, "cluster.tags", *STAY[kind]} | {key for key in CHANGES if values.get(key) == CHANGES[key]}
    assert (nodes == other_nodes) == (change in same)


def at_pool(key: str) -> tuple[str, object]:
    return f"gpuPools.l40s.{key}", CHANGES[key]


@pytest.mark.parametrize("kind", ["efs", "gp3"])
def test_nodes_that_are_there_already_mount_it_as_well(kind: str) -> None:
    labels = {"example.com/gpu": "l40s"}
    pool = {"nodes": 1, "gpu": {"product": "NVIDIA-L40S", "memoryGiB": 48, "count": 4}, "nodeSelector": labels}
    recorder = stored(changed(changed(AWS_ATTACHED, "gpuPools.l40s", pool), "storage.shared", {"kind": kind}))
    assert "allowedTopologies" not in storage_class(recorder, "shared")
    seeder = plain(named(recorder, "Job", "chat-seed-").inputs)["spec"]["template"]["spec"]
    assert seeder.get("nodeSelector") == (labels if kind == "gp3" else None)


def test_lustre_lies_in_its_zone_with_the_rate_asked_for_and_is_protected(created: Recorder) -> None:
    file_system = created.one("LustreFileSystem")
    assert file_system.name == "lustre-us-east-2b"
    inputs = plain(file_system.inputs)
    assert inputs.pop("tags")["Name"] == "lab-lustre-us-east-2b"
    assert inputs == {
        "subnetIds": "subnet-us-east-2b",
        "securityGroupIds": ["sg-0a1b2c3d4e5f60001"],
        "deploymentType": "PERSISTENT_2",
        "storageType": "SSD",
        "storageCapacity": 2400,
        "perUnitStorageThroughput": 500,
        "fileSystemTypeVersion": "2.15",
        "automaticBackupRetentionDays": 0,
    }
    assert file_system.protect


def test_lustre_is_linked_to_s3_whose_deletions_do_not_reach_it(created: Recorder) -> None:
    inputs = plain(created.one("DataRepositoryAssociation").inputs)
    assert inputs["fileSystemId"] == "lustre-us-east-2b-id"
    assert (inputs["dataRepositoryPath"], inputs["fileSystemPath"]) == ("s3://example-weights/llm", "/")
    assert inputs["s3"] == {
        "autoImportPolicy": {"events": ["NEW", "CHANGED"]},
        "autoExportPolicy": {"events": ["NEW", "CHANGED", "DELETED"]},
    }


def test_lustre_without_s3_is_linked_to_nothing() -> None:
    assert stored(changed(AWS_CREATED, "storage.lustre.s3", None)).of("DataRepositoryAssociation") == []


def test_lustre_servers_talk_to_each_other_and_to_the_nodes() -> None:
    recorder = stored(changed(AWS_CREATED, "storage.lustre.securityGroups", []))
    own, nodes = "lustre-us-east-2b-id", CLUSTER_GROUP
    assert rules(recorder, "SecurityGroupIngressRule", "lustre") == {
        (to, source, "tcp", first, last)
        for to, source in ((own, nodes), (own, own), (nodes, own))
        for first, last in ((988, 988), (1018, 1023))
    }
    assert rules(recorder, "SecurityGroupEgressRule", "lustre") == {
        (own, own, "-1", None, None),
        (own, nodes, "-1", None, None),
    }
    volume = named(recorder, "PersistentVolume", "expert-")
    assert {each.urn for each in recorder.of("SecurityGroupIngressRule") if each.name.startswith("lustre")} <= set(
        volume.depends_on
    )


def test_a_lustre_claim_is_bound_to_a_volume_that_is_the_file_system(created: Recorder) -> None:
    volume, claim = named(created, "PersistentVolume", "expert-"), named(created, "PersistentVolumeClaim", "expert-")
    spec = plain(volume.inputs)["spec"]
    assert spec["csi"] == {
        "driver": "fsx.csi.aws.com",
        "fsType": "lustre",
        "volumeHandle": "lustre-us-east-2b-id",
        "volumeAttributes": {"dnsname": "fs.example.com", "mountname": "abcdefgh"},
    }
    assert spec["mountOptions"] == ["flock"]
    # Both for the kubelet, which hands the root folder to the pods' group under either policy of the driver.
    assert spec["accessModes"] == ["ReadWriteMany", "ReadWriteOnce"]
    assert plain(claim.inputs)["spec"]["accessModes"] == ["ReadWriteMany"]
    assert spec["claimRef"]["name"] == claim.name == "expert-weights-lustre-us-east-2b"
    assert created.one("DataRepositoryAssociation").urn in volume.depends_on
    assert volume.urn in claim.depends_on


def test_storage_is_a_component_of_its_own_whose_children_are_all_its(created: Recorder) -> None:
    components = {each.name: each for each in created.registrations if each.type == "inference:index:Storage"}
    assert set(components) == {"disks", "local", "lustre", "shared"}
    urns = {each.urn for each in components.values()}
    made = [each for each in created.registrations if each.type.startswith("aws:") or each.type.endswith("Class")]
    assert made
    assert all(each.parent in urns for each in made)
    provider = created.one("providers:kubernetes")
    assert all(each.provider.startswith(provider.urn) for each in created.of("StorageClass"))


def test_storage_that_no_model_uses_keeps_what_it_holds_and_makes_no_class(created: Recorder) -> None:
    config = changed(AWS_CREATED, "models.chat.weights.storage", "shared")
    config = changed(config, "models.expert.weights.storage", "shared")
    unused = stored(config)
    assert unused.one("LustreFileSystem").urn == created.one("LustreFileSystem").urn
    assert {each.name for each in unused.of("StorageClass")} == {"shared"}


@pytest.mark.parametrize(("groups", "loaded"), [([], True), (["sg-0a1b2c3d4e5f60009"], False)])
def test_ec2_is_loaded_for_a_security_group_of_our_own_only(groups: list[str], loaded: bool) -> None:  # noqa: FBT001
    """It takes seconds, and what is imported once stays: hence a process of its own."""
    config = json.dumps(changed(AWS_ATTACHED, "storage.shared.securityGroups", groups))
    code = (
        "import json, sys; from tests.aws.stored import stored; stored(json.loads(sys.argv[1]));"
        "print('pulumi_aws.ec2.security_group' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, config], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(loaded)
