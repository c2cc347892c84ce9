"""The cluster that a stack attaches to or creates."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from components.aws import policies
from components.aws.addons import BEFORE_NODES
from components.aws.autoscaler import IMAGES
from components.settings.eks import SUPPORTED
from tests.aws.connected import Recorder, connected, trust
from tests.aws.tags import taggable
from tests.components.program import SECRET, Registration, plain, run_program
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, SMALLEST, changed, without

ROOT = Path(__file__).parents[2]
CREATE = "cluster.create"
LONGEST = {
    "aws:iam/role:Role": 64,
    "aws:iam/rolePolicy:RolePolicy": 128,
    "aws:iam/instanceProfile:InstanceProfile": 128,
    "aws:eks/cluster:Cluster": 100,
    "aws:eks/nodeGroup:NodeGroup": 63,
    "aws:ec2/launchTemplate:LaunchTemplate": 128,
    "aws:ec2/securityGroup:SecurityGroup": 255,
    "aws:kms/alias:Alias": 256,
    "aws:cloudwatch/logGroup:LogGroup": 512,
    "aws:efs/fileSystem:FileSystem": 64,
}
"""Characters of a name, by https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html and the APIs."""


@pytest.fixture(scope="module")
def created() -> Recorder:
    return connected(AWS_CREATED)


@pytest.fixture(scope="module")
def attached() -> Recorder:
    return connected(AWS_ATTACHED)


def kubeconfig(recorder: Recorder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(plain(recorder.one("kubernetes").inputs["kubeconfig"]))
    return content


def managed_policies(recorder: Recorder, role: str) -> set[str]:
    return {
        each.inputs["policyArn"].removeprefix("arn:aws:iam::aws:policy/")
        for each in recorder.of("RolePolicyAttachment")
        if each.parent == recorder.named("Role", role).urn
    }


def name_in_aws(registered: Registration) -> str:
    """The name given to a resource, or else the one that Pulumi makes: its own and seven hexadecimal digits."""
    given = [registered.inputs.get(key) for key in ("name", "nodeGroupName")]
    return next((str(name) for name in given if name), f"{registered.name}-0123456")


def position(recorder: Recorder, addon: str) -> int:
    return recorder.registrations.index(recorder.named("Addon", addon))


# Attaching


def test_attaching_makes_nothing_but_the_provider(attached: Recorder) -> None:
    assert [each.type for each in attached.registrations if each.type != "pulumi:pulumi:Stack"] == [
        "pulumi:providers:kubernetes"
    ]


def test_the_cluster_is_described_by_eks_and_the_settings(attached: Recorder) -> None:
    assert attached.eks == {
        "name": "prod",
        "region": "us-west-2",
        "version": "1.34",
        "vpc_id": "vpc-0a1b2c3d4e5f60001",
        "security_group_id": "sg-0c1b2c3d4e5f60001",
        "subnets": {"us-west-2a": "subnet-0a1b2c3d4e5f60001", "us-west-2b": "subnet-0a1b2c3d4e5f60002"},
        "tags": {"inference/cluster": "prod", "managed-by": "pulumi"},
        "auto_mode": False,
        "created": False,
        "node_roles": {},
    }


def test_auto_mode_is_handed_on() -> None:
    config = changed(AWS_ATTACHED, "gpuPools.l40s.autoscaler", "karpenter")
    config = changed(config, "cluster", AWS_ATTACHED["cluster"] | {"autoMode": True})
    assert connected(config).eks["auto_mode"] is True


@pytest.mark.parametrize(
    ("config", "name", "region", "profile"),
    [
        (AWS_ATTACHED, "prod", "us-west-2", []),
        (AWS_ATTACHED | {"aws:profile": "ml"}, "prod", "us-west-2", ["--profile", "ml"]),
        (changed(AWS_ATTACHED, "cluster.name", "1_Prod-EU"), "1_Prod-EU", "us-west-2", []),
        (AWS_CREATED, "dev", "us-east-2", ["--profile", "search"]),
    ],
    ids=["attached", "attached with a profile", "attached by another's name", "created with a profile"],
)
def test_the_kubeconfig_is_secret_and_asks_the_aws_cli_for_every_token(
    config: dict[str, Any], name: str, region: str, profile: list[str]
) -> None:
    recorder = connected(config)
    provider = recorder.one("kubernetes")
    assert (provider.name, provider.inputs["clusterIdentifier"]) == ("cluster", name)
    assert provider.inputs["kubeconfig"][SECRET[0]] == SECRET[1]
    content = kubeconfig(recorder)
    assert content["clusters"][0]["cluster"] == {
        "server": f"https://{name}.eks.example.com",
        "certificate-authority-data": "Y2E=",
    }
    assert content["users"][0]["user"] == {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "aws",
            "args": ["eks", "get-token", "--cluster-name", name, "--region", region, "--output", "json", *profile],
            "interactiveMode": "Never",
            "provideClusterInfo": False,
        }
    }
    context = content["contexts"][0]
    assert content["current-context"] == context["name"]
    assert context["context"] == {"cluster": content["clusters"][0]["name"], "user": content["users"][0]["name"]}


def test_a_kubernetes_stack_keeps_its_provider() -> None:
    recorder = connected(SMALLEST)
    provider = recorder.one("kubernetes")
    assert (provider.name, provider.parent) == ("cluster", recorder.of("Stack")[0].urn)
    assert provider.inputs == {"clusterIdentifier": "lab"}
    assert recorder.connection is not None
    assert recorder.connection.eks is None


LOADED = """
import sys, types
from tests.aws.connected import connected
from tests.components import samples
connected(samples.{config})
print([name for name in ("pulumi_aws", "pulumi_aws.ec2.vpc", "components.aws.network") if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("config", "loaded"),
    [
        ("SMALLEST", []),
        ("AWS_ATTACHED", ["pulumi_aws"]),
        ("AWS_CREATED", ["pulumi_aws", "pulumi_aws.ec2.vpc", "components.aws.network"]),
    ],
)
def test_ec2_is_loaded_only_where_a_vpc_is_made(config: str, loaded: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-c", LOADED.format(config=config)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert run.stdout.strip() == str(loaded)


# Creating


def test_what_a_created_cluster_consists_of(created: Recorder) -> None:
    kinds = [each.type.split(":")[-1] for each in created.registrations]
    assert Counter(kind for kind in kinds if kind != "Stack") == {
        "EksCluster": 1,
        "Network": 1,
        "Vpc": 1,
        "DefaultSecurityGroup": 1,
        "Subnet": 6,
        "InternetGateway": 1,
        "Eip": 3,
        "NatGateway": 3,
        "RouteTable": 4,
        "Route": 4,
        "RouteTableAssociation": 6,
        "VpcEndpoint": 4,
        "SecurityGroup": 1,
        "SecurityGroupIngressRule": 1,
        "Key": 1,
        "Alias": 1,
        "LogGroup": 1,
        "Cluster": 1,
        "AccessEntry": 2,
        "AccessPolicyAssociation": 1,
        "NodeGroup": 1,
        "Addon": 8,
        "Role": 8,
        "RolePolicyAttachment": 8,
        "RolePolicy": 2,
        "PodIdentityAssociation": 2,
        "kubernetes": 1,
        "ClusterAutoscaler": 1,
        "Karpenter": 1,
        "Release": 3,
    }


def test_every_resource_belongs_to_a_component_and_goes_where_it_should(created: Recorder) -> None:
    components = {each.urn: each for each in created.registrations if each.type.startswith("inference:index:")}
    roles = {each.urn for each in created.of("Role")}
    provider = created.one("kubernetes")
    for each in created.registrations:
        if each.type.startswith("aws:"):
            assert each.parent in components.keys() | roles
            assert each.provider == ""
        if each.type.startswith("kubernetes:"):
            assert each.parent in components
            assert each.provider == f"{provider.urn}::cluster-id"


def test_what_a_slip_of_the_settings_would_delete_is_protected_unless_they_say_otherwise(created: Recorder) -> None:
    assert {each.type.rpartition(":")[2] for each in created.registrations if each.protect} == {"Vpc", "Cluster", "Key"}
    open_ = connected(changed(AWS_CREATED, f"{CREATE}.protect", value=False))
    assert not any(each.protect for each in open_.registrations)


def test_everything_that_can_be_tagged_is_tagged(created: Recorder) -> None:
    tags = {"inference/cluster": "dev", "managed-by": "pulumi", "team": "search", "cost-centre": "42"}
    tagged = 0
    for each in created.registrations:
        if each.type.startswith("aws:") and taggable(each.type):
            assert tags.items() <= each.inputs["tags"].items(), each.urn
            tagged += 1
    assert tagged > 40
    assert created.eks["tags"] == tags


def test_the_control_plane(created: Recorder) -> None:
    cluster = created.one("Cluster").inputs
    assert (cluster["name"], cluster["version"]) == ("dev", "1.34")
    assert cluster["accessConfig"] == {
        "authenticationMode": "API",
        "bootstrapClusterCreatorAdminPermissions": False,
    }
    assert cluster["bootstrapSelfManagedAddons"] is False
    assert cluster["enabledClusterLogTypes"] == ["api", "audit", "authenticator", "controllerManager", "scheduler"]
    assert cluster["upgradePolicy"] == {"supportType": "STANDARD"}
    assert cluster["encryptionConfig"] == {
        "provider": {"keyArn": "arn:aws:kms:us-west-2:123456789012:dev"},
        "resources": ["secrets"],
    }
    assert cluster["vpcConfig"] == {
        "subnetIds": [f"dev-private-us-east-2{letter}-id" for letter in "abc"],
        "endpointPrivateAccess": True,
        "endpointPublicAccess": True,
        "publicAccessCidrs": ["203.0.113.0/24"],
    }


@pytest.mark.parametrize("version", SUPPORTED)
def test_nodes_and_autoscaler_are_of_the_control_planes_version(version: str) -> None:
    recorder = connected(changed(AWS_CREATED, f"{CREATE}.version", version))
    assert {each.inputs["version"] for kind in ("Cluster", "NodeGroup") for each in recorder.of(kind)} == {version}
    autoscaler = recorder.named("Release", "cluster-autoscaler").inputs["values"]
    assert autoscaler["image"] == {"tag": IMAGES[version]}


def test_without_a_version_a_cluster_is_of_one_that_stays_supported_for_months() -> None:
    """EKS raises 1.34 by itself on 2 December 2026, and 1.35 on 27 March 2027."""
    assert connected(without(AWS_CREATED, f"{CREATE}.version")).one("Cluster").inputs["version"] == "1.35"


def test_without_ranges_the_public_endpoint_is_closed() -> None:
    cluster = connected(changed(AWS_CREATED, f"{CREATE}.endpointCidrs", [])).one("Cluster").inputs
    assert cluster["vpcConfig"]["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in cluster["vpcConfig"]


def test_another_creator_or_zone_replaces_no_cluster(created: Recorder) -> None:
    """EKS takes subnets in the zones of the creation only; nodes may be in further ones."""
    ignored = created.ignored[created.one("Cluster").urn]
    assert ignored == ["accessConfig.bootstrapClusterCreatorAdminPermissions", "vpcConfig.subnetIds"]


def longest(config: dict[str, Any], cluster: str) -> dict[str, Any]:
    """The settings with names of cluster, pools, storage and models as long as they may be."""
    config = changed(config, "cluster.name", cluster)
    (pool, *_), letters = config["gpuPools"].values(), iter("abcdefghijklmnop")
    pools, storage = ({key: next(letters) * 40 for key in config[section]} for section in ("gpuPools", "storage"))
    config["gpuPools"] = {pools[key]: value for key, value in config["gpuPools"].items()}
    config["gpuPools"]["z" * 40] = {**pool, "autoscaler": "cluster-autoscaler"}
    config["storage"] = {storage[key]: value for key, value in config["storage"].items()}
    for model in config["models"].values():
        model["pool"] = pools[model["pool"]]
        model["weights"]["storage"] = storage[model["weights"]["storage"]]
    config["models"] = {next(letters) * 40: model for model in config["models"].values()}
    return config


@pytest.mark.parametrize(
    "config",
    [
        longest(AWS_CREATED, "c" * 40),
        longest(changed(AWS_ATTACHED, "gpuPools.l40s.autoscaler", "karpenter"), "C_" * 50),
    ],
    ids=["created", "attached"],
)
def test_names_fit_however_long_those_of_the_settings_are(config: dict[str, Any]) -> None:
    registrations = run_program(config).registrations
    limited = [each for each in registrations if each.type in LONGEST]
    assert {"aws:iam/role:Role", "aws:eks/nodeGroup:NodeGroup"} <= {each.type for each in limited}
    assert [each.urn for each in limited if len(name_in_aws(each)) > LONGEST[each.type]] == []
    tags = [item for each in registrations for item in plain(each.inputs).get("tags", {}).items()]
    assert tags
    assert [key for key, value in tags if len(key) > 128 or len(value) > 256] == []
    objects = [(each, each.inputs["metadata"]) for each in registrations if "metadata" in each.inputs]
    for each, metadata in objects:
        assert len(metadata["name"]) <= (63 if each.type.endswith((":Service", ":Job", ":Deployment")) else 253)
        assert all(len(value) <= 63 for value in metadata.get("labels", {}).values()), each.urn


def test_the_key_rotates_and_goes_a_month_after_it_was_deleted(created: Recorder) -> None:
    key = created.one("Key").inputs
    assert (key["enableKeyRotation"], key["deletionWindowInDays"]) == (True, 30)
    assert created.one("Alias").inputs["name"] == "alias/eks/dev"


def test_the_log_group_and_the_rights_are_there_before_the_cluster(created: Recorder) -> None:
    logs = created.one("LogGroup")
    assert (logs.inputs["name"], logs.inputs["retentionInDays"]) == ("/aws/eks/dev/cluster", 7)
    needed = {logs.urn, created.named("RolePolicyAttachment", "dev-AmazonEKSClusterPolicy").urn}
    assert needed <= set(created.one("Cluster").depends_on)


def test_admins_are_given_the_cluster(created: Recorder) -> None:
    arn = "arn:aws:iam::123456789012:role/admin"
    assert created.named("AccessEntry", "dev-123456789012/role/admin").inputs["principalArn"] == arn
    association = created.one("AccessPolicyAssociation").inputs
    assert association["policyArn"] == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    assert association["accessScope"] == {"type": "cluster"}
    assert association["principalArn"] == arn


def test_the_system_nodes(created: Recorder) -> None:
    nodes = created.one("NodeGroup")
    assert nodes.inputs["scalingConfig"] == {"minSize": 3, "maxSize": 6, "desiredSize": 3}
    # Another zone is for GPU nodes: a group with its subnet would be another group.
    assert created.ignored[nodes.urn] == ["scalingConfig.desiredSize", "subnetIds"]
    assert nodes.inputs["amiType"] == "AL2023_x86_64_STANDARD"
    assert nodes.inputs["instanceTypes"] == ["m7a.xlarge", "m7i.xlarge"]
    assert nodes.inputs["diskSize"] == 80
    assert nodes.inputs["labels"] == {"inference/node-role": "system"}
    assert nodes.inputs["version"] == "1.34"
    assert "nodeGroupName" not in nodes.inputs


def test_nodes_start_with_ways_out_rights_and_a_cni(created: Recorder) -> None:
    needed = {each.urn for kind in ("Route", "RouteTableAssociation", "VpcEndpoint") for each in created.of(kind)}
    needed |= {created.named("Addon", f"dev-{name}").urn for name in BEFORE_NODES}
    needed |= {each.urn for each in created.of("RolePolicyAttachment") if each.name.startswith("dev-system-")}
    assert needed <= set(created.one("NodeGroup").depends_on)


def test_add_ons_start_in_an_order_that_works(created: Recorder) -> None:
    agent, cni = (created.named("Addon", f"dev-{name}") for name in ("eks-pod-identity-agent", "vpc-cni"))
    assert agent.urn in cni.depends_on
    nodes = created.one("NodeGroup").urn
    for name in ("coredns", "aws-ebs-csi-driver", "aws-efs-csi-driver", "aws-fsx-csi-driver"):
        assert nodes in created.named("Addon", f"dev-{name}").depends_on


@pytest.mark.parametrize(
    ("addon", "role_name", "service_account", "policy"),
    [
        ("vpc-cni", "vpc-cni", "aws-node", "AmazonEKS_CNI_Policy"),
        ("aws-ebs-csi-driver", "ebs-csi", "ebs-csi-controller-sa", "AmazonEBSCSIDriverPolicyV2"),
        ("aws-efs-csi-driver", "efs-csi", "efs-csi-controller-sa", "service-role/AmazonEFSCSIDriverPolicy"),
    ],
)
def test_add_ons_that_call_aws_have_a_role_that_only_their_pods_assume(
    created: Recorder, addon: str, role_name: str, service_account: str, policy: str
) -> None:
    registered = created.named("Addon", f"dev-{addon}")
    role = created.named("Role", f"dev-{role_name}")
    assert registered.inputs["podIdentityAssociations"] == [
        {"roleArn": f"arn:aws:iam:us-west-2:123456789012:dev-{role_name}", "serviceAccount": service_account}
    ]
    assert managed_policies(created, role.name) == {policy}
    assert {each.urn for each in created.of("RolePolicyAttachment") if each.parent == role.urn} <= set(
        registered.depends_on
    )
    assert trust(created, role.name)["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {
                "StringEquals": {
                    "aws:RequestTag/eks-cluster-name": "dev",
                    "aws:RequestTag/kubernetes-namespace": "kube-system",
                    "aws:RequestTag/kubernetes-service-account": service_account,
                }
            },
        }
    ]


@pytest.mark.parametrize("addon", ["coredns", "kube-proxy", "eks-pod-identity-agent", "aws-fsx-csi-driver"])
def test_add_ons_that_do_not_call_aws_have_no_role(created: Recorder, addon: str) -> None:
    assert "podIdentityAssociations" not in created.named("Addon", f"dev-{addon}").inputs


@pytest.mark.parametrize("role", ["dev-system", "dev-karpenter-nodes"])
def test_nodes_may_join_and_pull_and_no_more(created: Recorder, role: str) -> None:
    assert managed_policies(created, role) == {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"}
    assert trust(created, role)["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}


def test_versions_of_add_ons_are_those_of_the_settings(created: Recorder) -> None:
    versions = {each.inputs["addonName"]: each.inputs.get("addonVersion") for each in created.of("Addon")}
    assert versions["vpc-cni"] == "v1.20.4-eksbuild.1"
    assert set(versions.values()) == {"v1.20.4-eksbuild.1", None}


def test_gpus_are_watched_on_tainted_nodes_too(created: Recorder) -> None:
    agent = created.named("Addon", "dev-eks-node-monitoring-agent").inputs
    assert json.loads(agent["configurationValues"]) == {"dcgmAgent": {"tolerations": [{"operator": "Exists"}]}}


def test_policies_for_the_network_are_enforced(created: Recorder) -> None:
    cni = created.named("Addon", "dev-vpc-cni").inputs
    assert json.loads(cni["configurationValues"]) == {"enableNetworkPolicy": "true"}


def test_other_add_ons_are_installed_as_they_come(created: Recorder) -> None:
    configured = [each.name for each in created.of("Addon") if "configurationValues" in each.inputs]
    assert sorted(configured) == ["dev-eks-node-monitoring-agent", "dev-vpc-cni"]


def test_an_add_on_of_the_users_is_installed_by_its_version() -> None:
    recorder = connected(changed(AWS_CREATED, f"{CREATE}.addons", {"metrics-server": "v0.8.0-eksbuild.2"}))
    assert recorder.named("Addon", "dev-metrics-server").inputs["addonVersion"] == "v0.8.0-eksbuild.2"


def test_drivers_come_with_the_storage_that_needs_them() -> None:
    config = changed(AWS_CREATED, "storage", {"disks": {"kind": "gp3"}})
    config = changed(config, "models", {"chat": AWS_CREATED["models"]["chat"]})
    names = {each.inputs["addonName"] for each in connected(config).of("Addon")}
    assert not {"aws-efs-csi-driver", "aws-fsx-csi-driver"} & names
    assert "aws-ebs-csi-driver" in names


def test_kubernetes_waits_for_nodes_add_ons_and_rights(created: Recorder) -> None:
    kinds = ("NodeGroup", "Addon", "AccessPolicyAssociation", "Route")
    assert {each.urn for kind in kinds for each in created.of(kind)} <= set(created.one("kubernetes").depends_on)
    assert created.connection is not None
    assert len(created.connection.depends_on) > len(created.of("Addon"))


def test_the_connection_of_a_created_cluster(created: Recorder) -> None:
    assert {key: value for key, value in created.eks.items() if key not in {"tags", "node_roles"}} == {
        "name": "dev",
        "region": "us-east-2",
        "version": "1.34",
        "vpc_id": "dev-id",
        "security_group_id": "sg-0c1b2c3d4e5f60001",
        "subnets": {f"us-east-2{letter}": f"dev-private-us-east-2{letter}-id" for letter in "abc"},
        "auto_mode": False,
        "created": True,
    }
    assert created.eks["node_roles"].keys() == {"karpenter"}


@pytest.mark.parametrize(
    ("region", "arn"),
    [
        ("us-west-2", "arn:aws:iam::aws:policy/X"),
        ("cn-north-1", "arn:aws-cn:iam::aws:policy/X"),
        ("us-gov-west-1", "arn:aws-us-gov:iam::aws:policy/X"),
        ("ap-southeast-2", "arn:aws:iam::aws:policy/X"),
    ],
)
def test_arns_are_of_the_regions_partition(region: str, arn: str) -> None:
    assert policies.managed(region, "X") == arn
