"""Who adds and removes the nodes of a created cluster."""

from __future__ import annotations

import json

import pytest

from components.aws import policies
from components.aws.autoscaler import IMAGES, autoscaler_values
from components.settings.eks import SUPPORTED
from tests.aws.connected import Recorder, connected, trust
from tests.components.samples import AWS_CREATED, changed, without

CREATE = "cluster.create"


@pytest.fixture(scope="module")
def created() -> Recorder:
    return connected(AWS_CREATED)


def test_the_cluster_autoscaler_scales_its_own_clusters_groups_only(created: Recorder) -> None:
    document = json.loads(created.named("RolePolicy", "dev-autoscaler").inputs["policy"])
    assert document == policies.cluster_autoscaler("dev", "us-east-2")
    reads, describes, writes = document["Statement"]
    assert all(":Describe" in action or ":Get" in action for action in reads["Action"])
    assert describes["Resource"] == "arn:aws:eks:us-east-2:*:nodegroup/dev/*/*"
    assert describes["Action"] == ["eks:DescribeNodegroup"]
    assert writes == {
        "Effect": "Allow",
        "Action": ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"],
        "Resource": "arn:aws:autoscaling:us-east-2:*:autoScalingGroup:*",
        "Condition": {"StringEquals": {"aws:ResourceTag/k8s.io/cluster-autoscaler/dev": "owned"}},
    }


def test_the_cluster_autoscaler_is_of_the_clusters_version_and_lets_streams_end(created: Recorder) -> None:
    release = created.named("Release", "cluster-autoscaler").inputs
    assert (release["chart"], release["version"], release["namespace"]) == (
        "cluster-autoscaler",
        "9.59.0",
        "kube-system",
    )
    assert release["repositoryOpts"] == {"repo": "https://kubernetes.github.io/autoscaler"}
    values = release["values"]
    assert values["image"] == {"tag": "v1.34.4"}
    assert values["autoDiscovery"] == {"clusterName": "dev"}
    assert values["awsRegion"] == "us-east-2"
    assert (
        values["rbac"]["serviceAccount"]["name"]
        == created.named("PodIdentityAssociation", "cluster-autoscaler").inputs["serviceAccount"]
    )


def test_a_replica_that_drains_for_long_is_not_cut_off_by_the_autoscaler() -> None:
    config = changed(AWS_CREATED, "models.expert.drainSeconds", 3000)
    values = connected(config).named("Release", "cluster-autoscaler").inputs["values"]
    assert values["extraArgs"]["max-graceful-termination-sec"] > 3000
    assert autoscaler_values("a", "b", "1.34", "c", 30)["extraArgs"]["max-graceful-termination-sec"] == 600


@pytest.mark.parametrize("version", sorted(IMAGES))
def test_every_image_is_of_the_minor_version_that_it_stands_for(version: str) -> None:
    assert autoscaler_values("a", "b", version, "c", 30)["image"]["tag"].startswith(f"v{version}.")


def test_every_version_that_a_cluster_is_created_with_has_an_autoscaler() -> None:
    assert set(IMAGES) == set(SUPPORTED)


@pytest.mark.parametrize(("name", "role"), [("cluster-autoscaler", "dev-autoscaler"), ("karpenter", "dev-karpenter")])
def test_controllers_start_with_their_rights(created: Recorder, name: str, role: str) -> None:
    association = created.named("PodIdentityAssociation", name)
    assert (association.inputs["clusterName"], association.inputs["namespace"]) == ("dev", "kube-system")
    policy = created.named("RolePolicy", role).urn
    assert {association.urn, policy} <= set(created.named("Release", name).depends_on)
    condition = trust(created, role)["Statement"][0]["Condition"]["StringEquals"]
    assert condition["aws:RequestTag/kubernetes-service-account"] == association.inputs["serviceAccount"]


def test_karpenter_passes_only_its_nodes_role_and_changes_only_what_is_its_own(created: Recorder) -> None:
    document = json.loads(created.named("RolePolicy", "dev-karpenter").inputs["policy"])
    (passing,) = [each for each in document["Statement"] if "iam:PassRole" in each["Action"]]
    assert passing["Resource"] == "arn:aws:iam:us-west-2:123456789012:dev-karpenter-nodes"
    for each in document["Statement"]:
        changing = [
            action for action in each["Action"] if not action.split(":")[1].startswith(("Describe", "Get", "List"))
        ]
        starts_on = {"ec2:RunInstances", "ec2:CreateFleet"} >= set(changing)
        assert not changing or starts_on or "Condition" in each
        assert not changing or each["Resource"] != "*"


def test_karpenters_nodes_may_join_and_its_crds_come_first(created: Recorder) -> None:
    entry = created.named("AccessEntry", "dev-karpenter-nodes")
    assert entry.inputs["type"] == "EC2_LINUX"
    release = created.named("Release", "karpenter")
    assert {entry.urn, created.named("Release", "karpenter-crd").urn} <= set(release.depends_on)
    assert release.inputs["skipCrds"] is True
    assert release.inputs["chart"] == "oci://public.ecr.aws/karpenter/karpenter"
    assert release.inputs["values"]["replicas"] == 2


def test_a_second_karpenter_replica_would_wait_for_ever_for_a_second_node() -> None:
    config = changed(AWS_CREATED, f"{CREATE}.system.min", 1)
    assert connected(config).named("Release", "karpenter").inputs["values"]["replicas"] == 1


def test_only_autoscalers_that_a_pool_asks_for_are_installed() -> None:
    config = changed(AWS_CREATED, "gpuPools.l4.autoscaler", "cluster-autoscaler")
    recorder = connected(config)
    assert not recorder.of("Karpenter")
    assert recorder.eks["node_roles"] == {}
    config = changed(AWS_CREATED, "gpuPools.h100", AWS_CREATED["gpuPools"]["l4"])
    assert not connected(without(config, "models.expert")).of("ClusterAutoscaler")
