"""What there is in an account: everything of the services that the program uses, read with AWS's own SDK."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import jmespath  # type: ignore[import-untyped]

Client = Callable[[str], Any]
"""The client of a service."""

LISTED = (
    ("VPC", "ec2", "describe_vpcs", "Vpcs[].VpcId"),
    ("subnet", "ec2", "describe_subnets", "Subnets[].SubnetId"),
    ("internet gateway", "ec2", "describe_internet_gateways", "InternetGateways[].InternetGatewayId"),
    ("address", "ec2", "describe_addresses", "Addresses[].AllocationId"),
    ("NAT gateway", "ec2", "describe_nat_gateways", "NatGateways[?State != 'deleted'].NatGatewayId"),
    ("route table", "ec2", "describe_route_tables", "RouteTables[].RouteTableId"),
    ("VPC endpoint", "ec2", "describe_vpc_endpoints", "VpcEndpoints[?State != 'deleted'].VpcEndpointId"),
    ("security group", "ec2", "describe_security_groups", "SecurityGroups[].GroupId"),
    ("rule", "ec2", "describe_security_group_rules", "SecurityGroupRules[].SecurityGroupRuleId"),
    ("launch template", "ec2", "describe_launch_templates", "LaunchTemplates[].LaunchTemplateId"),
    ("network interface", "ec2", "describe_network_interfaces", "NetworkInterfaces[].NetworkInterfaceId"),
    ("volume", "ec2", "describe_volumes", "Volumes[].VolumeId"),
    ("instance", "ec2", "describe_instances", "Reservations[].Instances[].InstanceId"),
    ("role", "iam", "list_roles", "Roles[].RoleName"),
    ("instance profile", "iam", "list_instance_profiles", "InstanceProfiles[].InstanceProfileName"),
    ("alias of a key", "kms", "list_aliases", "Aliases[?!starts_with(AliasName, 'alias/aws/')].AliasName"),
    ("log group", "logs", "describe_log_groups", "logGroups[].logGroupName"),
    ("EFS file system", "efs", "describe_file_systems", "FileSystems[].FileSystemId"),
    ("access point", "efs", "describe_access_points", "AccessPoints[].AccessPointId"),
    ("FSx file system", "fsx", "describe_file_systems", "FileSystems[].FileSystemId"),
    ("association with S3", "fsx", "describe_data_repository_associations", "Associations[].AssociationId"),
    ("EKS cluster", "eks", "list_clusters", "clusters"),
)
IN_CLUSTER = (
    ("node group", "list_nodegroups", "nodegroups"),
    ("add-on", "list_addons", "addons"),
    ("access entry", "list_access_entries", "accessEntries"),
    ("pod identity", "list_pod_identity_associations", "associations[].associationId"),
)


PLURALS = {"alias of a key": "aliases of keys", "association with S3": "associations with S3"}
SHOWN = 4
"""Of a longer list so many are read back, with the number of the others."""
OURS = ("inference/", "k8s.io/cluster-autoscaler/", "managed-by", "Name")
"""How tags and labels begin that are the program's own."""


def resources(client: Client) -> set[tuple[str, str]]:
    """Everything that is there: what it is, and its id. Keys that wait for their deletion are gone, as AWS counts."""
    found = {
        (what, id_) for what, service, operation, path in LISTED for id_ in _list(client(service), operation, path)
    }
    for key in _list(client("kms"), "list_keys", "Keys[].KeyId"):
        metadata = client("kms").describe_key(KeyId=key)["KeyMetadata"]
        if metadata["KeyManager"] == "CUSTOMER" and metadata["KeyState"] != "PendingDeletion":
            found.add(("key", key))
    for system in _list(client("efs"), "describe_file_systems", "FileSystems[].FileSystemId"):
        targets = client("efs").describe_mount_targets(FileSystemId=system)["MountTargets"]
        found |= {("mount target", target["MountTargetId"]) for target in targets}
    for cluster in _list(client("eks"), "list_clusters", "clusters"):
        for what, operation, path in IN_CLUSTER:
            listed = _list(client("eks"), operation, path, clusterName=cluster)
            found |= {(what, f"{cluster}/{each}") for each in listed}
    return found


