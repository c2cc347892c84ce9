"""The stand-in for the aws provider, on moto's server: each kind of resource is made, changed and removed."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session  # type: ignore[import-untyped]
import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from rehearsal.aws import inventory, running
from rehearsal.plugins.aws_client import bare
from rehearsal.plugins.aws_guard import MADE_UP, REAL
from rehearsal.plugins.aws_kinds import KINDS
from rehearsal.plugins.properties import UNKNOWN, dump, load
from tests.figures import FIGURES
from tests.plugins.aws_provider import REGION, Aborted, Context, Provider, Resource

pytestmark = pytest.mark.engine

TAGS = {"team": "ml"}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "eks.amazonaws.com"}}],
    }
)
POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
)
NODES = {
    "clusterName": "x",
    "subnetIds": ["subnet-1"],
    "instanceTypes": ["g6e.4xlarge"],
    "amiType": "AL2023_x86_64_NVIDIA",
    "capacityType": "ON_DEMAND",
    "scalingConfig": {"minSize": 0, "maxSize": 3, "desiredSize": 0},
    "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}],
    "labels": {"a": "b", "c": "d"},
    "updateConfig": {"maxUnavailable": 1},
    "nodeRepairConfig": {"enabled": True},
    "tags": TAGS,
}
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running.server(tmp_path_factory.mktemp("moto") / "log") as at:
        yield at


@pytest.fixture
def provider(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A provider on the server. Whatever a test made and did not remove is a failure of it."""
    for name in REAL:
        monkeypatch.delenv(name, raising=False)
    for name, value in {**MADE_UP, "AWS_ENDPOINT_URL": address}.items():
        monkeypatch.setenv(name, value)
    before = inventory.resources(lambda service: client(address, service))
    yield Provider()
    assert inventory.resources(lambda service: client(address, service)) == before


@functools.cache
def client(address: str, service: str) -> Any:
    return running.client(address, service, REGION)


