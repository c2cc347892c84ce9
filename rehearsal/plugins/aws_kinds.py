"""The AWS resources that this program uses, each as the calls of AWS's SDK that make, show, change and remove it.

What replaces and what changes in place follows the official provider (7.51), which follows Terraform's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Obj = dict[str, Any]


class Loose(dict[str, Any]):
    """Members of which a request takes those that its model has."""


Arg = str | Callable[[Obj], Any]
"""A member of a request: a JMESPath over the resource's state, or a function of it.

The state has inputs and outputs by their names, `id`, `region`, `it` (AWS's description), `old` (the inputs before),
`given` and `changed` (all inputs, and those that changed, of which a request takes what it knows).
"""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One operation; `""` for none in this case. Members of its request that are not in `args` are inputs of that name.

    `on` names the inputs that an update carries, those that changed; `after`: a creation carries them in this call too.
    """

    operation: str | Callable[[Obj], str]
    args: Mapping[str, Arg]
    on: tuple[str, ...] = ()
    after: bool = False


def call(
    operation: str | Callable[[Obj], str],
    on: str = "",
    of: Mapping[str, Arg] | None = None,
    *,
    after: bool = False,
    **args: Arg,
) -> Call:
    """A Call, with the names in `on` parted by spaces; `of` are args too."""
    return Call(operation=operation, args={**(of or {}), **args}, on=tuple(on.split()), after=after)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One type of resource.

    `found` is where a description is in the answer to `read`; of several, the one where `match` holds, which names
    inputs by its fields. `tag` is EC2's name of the type. `name` is the input that gets a name of its own where absent,
    of `longest` characters at most. `volatile` outputs may change with any update.
    """

    service: str
    create: Call
    id: str
    read: Call
    found: str
    delete: tuple[Call, ...]
    replaces: tuple[str, ...] = ()
    updates: tuple[Call, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    match: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    volatile: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    name: str = ""
    longest: int = 0
    tag: str = ""

    @property
    def inputs(self) -> set[str]:
        """All inputs that are known."""
        updatable = (name for update in self.updates for name in update.on)
        return {*(path.partition(".")[0] for path in self.replaces), *updatable, *self.ignored, self.name} - {""}


def _kind(service: str, create: Call, id_: str, read: Call, found: str, *delete: Call, **more: Any) -> Kind:
    words: Obj = {key: tuple(more[key].split()) for key in ("replaces", "volatile", "ignored") if key in more}
    return Kind(service=service, create=create, id=id_, read=read, found=found, delete=delete, **{**more, **words})


def _ec2(what: str, result: str, *delete: Call, **more: Any) -> Kind:
    """A resource of EC2, whose operations are alike: `what` is its name in them, `result` in their answers."""
    create = more.pop("create", None) or call(f"create_{what}")
    gone = delete or (call(f"delete_{what}", of={f"{result}Id": "id"}),)
    read = call(f"describe_{what}s", of={f"{result}Ids": "[id]"})
    found = more.pop("found", f"{result}s[0]")
    more = {"tag": what.replace("_", "-"), **more}
    return _kind("ec2", create, f"answer.{result}.{result}Id", read, found, *gone, **more)


def _permission(state: Obj) -> list[Obj]:
    """One rule of a security group, a resource of its own."""
    about: Obj = {"description": state["description"]} if state.get("description") else {}
    ports: Obj = {key: state[key] for key in ("fromPort", "toPort") if key in state}
    ranges: Obj = {"ipRanges": [{"cidrIp": state["cidrIpv4"]} | about]} if "cidrIpv4" in state else {}
    if "referencedSecurityGroupId" in state:
        ranges |= {"userIdGroupPairs": [{"groupId": state["referencedSecurityGroupId"]} | about]}
    return [{"ipProtocol": state["ipProtocol"], **ports, **ranges}]


def _default_group(state: Obj) -> list[Obj]:
    return [{"name": "vpc-id", "values": [state["vpcId"]]}, {"name": "group-name", "values": ["default"]}]


def _self_rule(state: Obj) -> str:
    return "revoke_security_group_ingress" if state["it"]["IpPermissions"] else ""


def _tags_if_any(state: Obj) -> str:
    return "create_tags" if state.get("tagsAll") else ""


def _rule(side: str) -> Kind:
    return _kind(
        "ec2",
        call(f"authorize_security_group_{side}", GroupId="securityGroupId", IpPermissions=_permission),
        "answer.SecurityGroupRules[0].SecurityGroupRuleId",
        call("describe_security_group_rules", SecurityGroupRuleIds="[id]"),
        "SecurityGroupRules[0]",
        call(f"revoke_security_group_{side}", GroupId="securityGroupId", SecurityGroupRuleIds="[id]"),
        replaces="securityGroupId cidrIpv4 referencedSecurityGroupId ipProtocol fromPort toPort description",
        outputs={"securityGroupRuleId": "id"},
        tag="security-group-rule",
    )


def _lists(name: str, *members: str) -> Mapping[str, Arg]:
    """What was added to and removed from a list of ids."""

    def change(sign: str, key: str) -> Callable[[Obj], list[str]]:
        def of(state: Obj) -> list[str]:
            now, old = set(state.get(key) or []), set(state["old"].get(key) or [])
            return sorted(now - old if sign == "Add" else old - now)

        return of

    changes: dict[str, Arg] = {
        f"{sign}{member}": change(sign, member[0].lower() + member[1:])
        for member in members
        for sign in ("Add", "Remove")
    }
    return changes | {name: "id"}


def _labels(state: Obj) -> Obj:
    now, old = state.get("labels") or {}, state["old"].get("labels") or {}
    return {"addOrUpdateLabels": now, "removeLabels": sorted({*old} - {*now})}


def _taints(state: Obj) -> Obj:
    now, old = state.get("taints") or [], state["old"].get("taints") or []
    kept = {(taint["key"], taint["effect"]) for taint in now}
    return {
        "addOrUpdateTaints": now,
        "removeTaints": [taint for taint in old if (taint["key"], taint["effect"]) not in kept],
    }


def _template(state: Obj) -> Obj:
    groups: Obj = {"securityGroupIds": state["vpcSecurityGroupIds"]} if "vpcSecurityGroupIds" in state else {}
    return Loose(state["given"] | groups)


def _default(state: Obj) -> str:
    return "modify_launch_template" if state.get("updateDefaultVersion") else ""


def _newest(state: Obj) -> str:
    return str(state["latestVersion"] + 1)


def _network(state: Obj) -> Obj:
    old = state["old"].get("vpcConfig") or {}
    return {key: value for key, value in state["vpcConfig"].items() if old.get(key) != value}


def _logging(state: Obj) -> Obj:
    now, known = (
        state.get("enabledClusterLogTypes") or [],
        ["api", "audit", "authenticator", "controllerManager", "scheduler"],
    )
    off = sorted({*known} - {*now})
    return {"clusterLogging": [{"types": now, "enabled": True}, {"types": off, "enabled": False}]}


def _authentication(state: Obj) -> Obj:
    return {"authenticationMode": state["accessConfig"]["authenticationMode"]}


def _rotation(state: Obj) -> str:
    return "enable_key_rotation" if state["enableKeyRotation"] else "disable_key_rotation"


TEMPLATE = (
    "blockDeviceMappings capacityReservationSpecification cpuOptions creditSpecification ebsOptimized enclaveOptions "
    "iamInstanceProfile imageId instanceMarketOptions instanceType keyName metadataOptions monitoring "
    "networkInterfaces placement privateDnsNameOptions tagSpecifications userData vpcSecurityGroupIds"
)


NODES: Mapping[str, Arg] = {"clusterName": "clusterName", "nodegroupName": "nodeGroupName"}
ADDON: Mapping[str, Arg] = {"clusterName": "clusterName", "addonName": "addonName"}
ENTRY: Mapping[str, Arg] = {"clusterName": "clusterName", "principalArn": "principalArn"}
IDENTITY: Mapping[str, Arg] = {"clusterName": "clusterName", "associationId": "id"}
ROLE: Mapping[str, Arg] = {"RoleName": "role"}
CLUSTER = {
    "arn": "it.arn",
    "endpoint": "it.endpoint",
    "certificateAuthority": "it.certificateAuthority",
    "identities": "[{oidcs: [{issuer: it.identity.oidc.issuer}]}]",
    "platformVersion": "it.platformVersion",
    "status": "it.status",
    "version": "it.version",
    "vpcConfig": "it.resourcesVpcConfig",
}

KINDS: dict[str, Kind] = {
    "aws:ec2/vpc:Vpc": _ec2(
        "vpc",
        "Vpc",
        replaces="cidrBlock instanceTenancy",
        updates=(
            call("modify_vpc_attribute", "enableDnsSupport", after=True, VpcId="id"),
            call("modify_vpc_attribute", "enableDnsHostnames", after=True, VpcId="id"),
        ),
        outputs={"ownerId": "it.OwnerId"},
    ),
    "aws:ec2/subnet:Subnet": _ec2(
        "subnet",
        "Subnet",
        replaces="vpcId cidrBlock availabilityZone availabilityZoneId",
        updates=(call("modify_subnet_attribute", "mapPublicIpOnLaunch", after=True, SubnetId="id"),),
        outputs={"availabilityZone": "it.AvailabilityZone", "availabilityZoneId": "it.AvailabilityZoneId"},
    ),
    "aws:ec2/internetGateway:InternetGateway": _ec2(
        "internet_gateway",
        "InternetGateway",
        call("detach_internet_gateway", InternetGatewayId="id", VpcId="vpcId"),
        call("delete_internet_gateway", InternetGatewayId="id"),
        updates=(call("attach_internet_gateway", "vpcId", after=True, InternetGatewayId="id"),),
    ),
    "aws:ec2/eip:Eip": _kind(
        "ec2",
        call("allocate_address"),
        "answer.AllocationId",
        call("describe_addresses", AllocationIds="[id]"),
        "Addresses[0]",
        call("release_address", AllocationId="id"),
        replaces="domain publicIpv4Pool networkBorderGroup",
        outputs={"allocationId": "id", "publicIp": "it.PublicIp"},
        tag="elastic-ip",
    ),
    "aws:ec2/natGateway:NatGateway": _ec2(
        "nat_gateway",
        "NatGateway",
        found="NatGateways[?State != 'deleted'] | [0]",
        replaces="allocationId subnetId connectivityType",
        outputs={"publicIp": "it.NatGatewayAddresses[0].PublicIp"},
        tag="natgateway",
    ),
    "aws:ec2/routeTable:RouteTable": _ec2("route_table", "RouteTable", replaces="vpcId"),
    "aws:ec2/route:Route": _kind(
        "ec2",
        call("create_route"),
        "join('_', [routeTableId, destinationCidrBlock])",
        call("describe_route_tables", RouteTableIds="[routeTableId]"),
        "RouteTables[0].Routes",
        call("delete_route", RouteTableId="routeTableId", DestinationCidrBlock="destinationCidrBlock"),
        match={"DestinationCidrBlock": "destinationCidrBlock"},
        replaces="routeTableId destinationCidrBlock",
        updates=(
            call(
                "replace_route",
                "gatewayId natGatewayId",
                RouteTableId="routeTableId",
                DestinationCidrBlock="destinationCidrBlock",
            ),
        ),
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _kind(
        "ec2",
        call("associate_route_table"),
        "answer.AssociationId",
        call("describe_route_tables", RouteTableIds="[routeTableId]"),
        "RouteTables[0].Associations",
        call("disassociate_route_table", AssociationId="id"),
        match={"RouteTableAssociationId": "id"},
        replaces="routeTableId subnetId",
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _ec2(
        "vpc_endpoint",
        "VpcEndpoint",
        call("delete_vpc_endpoints", VpcEndpointIds="[id]"),
        create=call("create_vpc_endpoint", PolicyDocument="policy"),
        found="VpcEndpoints[?State != 'deleted'] | [0]",
        replaces="vpcId serviceName vpcEndpointType",
        updates=(
            call(
                "modify_vpc_endpoint",
                "routeTableIds subnetIds securityGroupIds privateDnsEnabled policy",
                PolicyDocument="policy",
                of=_lists("VpcEndpointId", "RouteTableIds", "SubnetIds", "SecurityGroupIds"),
            ),
        ),
        outputs={"state": "it.State"},
    ),
    "aws:ec2/securityGroup:SecurityGroup": _kind(
        "ec2",
        call("create_security_group", GroupName="name"),
        "answer.GroupId",
        call("describe_security_groups", GroupIds="[id]"),
        "SecurityGroups[0]",
        call("delete_security_group", GroupId="id"),
        replaces="name description vpcId",
        updates=(
            # A new group lets everything out, which the provider takes away: rules are resources of their own here.
            call("revoke_security_group_egress", after=True, GroupId="id", IpPermissions="it.IpPermissionsEgress"),
        ),
        ignored="revokeRulesOnDelete",
        defaults={"description": "Managed by Pulumi"},
        name="name",
        longest=255,
        tag="security-group",
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _kind(
        "ec2",
        # There is one with every VPC; it loses its rules, and goes with the VPC.
        call("describe_security_groups", Filters=_default_group),
        "answer.SecurityGroups[0].GroupId",
        call("describe_security_groups", GroupIds="[id]"),
        "SecurityGroups[0]",
        replaces="vpcId",
        updates=(
            call("revoke_security_group_egress", after=True, GroupId="id", IpPermissions="it.IpPermissionsEgress"),
            call(_self_rule, after=True, GroupId="id", IpPermissions="it.IpPermissions"),
            call(_tags_if_any, after=True, Resources="[id]", Tags="tagsAll"),
        ),
        ignored="ingress egress revokeRulesOnDelete",
        tag="security-group",
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _rule("ingress"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _rule("egress"),
    "aws:ec2/launchTemplate:LaunchTemplate": _ec2(
        "launch_template",
        "LaunchTemplate",
        create=call(
            "create_launch_template",
            LaunchTemplateName="name",
            VersionDescription="description",
            LaunchTemplateData=_template,
        ),
        replaces="name",
        updates=(
            call(
                "create_launch_template_version",
                f"{TEMPLATE} description",
                LaunchTemplateId="id",
                VersionDescription="description",
                LaunchTemplateData=_template,
            ),
            call(_default, f"{TEMPLATE} description", LaunchTemplateId="id", DefaultVersion=_newest),
        ),
        outputs={"latestVersion": "it.LatestVersionNumber", "defaultVersion": "it.DefaultVersionNumber"},
        volatile="latestVersion defaultVersion",
        ignored="updateDefaultVersion",
        name="name",
        longest=128,
    ),
    "aws:eks/cluster:Cluster": _kind(
        "eks",
        call("create_cluster", resourcesVpcConfig="vpcConfig", logging=_logging),
        "name",
        call("describe_cluster", name="name"),
        "cluster",
        call("delete_cluster", name="name"),
        replaces="name roleArn kubernetesNetworkConfig bootstrapSelfManagedAddons encryptionConfig "
        "accessConfig.bootstrapClusterCreatorAdminPermissions",
        updates=(
            call("update_cluster_version", "version", name="name"),
            call("update_cluster_config", "vpcConfig", name="name", resourcesVpcConfig=_network),
            call("update_cluster_config", "enabledClusterLogTypes", name="name", logging=_logging),
            call("update_cluster_config", "accessConfig", name="name", accessConfig=_authentication),
            call("update_cluster_config", "upgradePolicy", name="name"),
            call("update_cluster_config", "deletionProtection", name="name"),
        ),
        outputs=CLUSTER,
        ignored="forceUpdateVersion",
        name="name",
        longest=100,
    ),
    "aws:eks/nodeGroup:NodeGroup": _kind(
        "eks",
        call("create_nodegroup", subnets="subnetIds", nodeRole="nodeRoleArn"),
        "join(':', [clusterName, nodeGroupName])",
        call("describe_nodegroup", of=NODES),
        "nodegroup",
        call("delete_nodegroup", of=NODES),
        replaces="clusterName nodeGroupName nodeRoleArn subnetIds amiType capacityType diskSize instanceTypes "
        "remoteAccess launchTemplate.id launchTemplate.name",
        updates=(
            call(
                "update_nodegroup_config",
                "scalingConfig labels taints updateConfig nodeRepairConfig",
                labels=_labels,
                taints=_taints,
                of=NODES,
            ),
            call("update_nodegroup_version", "version releaseVersion launchTemplate", of=NODES),
        ),
        outputs={
            **{name: f"it.{name}" for name in ("amiType", "capacityType", "instanceTypes", "diskSize", "status")},
            **{name: f"it.{name}" for name in ("version", "releaseVersion")},
            "arn": "it.nodegroupArn",
            "resources": "[{autoscalingGroups: it.resources.autoScalingGroups}]",
        },
        ignored="forceUpdateVersion",
        name="nodeGroupName",
        longest=63,
    ),
    "aws:eks/addon:Addon": _kind(
        "eks",
        call("create_addon", resolveConflicts="resolveConflictsOnCreate"),
        "join(':', [clusterName, addonName])",
        call("describe_addon", of=ADDON),
        "addon",
        call("delete_addon", preserve="preserve", of=ADDON),
        replaces="clusterName addonName",
        updates=(
            call(
                "update_addon",
                "addonVersion configurationValues serviceAccountRoleArn podIdentityAssociations",
                resolveConflicts="resolveConflictsOnUpdate",
                of=ADDON,
            ),
        ),
        outputs={"arn": "it.addonArn", "addonVersion": "it.addonVersion"},
        ignored="resolveConflictsOnCreate resolveConflictsOnUpdate preserve",
    ),
    "aws:eks/accessEntry:AccessEntry": _kind(
        "eks",
        call("create_access_entry"),
        "join(':', [clusterName, principalArn])",
        call("describe_access_entry", of=ENTRY),
        "accessEntry",
        call("delete_access_entry", of=ENTRY),
        replaces="clusterName principalArn type",
        updates=(call("update_access_entry", "kubernetesGroups userName", of=ENTRY),),
        outputs={"arn": "it.accessEntryArn", "accessEntryArn": "it.accessEntryArn", "userName": "it.username"},
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": _kind(
        "eks",
        call("associate_access_policy"),
        "join('#', [clusterName, principalArn, policyArn])",
        call("list_associated_access_policies", of=ENTRY),
        "associatedAccessPolicies",
        call("disassociate_access_policy", policyArn="policyArn", of=ENTRY),
        match={"policyArn": "policyArn"},
        replaces="clusterName principalArn policyArn accessScope",
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _kind(
        "eks",
        call("create_pod_identity_association"),
        "answer.association.associationId",
        call("describe_pod_identity_association", of=IDENTITY),
        "association",
        call("delete_pod_identity_association", of=IDENTITY),
        replaces="clusterName namespace serviceAccount",
        updates=(call("update_pod_identity_association", "roleArn", of=IDENTITY),),
        outputs={"arn": "it.associationArn", "associationArn": "it.associationArn", "associationId": "id"},
    ),
    "aws:iam/role:Role": _kind(
        "iam",
        call("create_role", RoleName="name", AssumeRolePolicyDocument="assumeRolePolicy"),
        "name",
        call("get_role", RoleName="name"),
        "Role",
        call("delete_role", RoleName="name"),
        replaces="name path",
        updates=(
            call("update_assume_role_policy", "assumeRolePolicy", RoleName="name", PolicyDocument="assumeRolePolicy"),
            call("update_role", "description maxSessionDuration", RoleName="name"),
            call("put_role_permissions_boundary", "permissionsBoundary", RoleName="name"),
        ),
        outputs={"arn": "it.Arn", "uniqueId": "it.RoleId"},
        ignored="forceDetachPolicies",
        name="name",
        longest=64,
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _kind(
        "iam",
        call("attach_role_policy", of=ROLE),
        "join('/', [role, policyArn])",
        call("list_attached_role_policies", of=ROLE),
        "AttachedPolicies",
        call("detach_role_policy", PolicyArn="policyArn", of=ROLE),
        match={"PolicyArn": "policyArn"},
        replaces="role policyArn",
    ),
    "aws:iam/rolePolicy:RolePolicy": _kind(
        "iam",
        call("put_role_policy", PolicyName="name", PolicyDocument="policy", of=ROLE),
        "join(':', [role, name])",
        call("get_role_policy", PolicyName="name", of=ROLE),
        "@",
        call("delete_role_policy", PolicyName="name", of=ROLE),
        replaces="role name",
        updates=(call("put_role_policy", "policy", PolicyName="name", PolicyDocument="policy", of=ROLE),),
        name="name",
        longest=128,
    ),
    "aws:kms/key:Key": _kind(
        "kms",
        call("create_key", KeySpec="customerMasterKeySpec"),
        "answer.KeyMetadata.KeyId",
        call("describe_key", KeyId="id"),
        "[KeyMetadata][?KeyState != 'PendingDeletion'] | [0]",
        call("schedule_key_deletion", KeyId="id", PendingWindowInDays="deletionWindowInDays"),
        replaces="keyUsage customerMasterKeySpec multiRegion",
        updates=(
            call("update_key_description", "description", KeyId="id"),
            call("put_key_policy", "policy", KeyId="id", PolicyName="'default'"),
            call(_rotation, "enableKeyRotation", after=True, KeyId="id"),
        ),
        outputs={"arn": "it.Arn", "keyId": "id"},
        ignored="deletionWindowInDays",
    ),
    "aws:kms/alias:Alias": _kind(
        "kms",
        call("create_alias", AliasName="name"),
        "name",
        call("list_aliases"),
        "Aliases",
        call("delete_alias", AliasName="name"),
        match={"AliasName": "name"},
        replaces="name",
        updates=(call("update_alias", "targetKeyId", AliasName="name"),),
        outputs={"arn": "it.AliasArn"},
    ),
    "aws:cloudwatch/logGroup:LogGroup": _kind(
        "logs",
        call("create_log_group", logGroupName="name"),
        "name",
        call("describe_log_groups", logGroupNamePrefix="name"),
        "logGroups",
        call("delete_log_group", logGroupName="name"),
        match={"logGroupName": "name"},
        replaces="name logGroupClass",
        updates=(
            call("put_retention_policy", "retentionInDays", after=True, logGroupName="name"),
            call("associate_kms_key", "kmsKeyId", logGroupName="name"),
        ),
        outputs={"arn": "it.logGroupArn"},
        ignored="skipDestroy",
        name="name",
        longest=512,
    ),
    "aws:efs/fileSystem:FileSystem": _kind(
        "efs",
        call("create_file_system"),
        "answer.FileSystemId",
        call("describe_file_systems", FileSystemId="id"),
        "FileSystems[0]",
        call("delete_file_system", FileSystemId="id"),
        replaces="creationToken performanceMode encrypted kmsKeyId availabilityZoneName",
        updates=(
            call(
                "update_file_system",
                "throughputMode provisionedThroughputInMibps",
                FileSystemId="id",
                ThroughputMode="throughputMode",
                ProvisionedThroughputInMibps="provisionedThroughputInMibps",
            ),
            call("put_lifecycle_configuration", "lifecyclePolicies", after=True, FileSystemId="id"),
        ),
        outputs={"arn": "it.FileSystemArn", "dnsName": "join('', [id, '.efs.', region, '.amazonaws.com'])"},
        name="creationToken",
        longest=64,
    ),
    "aws:efs/mountTarget:MountTarget": _kind(
        "efs",
        call("create_mount_target"),
        "answer.MountTargetId",
        call("describe_mount_targets", MountTargetId="id"),
        "MountTargets[0]",
        call("delete_mount_target", MountTargetId="id"),
        replaces="fileSystemId subnetId ipAddress",
        updates=(call("modify_mount_target_security_groups", "securityGroups", MountTargetId="id"),),
        outputs={"availabilityZoneName": "it.AvailabilityZoneName", "networkInterfaceId": "it.NetworkInterfaceId"},
    ),
    "aws:fsx/lustreFileSystem:LustreFileSystem": _kind(
        "fsx",
        call("create_file_system", FileSystemType="'LUSTRE'", LustreConfiguration="given"),
        "answer.FileSystem.FileSystemId",
        call("describe_file_systems", FileSystemIds="[id]"),
        "FileSystems[0]",
        call("delete_file_system", FileSystemId="id"),
        replaces="subnetIds securityGroupIds storageType deploymentType kmsKeyId fileSystemTypeVersion efaEnabled "
        "driveCacheType",
        updates=(
            call("update_file_system", "storageCapacity", FileSystemId="id"),
            call(
                "update_file_system",
                "perUnitStorageThroughput dataCompressionType automaticBackupRetentionDays metadataConfiguration "
                "weeklyMaintenanceStartTime dailyAutomaticBackupStartTime",
                FileSystemId="id",
                LustreConfiguration="changed",
            ),
        ),
        outputs={
            "arn": "it.ResourceARN",
            "dnsName": "it.DNSName",
            "mountName": "it.LustreConfiguration.MountName",
            "vpcId": "it.VpcId",
        },
        ignored="skipFinalBackup copyTagsToBackups",
    ),
    "aws:fsx/dataRepositoryAssociation:DataRepositoryAssociation": _kind(
        "fsx",
        call("create_data_repository_association"),
        "answer.Association.AssociationId",
        call("describe_data_repository_associations", AssociationIds="[id]"),
        "Associations[0]",
        call(
            "delete_data_repository_association",
            AssociationId="id",
            DeleteDataInFileSystem="deleteDataInFilesystem || `false`",
        ),
        replaces="fileSystemId fileSystemPath dataRepositoryPath batchImportMetaDataOnCreate",
        updates=(call("update_data_repository_association", "s3 importedFileChunkSize", AssociationId="id"),),
        outputs={"arn": "it.ResourceARN", "associationId": "id"},
        ignored="deleteDataInFilesystem",
    ),
}

TAGS: Mapping[str, tuple[str, str, Mapping[str, Arg], str]] = {
    "ec2": ("create_tags", "delete_tags", {"Resources": "[id]"}, "Tags"),
    "eks": ("tag_resource", "untag_resource", {"resourceArn": "arn"}, "tagKeys"),
    "iam": ("tag_role", "untag_role", {"RoleName": "name"}, "TagKeys"),
    "kms": ("tag_resource", "untag_resource", {"KeyId": "id"}, "TagKeys"),
    "logs": ("tag_resource", "untag_resource", {"resourceArn": "arn"}, "tagKeys"),
    "efs": ("tag_resource", "untag_resource", {"ResourceId": "id"}, "TagKeys"),
    "fsx": ("tag_resource", "untag_resource", {"ResourceARN": "arn"}, "TagKeys"),
}
"""How each service changes tags: what sets them, what takes them off, of which resource, its member for their keys."""