def _list(client: Any, operation: str, path: str, **request: str) -> list[str]:
    if client.can_paginate(operation):
        pages = client.get_paginator(operation).paginate(**request)
        return [each for page in pages for each in jmespath.search(path, page) or []]
    return jmespath.search(path, getattr(client, operation)(**request)) or []


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of what was read back."""

    what: str
    name: str
    facts: Mapping[str, Any]

    def text(self) -> str:
        """The facts in one line."""
        return ", ".join(
            f"{key} {_short(value)}".strip() for key, value in self.facts.items() if value not in (None, "", [], {})
        )


def _short(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{key}={_short(each)}" for key, each in sorted(value.items())]
    if not isinstance(value, list):
        return str(value)
    more = [f"and {len(value) - SHOWN} more"] if len(value) > SHOWN else []
    return " ".join([*(_short(each) for each in value[:SHOWN]), *more])


def counted(number: int, what: str) -> str:
    """`7 add-ons`, `1 key`."""
    if number == 1:
        return f"1 {what}"
    if what in PLURALS:
        return f"{number} {PLURALS[what]}"
    ending = "es" if what.endswith(("s", "ss", "x", "ch")) else "s"
    return f"{number} {what[:-1]}ies" if what.endswith("y") and what[-2] not in "aeio" else f"{number} {what}{ending}"


def instance_types(client: Client, group: Mapping[str, Any]) -> list[str]:
    """The instance types of a node group, which are its launch template's where it names none."""
    if group.get("instanceTypes") or not group.get("launchTemplate"):
        return list(group.get("instanceTypes") or [])
    template = group["launchTemplate"]
    versions = client("ec2").describe_launch_template_versions(
        LaunchTemplateId=template["id"], Versions=[template["version"]]
    )
    return [versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]["InstanceType"]]


def _not_ours(values: Mapping[str, str] | None) -> dict[str, str]:
    """Tags or labels without those that the program gives everything."""
    return {key: value for key, value in (values or {}).items() if not key.startswith(OURS)}


def read_back(client: Client, cluster: str) -> list[Row]:
    """What was made for the cluster: nodes, roles, add-ons, file systems, launch templates, endpoints."""
    return [
        *_cluster(client, cluster),
        *_node_groups(client, cluster),
        *_roles(client, cluster),
        *_networks(client),
        *_storage(client),
    ]


def _cluster(client: Client, name: str) -> Iterator[Row]:
    eks = client("eks")
    it = eks.describe_cluster(name=name)["cluster"]
    network = it["resourcesVpcConfig"]
    facts = {
        "version": it["version"],
        "subnets": len(network["subnetIds"]),
        "public": network.get("publicAccessCidrs"),
        "logs": jmespath.search("logging.clusterLogging[?enabled].types[]", it),
        "secrets": "encrypted" if it.get("encryptionConfig") else None,
        "access": (it.get("accessConfig") or {}).get("authenticationMode"),
    }
    yield Row(what="EKS cluster", name=name, facts=facts)
    for addon in eks.list_addons(clusterName=name)["addons"]:
        described = eks.describe_addon(clusterName=name, addonName=addon)["addon"]
        settings = json.loads(described.get("configurationValues") or "{}")
        yield Row(what="add-on", name=addon, facts={"version": described["addonVersion"], "settings": [*settings]})
    for entry in eks.list_access_entries(clusterName=name)["accessEntries"]:
        policies = eks.list_associated_access_policies(clusterName=name, principalArn=entry)["associatedAccessPolicies"]
        facts = {"policies": [each["policyArn"].rpartition("/")[2] for each in policies]}
        yield Row(what="access entry", name=entry.rpartition(":")[2], facts=facts)
    for association in eks.list_pod_identity_associations(clusterName=name)["associations"]:
        it = eks.describe_pod_identity_association(clusterName=name, associationId=association["associationId"])
        it = it["association"]
        who = f"{it['namespace']}/{it['serviceAccount']}"
        yield Row(what="pod identity", name=who, facts={"role": it["roleArn"].rpartition("/")[2]})