class Site:
    """What most resources need: each made once, and all removed in reverse order."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.made: list[Resource] = []

    def make(self, token: str, **inputs: Any) -> Resource:
        resource = self.provider.create(token, inputs)
        self.made.append(resource)
        assert resource.diff().changes == pb.DiffResponse.DIFF_NONE
        read = resource.read()
        assert read.id == resource.id
        assert (load(read.inputs), load(read.properties)) == (resource.inputs, resource.state), "no drift"
        return resource

    def remove(self) -> None:
        """Twice each: what is gone already is no error."""
        for resource in reversed(self.made):
            resource.delete()
            resource.delete()
            assert not resource.read().id, resource.token
        FIGURES["AWS resources made and removed"] += len(self.made)

    def network(self) -> tuple[Resource, Resource]:
        vpc = self.make("aws:ec2/vpc:Vpc", cidrBlock="10.0.0.0/16", enableDnsHostnames=True, tags=TAGS)
        subnet = self.make(
            "aws:ec2/subnet:Subnet", vpcId=vpc.id, cidrBlock="10.0.0.0/20", availabilityZone="us-west-2a", tags=TAGS
        )
        return vpc, subnet

    def cluster(self) -> tuple[Resource, Resource, Resource]:
        """A subnet, a role and a cluster in them."""
        subnet = self.network()[1]
        role = self.make("aws:iam/role:Role", assumeRolePolicy=TRUST, tags=TAGS)
        cluster = self.make(
            "aws:eks/cluster:Cluster",
            name="x",
            roleArn=role.state["arn"],
            version="1.33",
            vpcConfig={"subnetIds": [subnet.id], "endpointPrivateAccess": True, "publicAccessCidrs": ["0.0.0.0/0"]},
            enabledClusterLogTypes=["api", "audit"],
            accessConfig={"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
            tags=TAGS,
        )
        return subnet, role, cluster


@pytest.fixture
def site(provider: Provider) -> Iterator[Site]:
    site = Site(provider)
    try:
        yield site
    finally:
        site.remove()


def test_a_network_is_made_and_removed(site: Site, address: str) -> None:
    vpc, subnet = site.network()
    site.make("aws:ec2/internetGateway:InternetGateway", vpcId=vpc.id, tags=TAGS)
    eip = site.make("aws:ec2/eip:Eip", domain="vpc", tags=TAGS)
    nat = site.make("aws:ec2/natGateway:NatGateway", allocationId=eip.id, subnetId=subnet.id, tags=TAGS)
    table = site.make("aws:ec2/routeTable:RouteTable", vpcId=vpc.id, tags=TAGS)
    everywhere = {"destinationCidrBlock": "0.0.0.0/0", "natGatewayId": nat.id}
    site.make("aws:ec2/route:Route", routeTableId=table.id, **everywhere)
    site.make("aws:ec2/routeTableAssociation:RouteTableAssociation", routeTableId=table.id, subnetId=subnet.id)
    group = site.make("aws:ec2/securityGroup:SecurityGroup", vpcId=vpc.id, tags=TAGS)
    nfs = {"ipProtocol": "tcp", "fromPort": 2049, "toPort": 2049, "referencedSecurityGroupId": group.id}
    site.make("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", securityGroupId=group.id, tags=TAGS, **nfs)
    anywhere = {"ipProtocol": "-1", "cidrIpv4": "0.0.0.0/0"}
    site.make("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", securityGroupId=group.id, **anywhere)
    inside = {"vpcId": vpc.id, "tags": TAGS}
    gateway = {"serviceName": f"com.amazonaws.{REGION}.s3", "vpcEndpointType": "Gateway", "routeTableIds": [table.id]}
    endpoint = site.make("aws:ec2/vpcEndpoint:VpcEndpoint", **gateway, **inside)
    registry = {"serviceName": f"com.amazonaws.{REGION}.ecr.api", "vpcEndpointType": "Interface"}
    where = {"subnetIds": [subnet.id], "securityGroupIds": [group.id], "privateDnsEnabled": True}
    site.make("aws:ec2/vpcEndpoint:VpcEndpoint", **registry, **where, **inside)

    ec2 = client(address, "ec2")
    dns = ec2.describe_vpc_attribute(VpcId=vpc.id, Attribute="enableDnsHostnames")["EnableDnsHostnames"]
    assert dns == {"Value": True}
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group.id]}])[
        "SecurityGroupRules"
    ]
    assert sorted((rule["IsEgress"], rule.get("FromPort")) for rule in rules) == [(False, 2049), (True, -1)]
    endpoint.update(routeTableIds=[])
    assert ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint.id])["VpcEndpoints"][0]["RouteTableIds"] == []
    vpc.update(tags={"owner": "me"})
    assert ec2.describe_vpcs(VpcIds=[vpc.id])["Vpcs"][0]["Tags"] == [{"Key": "owner", "Value": "me"}]


def test_the_default_security_group_loses_its_rules_and_stays(site: Site, address: str) -> None:
    vpc, _ = site.network()
    group = site.provider.create("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", {"vpcId": vpc.id, "tags": TAGS})
    described = client(address, "ec2").describe_security_groups(GroupIds=[group.id])["SecurityGroups"][0]
    assert (described["GroupName"], described["IpPermissions"], described["IpPermissionsEgress"]) == ("default", [], [])
    assert described["Tags"] == [{"Key": "team", "Value": "ml"}]
    group.delete()
    assert group.read().id == group.id


def test_a_launch_templates_change_is_another_version_and_what_depends_on_it_is_unknown_before(
    site: Site, address: str
) -> None:
    disk = {"volumeSize": 100, "volumeType": "gp3", "throughput": 250, "encrypted": "true"}
    template = site.make(
        "aws:ec2/launchTemplate:LaunchTemplate",
        metadataOptions={"httpTokens": "required", "httpPutResponseHopLimit": 2},
        blockDeviceMappings=[{"deviceName": "/dev/xvda", "ebs": disk}],
        networkInterfaces=[{"deviceIndex": 0, "interfaceType": "efa", "securityGroups": ["sg-0a1b2c3d"]}],
        tagSpecifications=[{"resourceType": "instance", "tags": TAGS}],
        updateDefaultVersion=True,
        tags=TAGS,
    )
    assert template.state["latestVersion"] == 1
    assert "latestVersion" not in template.update(userData="aGVsbG8=", preview=True)
    assert template.diff(userData="aGVsbG8=").replaces == []
    template.update(userData="aGVsbG8=")
    assert (template.state["latestVersion"], template.state["defaultVersion"]) == (2, 2)
    ec2 = client(address, "ec2")
    (_, newest) = ec2.describe_launch_template_versions(LaunchTemplateId=template.id)["LaunchTemplateVersions"]
    data = newest["LaunchTemplateData"]
    assert data["BlockDeviceMappings"][0]["Ebs"] == {
        "Encrypted": True, "Throughput": 250, "VolumeSize": 100, "VolumeType": "gp3"
    }  # fmt: skip
    assert data["NetworkInterfaces"][0]["Groups"] == ["sg-0a1b2c3d"]
    assert data["TagSpecifications"] == [{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "ml"}]}]
    assert data["UserData"] == "aGVsbG8="


def test_a_role_has_its_policies(site: Site, address: str) -> None:
    role = site.make("aws:iam/role:Role", assumeRolePolicy=TRUST, description="old", tags=TAGS)
    managed = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
    site.make("aws:iam/rolePolicyAttachment:RolePolicyAttachment", role=role.id, policyArn=managed)
    own = site.make("aws:iam/rolePolicy:RolePolicy", role=role.id, policy=POLICY)
    own.update(policy=POLICY.replace("GetObject", "ListBucket"))
    role.update(description="new", tags={})
    iam = client(address, "iam")
    found = iam.get_role(RoleName=role.id)["Role"]
    assert (found["Description"], found.get("Tags")) == ("new", None)
    document = iam.get_role_policy(RoleName=role.id, PolicyName=own.state["name"])["PolicyDocument"]
    assert document["Statement"][0]["Action"] == "s3:ListBucket"


def test_an_unknown_managed_policy_is_refused_in_the_services_words(site: Site) -> None:
    role = site.make("aws:iam/role:Role", assumeRolePolicy=TRUST)
    with pytest.raises(Aborted, match=r"^AWS refused iam:attach_role_policy: NoSuchEntity: .*EksClusterPolicie"):
        site.provider.create(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            {"role": role.id, "policyArn": "arn:aws:iam::aws:policy/EksClusterPolicie"},
        )


def test_a_key_with_its_alias_and_a_log_group(site: Site, address: str) -> None:
    key = site.make("aws:kms/key:Key", description="k", enableKeyRotation=True, deletionWindowInDays=7, tags=TAGS)
    site.make("aws:kms/alias:Alias", name="alias/eks-x", targetKeyId=key.id)
    logs = site.make("aws:cloudwatch/logGroup:LogGroup", name="/aws/eks/x/cluster", retentionInDays=30, tags=TAGS)
    logs.update(retentionInDays=90)
    assert client(address, "kms").get_key_rotation_status(KeyId=key.id)["KeyRotationEnabled"]
    assert client(address, "logs").describe_log_groups()["logGroups"][0]["retentionInDays"] == 90


def test_a_cluster_is_updated_part_by_part_and_has_a_security_group_of_its_own(site: Site, address: str) -> None:
    subnet, _, cluster = site.cluster()
    assert cluster.state["vpcConfig"]["clusterSecurityGroupId"].startswith("sg-")
    group = cluster.state["vpcConfig"]["clusterSecurityGroupId"]
    assert cluster.update(version="1.34", preview=True)["vpcConfig"]["clusterSecurityGroupId"] == group
    closed = {**cluster.inputs["vpcConfig"], "publicAccessCidrs": ["10.0.0.0/8"]}
    promised = cluster.update(vpcConfig=closed, preview=True)["vpcConfig"]
    assert (promised["clusterSecurityGroupId"], promised["publicAccessCidrs"]) == (group, ["10.0.0.0/8"])
    cluster.update(version="1.34")
    cluster.update(vpcConfig={"subnetIds": [subnet.id], "publicAccessCidrs": ["10.0.0.0/8"]})
    cluster.update(enabledClusterLogTypes=["api"])
    found = client(address, "eks").describe_cluster(name="x")["cluster"]
    assert found["version"] == "1.34"
    assert found["resourcesVpcConfig"]["publicAccessCidrs"] == ["10.0.0.0/8"]
    assert found["logging"]["clusterLogging"][0] == {"types": ["api"], "enabled": True}
    with pytest.raises(Aborted, match=r"InvalidParameterException: .*Unsupported Kubernetes minor version"):
        cluster.update(version="1.36")
    told = site.provider.invoke("aws:eks/getCluster:getCluster", name="x")
    assert told["endpoint"] == cluster.state["endpoint"]
    assert told["certificateAuthorities"] == [cluster.state["certificateAuthority"]]


def test_what_runs_in_a_cluster(site: Site, address: str) -> None:
    _, role, _ = site.cluster()
    principal = role.state["arn"]
    agent = [{"roleArn": principal, "serviceAccount": "aws-node"}]
    addon = site.make(
        "aws:eks/addon:Addon", clusterName="x", addonName="vpc-cni", podIdentityAssociations=agent,
        resolveConflictsOnCreate="OVERWRITE", tags=TAGS,
    )  # fmt: skip
    addon.update(addonVersion="v1.20.0-eksbuild.1", tags={"owner": "me"})
    entry = site.make("aws:eks/accessEntry:AccessEntry", clusterName="x", principalArn=principal, tags=TAGS)
    entry.update(kubernetesGroups=["viewers"])
    admin = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    site.make(
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation", clusterName="x", principalArn=principal,
        policyArn=admin, accessScope={"type": "cluster"},
    )  # fmt: skip
    who = {"clusterName": "x", "namespace": "kube-system", "serviceAccount": "autoscaler", "roleArn": principal}
    site.make("aws:eks/podIdentityAssociation:PodIdentityAssociation", **who, tags=TAGS)
    eks = client(address, "eks")
    found = eks.describe_addon(clusterName="x", addonName="vpc-cni")["addon"]
    assert (found["addonVersion"], found["tags"]) == ("v1.20.0-eksbuild.1", {"owner": "me"})
    groups = eks.describe_access_entry(clusterName="x", principalArn=principal)["accessEntry"]["kubernetesGroups"]
    assert groups == ["viewers"]
    policies = eks.list_associated_access_policies(clusterName="x", principalArn=principal)["associatedAccessPolicies"]
    assert [policy["policyArn"] for policy in policies] == [admin]
    accounts = {each["serviceAccount"] for each in eks.list_pod_identity_associations(clusterName="x")["associations"]}
    assert accounts == {"aws-node", "autoscaler"}


def test_a_node_group_changes_in_place_what_eks_can(site: Site, address: str) -> None:
    subnet, role, _ = site.cluster()
    template = site.make("aws:ec2/launchTemplate:LaunchTemplate", userData="aGVsbG8=")
    group = site.make(
        NODE_GROUP,
        **{**NODES, "subnetIds": [subnet.id], "nodeGroupName": "g", "nodeRoleArn": role.state["arn"]},
        launchTemplate={"id": template.id, "version": "1"},
    )
    group.update(scalingConfig={"minSize": 1, "maxSize": 5, "desiredSize": 2})
    group.update(labels={"a": "z"}, taints=[{"key": "k", "effect": "NO_EXECUTE"}])
    group.update(releaseVersion="1.33.1-20260203", tags={"owner": "me"})
    template.update(userData="aGVsbG9v")
    group.update(launchTemplate={"id": template.id, "version": "2"})
    found = client(address, "eks").describe_nodegroup(clusterName="x", nodegroupName="g")["nodegroup"]
    assert found["scalingConfig"] == {"minSize": 1, "maxSize": 5, "desiredSize": 2}
    assert (found["labels"], found["taints"]) == ({"a": "z"}, [{"key": "k", "effect": "NO_EXECUTE"}])
    assert (found["launchTemplate"]["version"], found["tags"]) == ("2", {"owner": "me"})
    assert found["nodeRepairConfig"] == {"enabled": True}


def test_what_others_changed_is_read_as_inputs(site: Site, address: str) -> None:
    subnet, role, _ = site.cluster()
    where = {"subnetIds": [subnet.id], "nodeGroupName": "g", "nodeRoleArn": role.state["arn"]}
    group = site.make(NODE_GROUP, **{**NODES, **where})
    eks, which = client(address, "eks"), {"clusterName": "x", "nodegroupName": "g"}
    eks.update_nodegroup_config(**which, scalingConfig={"desiredSize": 2}, labels={"addOrUpdateLabels": {"a": "z"}})
    read = group.read()
    inputs, state = load(read.inputs), load(read.properties)
    assert inputs == {
        **group.inputs, "labels": {"a": "z", "c": "d"}, "scalingConfig": {"minSize": 0, "maxSize": 3, "desiredSize": 2}
    }  # fmt: skip
    assert (state["scalingConfig"], state["arn"]) == (inputs["scalingConfig"], group.state["arn"])


def test_no_size_beyond_its_limits_is_taken(site: Site) -> None:
    subnet, role, _ = site.cluster()
    where = {"subnetIds": [subnet.id], "nodeGroupName": "g", "nodeRoleArn": role.state["arn"]}
    group = site.make(NODE_GROUP, **{**NODES, **where})
    with pytest.raises(
        Aborted, match=r"InvalidParameterException: .*Minimum capacity 1 can't be greater than desired size 0"
    ):
        group.update(scalingConfig={"minSize": 1, "maxSize": 3, "desiredSize": 0})
    with pytest.raises(Aborted, match=r"InvalidParameterException: .*desired capacity 4 can't be greater"):
        group.update(scalingConfig={"minSize": 0, "maxSize": 3, "desiredSize": 4})


def test_a_node_group_without_instance_types_has_its_templates(site: Site, address: str) -> None:
    subnet, role, _ = site.cluster()
    template = site.make("aws:ec2/launchTemplate:LaunchTemplate", instanceType="p5.48xlarge")
    where = {"subnetIds": [subnet.id], "nodeGroupName": "g", "nodeRoleArn": role.state["arn"]}
    inputs = {name: each for name, each in {**NODES, **where}.items() if name != "instanceTypes"}
    site.make(NODE_GROUP, **inputs, launchTemplate={"id": template.id, "version": "1"})
    found = client(address, "eks").describe_nodegroup(clusterName="x", nodegroupName="g")["nodegroup"]
    assert not found.get("instanceTypes")
    assert inventory.instance_types(lambda service: client(address, service), found) == ["p5.48xlarge"]


def test_file_systems(site: Site, address: str) -> None:
    vpc, subnet = site.network()
    group = site.make("aws:ec2/securityGroup:SecurityGroup", vpcId=vpc.id)
    system = site.make("aws:efs/fileSystem:FileSystem", encrypted=True, throughputMode="elastic", tags=TAGS)
    system.update(throughputMode="provisioned", provisionedThroughputInMibps=100)
    place = {"fileSystemId": system.id, "subnetId": subnet.id}
    target = site.make("aws:efs/mountTarget:MountTarget", **place, securityGroups=[group.id])
    lustre = site.make(
        "aws:fsx/lustreFileSystem:LustreFileSystem", subnetIds=subnet.id, storageCapacity=1200, storageType="SSD",
        deploymentType="PERSISTENT_2", perUnitStorageThroughput=250, securityGroupIds=[group.id], tags=TAGS,
    )  # fmt: skip
    lustre.update(storageCapacity=2400, perUnitStorageThroughput=500, tags={"owner": "me"})
    site.make(
        "aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation", fileSystemId=lustre.id, fileSystemPath="/",
        dataRepositoryPath="s3://weights/llm", s3={"autoImportPolicy": {"events": ["NEW"]}}, tags=TAGS,
    )  # fmt: skip
    (efs,) = client(address, "efs").describe_file_systems()["FileSystems"]
    assert (efs["ThroughputMode"], efs["Encrypted"]) == ("provisioned", True)
    assert target.state["availabilityZoneName"] == "us-west-2a"
    (fsx,) = client(address, "fsx").describe_file_systems()["FileSystems"]
    assert (fsx["StorageCapacity"], fsx["LustreConfiguration"]["PerUnitStorageThroughput"]) == (2400, 500)
    assert fsx["LustreConfiguration"]["MountName"] == lustre.state["mountName"]


@pytest.mark.parametrize(
    ("change", "replaces"),
    [
        ({"instanceTypes": ["g6e.8xlarge"]}, True),
        ({"amiType": "BOTTLEROCKET_x86_64_NVIDIA"}, True),
        ({"capacityType": "SPOT"}, True),
        ({"subnetIds": ["subnet-1", "subnet-2"]}, True),
        ({"nodeRoleArn": "arn:aws:iam::123456789012:role/other"}, True),
        ({"diskSize": 200}, True),
        ({"launchTemplate": {"id": "lt-2", "version": "1"}}, True),
        ({"launchTemplate": {"id": "lt-1", "version": "2"}}, False),
        ({"scalingConfig": {"minSize": 0, "maxSize": 4, "desiredSize": 0}}, False),
        ({"labels": {}}, False),
        ({"taints": []}, False),
        ({"releaseVersion": "1.34.1-20260203"}, False),
        ({"version": "1.35"}, False),
        ({"updateConfig": {"maxUnavailable": 2}}, False),
        ({"nodeRepairConfig": {"enabled": False}}, False),
        ({"tags": {}}, False),
    ],
)
def test_a_node_groups_change_replaces_it_only_where_eks_cannot(change: dict[str, Any], replaces: bool) -> None:  # noqa: FBT001 - a parameter of the test
    inputs = {**NODES, "nodeRoleArn": "arn:aws:iam::123456789012:role/n", "diskSize": 100}
    inputs["launchTemplate"] = {"id": "lt-1", "version": "1"}
    group = Provider().create(NODE_GROUP, inputs, preview=True)
    told = group.diff(**change)
    assert told.changes == pb.DiffResponse.DIFF_SOME
    assert bool(told.replaces) is replaces
    assert not told.deleteBeforeReplace, "new nodes come first"


def test_a_name_of_the_users_that_stays_makes_the_old_one_go_first() -> None:
    inputs = {**NODES, "nodeRoleArn": "arn:aws:iam::123456789012:role/n", "nodeGroupName": "g"}
    group = Provider().create(NODE_GROUP, inputs, preview=True)
    assert group.diff(capacityType="SPOT").deleteBeforeReplace
    assert not group.diff(capacityType="SPOT", nodeGroupName="h").deleteBeforeReplace


def test_an_unnamed_resource_gets_a_name_of_its_own_and_keeps_it() -> None:
    provider = Provider()
    first = provider.check("aws:iam/role:Role", {"assumeRolePolicy": TRUST}, name="nodes")
    assert first["name"] == "nodes-3132333"
    assert provider.check("aws:iam/role:Role", {"assumeRolePolicy": TRUST}, first, name="renamed") == first


@pytest.mark.parametrize("given", [{}, {"name": "n" * 65}])
def test_a_name_that_aws_would_refuse_is_refused_at_preview(given: dict[str, Any]) -> None:
    with pytest.raises(Aborted, match=r"^aws:iam/role:Role: name 'n+[-\d]*' has \d+ characters; allowed by AWS: 64;"):
        Provider().check("aws:iam/role:Role", {"assumeRolePolicy": TRUST, **given}, name="n" * 57)
    assert len(Provider().check("aws:iam/role:Role", {}, name="n" * 56)["name"]) == 64


def test_an_unknown_name_is_not_measured() -> None:
    assert Provider().check("aws:eks/nodeGroup:NodeGroup", {"nodeGroupName": UNKNOWN})["nodeGroupName"] == UNKNOWN


def test_the_longest_names_are_those_of_the_services() -> None:
    session = botocore.session.get_session()
    for token, kind in KINDS.items():
        assert bool(kind.name) == bool(kind.longest), token
        if not kind.name:
            continue
        model = session.get_service_model(kind.service)
        operation = "".join(word.capitalize() for word in str(kind.create.operation).split("_"))
        members = {bare(name): shape for name, shape in model.operation_model(operation).input_shape.members.items()}
        inverse = {path: member for member, path in kind.create.args.items()}
        shape = members[bare(inverse.get(kind.name, kind.name))]
        assert shape.metadata.get("max", kind.longest) == kind.longest, token


def test_a_change_of_region_is_another_provider() -> None:
    def diff(**news: str) -> pb.DiffResponse:
        request = pb.DiffRequest(old_inputs=dump({"region": REGION, "defaultTags": "{}"}), news=dump(news))
        answer: pb.DiffResponse = Provider().host.DiffConfig(request, Context())
        return answer

    assert list(diff(region="eu-west-1", defaultTags="{}").replaces) == ["region"]
    assert diff(region=REGION, defaultTags="{}").changes == pb.DiffResponse.DIFF_NONE
    other = diff(region=REGION, defaultTags='{"tags": {}}')
    assert (other.changes, list(other.replaces)) == (pb.DiffResponse.DIFF_SOME, [])


def test_tags_of_the_provider_come_to_those_of_the_resource() -> None:
    provider = Provider(defaultTags=json.dumps({"tags": {"team": "other", "owner": "me"}}))
    checked = provider.check("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16", "tags": TAGS})
    assert checked["tagsAll"] == {"team": "ml", "owner": "me"}


@pytest.mark.parametrize(
    ("token", "inputs", "said"),
    [
        ("aws:ec2/vpc:Vpc", {"cidrBlok": "10.0.0.0/16"}, "aws:ec2/vpc:Vpc: cidrBlok: beyond the stand-in"),
        ("aws:s3/bucket:Bucket", {}, "aws:s3/bucket:Bucket is beyond the stand-in"),
    ],
)
def test_what_it_does_not_know_is_refused_in_one_line(token: str, inputs: dict[str, Any], said: str) -> None:
    with pytest.raises(Aborted, match=said):
        Provider().check(token, inputs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"taints": [{"key": "k", "effect": "NoSchedule"}]},
            r"^taints\[0\].effect: 'NoSchedule'; allowed by AWS: NO_SCH",
        ),
        ({"scalingConfig": {"minSize": -1, "maxSize": 2}}, r"^AWS refused eks:create_nodegroup: ParamValidationError"),
        ({"scalingConfig": {"min": 1}}, r"^scalingConfig.min: AWS's NodegroupScalingConfig has no such member"),
        ({"labels": {"a": "b" * 64}}, r"^labels.a: 'b+' has 64 characters; allowed by AWS: 1 to 63"),
        (
            {"tags": {f"key-{i}": "v" for i in range(51)}},
            r"^tags: 51 entries; allowed by AWS: 1 to 50$",
        ),
        ({"clusterName": "nope"}, r"^AWS refused eks:create_nodegroup: ResourceNotFoundException"),
    ],
)
def test_a_wrong_parameter_fails_in_one_line(provider: Provider, change: dict[str, Any], said: str) -> None:
    inputs = {**NODES, "nodeRoleArn": "arn:aws:iam::123456789012:role/n", **change}
    with pytest.raises(Aborted, match=said) as told:
        provider.create(NODE_GROUP, inputs)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("endpoint", ["", "https://eks.us-west-2.amazonaws.com", "http://localhost.example.com:5000"])
def test_nothing_but_an_address_on_loopback_is_ever_asked(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(Aborted, match=r"^AWS_ENDPOINT_URL: .*make rehearse-aws"):
        Provider().create("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"})


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", *REAL])
def test_nothing_is_asked_where_credentials_might_be_real(
    name: str, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as here:
        here.setenv(name, "AKIAIOSFODNN7EXAMPLE")
        with pytest.raises(Aborted, match=f"^{name}: set, and might be real"):
            provider.create("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"})


def test_a_preview_asks_nobody_and_promises_only_what_the_program_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    promised = Provider().create("aws:ec2/subnet:Subnet", {"vpcId": UNKNOWN, "cidrBlock": "10.0.0.0/20"}, preview=True)
    assert (promised.id, promised.state) == ("", {"vpcId": UNKNOWN, "cidrBlock": "10.0.0.0/20"})


def test_a_cluster_that_nobody_was_asked_for_has_facts_that_nobody_takes_for_real(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    told = Provider().invoke("aws:eks/getCluster:getCluster", name="prod")
    assert (told["name"], told["endpoint"], told["version"]) == ("prod", "https://prod.eks.invalid", "0.0")
    assert told["vpcConfig"]["clusterSecurityGroupId"] == "sg-placeholder"


def test_every_update_is_of_an_input_that_does_not_replace() -> None:
    for token, kind in KINDS.items():
        whole = {path for path in kind.replaces if "." not in path}
        assert not whole & {name for update in kind.updates for name in update.on}, token


def test_the_server_ends_with_the_block_that_started_it(tmp_path: Path) -> None:
    with running.server(tmp_path / "log") as at:
        client(at, "sts").get_caller_identity()
    with pytest.raises(Exception, match="Could not connect"):
        client(at, "sts").get_caller_identity()