def node_groups(client: Client, cluster: str) -> dict[str, Any]:
    """Descriptions of the node groups, by name."""
    eks = client("eks")
    names = eks.list_nodegroups(clusterName=cluster)["nodegroups"]
    return {name: eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"] for name in names}


def _node_groups(client: Client, cluster: str) -> Iterator[Row]:
    for name, it in node_groups(client, cluster).items():
        scaling, types = it["scalingConfig"], "/".join(instance_types(client, it))
        facts = {
            "": f"{scaling['minSize']}-{scaling['maxSize']} x {types} {it['capacityType']}",
            "ami": f"{it['amiType']} {it['releaseVersion']}",
            "taints": [f"{each['key']}={each.get('value', '')}:{each['effect']}" for each in it["taints"]],
            "labels": _not_ours(it["labels"]),
            "subnets": len(it["subnets"]),
            "template": (it.get("launchTemplate") or {}).get("id"),
            "repair": (it.get("nodeRepairConfig") or {}).get("enabled"),
            "role": it["nodeRole"].rpartition("/")[2],
            "tags": _not_ours(it["tags"]),
        }
        yield Row(what="node group", name=name, facts=facts)


def _roles(client: Client, cluster: str) -> Iterator[Row]:
    iam = client("iam")
    for role in iam.list_roles()["Roles"]:
        tags = {tag["Key"]: tag["Value"] for tag in iam.list_role_tags(RoleName=role["RoleName"])["Tags"]}
        if tags.get("inference/cluster") != cluster:
            continue
        attached = iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]
        trusted = role["AssumeRolePolicyDocument"]
        trusted = json.loads(unquote(trusted)) if isinstance(trusted, str) else trusted
        facts = {
            "trusts": jmespath.search("Statement[].Principal.Service", trusted),
            "policies": [each["PolicyName"] for each in attached],
            "own policies": iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"],
        }
        yield Row(what="role", name=role["RoleName"], facts=facts)


def _networks(client: Client) -> Iterator[Row]:
    ec2 = client("ec2")
    for it in ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["false"]}])["Vpcs"]:
        mine = [{"Name": "vpc-id", "Values": [it["VpcId"]]}]
        facts = {"range": it["CidrBlock"], "subnets": len(ec2.describe_subnets(Filters=mine)["Subnets"])}
        yield Row(what="VPC", name=it["VpcId"], facts=facts)
    for it in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
        name = it["ServiceName"].rpartition("amazonaws.")[2].partition(".")[2]
        yield Row(what="VPC endpoint", name=name, facts={"": it["VpcEndpointType"]})
    for it in ec2.describe_launch_templates()["LaunchTemplates"]:
        versions = ec2.describe_launch_template_versions(LaunchTemplateId=it["LaunchTemplateId"])
        newest = versions["LaunchTemplateVersions"][-1]["LaunchTemplateData"]
        facts = {
            "version": it["LatestVersionNumber"],
            "disk": jmespath.search("BlockDeviceMappings[].Ebs.[VolumeSize, VolumeType]", newest),
            "tokens": (newest.get("MetadataOptions") or {}).get("HttpTokens"),
            "user data": "yes" if newest.get("UserData") else None,
        }
        yield Row(what="launch template", name=it["LaunchTemplateName"], facts=facts)


def _storage(client: Client) -> Iterator[Row]:
    for it in client("efs").describe_file_systems()["FileSystems"]:
        targets = client("efs").describe_mount_targets(FileSystemId=it["FileSystemId"])["MountTargets"]
        encrypted = "yes" if it["Encrypted"] else "no"
        facts = {
            "throughput": it["ThroughputMode"],
            "encrypted": encrypted,
            "mount targets in": sorted(target["AvailabilityZoneName"] for target in targets),
        }
        yield Row(what="EFS", name=it["FileSystemId"], facts=facts)
    for it in client("fsx").describe_file_systems()["FileSystems"]:
        lustre = it.get("LustreConfiguration") or {}
        facts = {
            "GiB": it["StorageCapacity"],
            "deployment": lustre.get("DeploymentType"),
            "MB/s a TiB": lustre.get("PerUnitStorageThroughput"),
        }
        yield Row(what="FSx for Lustre", name=it["FileSystemId"], facts=facts)
    for it in client("logs").describe_log_groups()["logGroups"]:
        yield Row(what="log group", name=it["logGroupName"], facts={"days": it.get("retentionInDays")})
