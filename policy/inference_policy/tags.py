"""What costs money or holds data at AWS says whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from inference_policy.resource import UNKNOWN, Resource, at, mapping
from inference_policy.rule import Config, Rule, by_name, names

TAGGABLE: Final = frozenset(
    {
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:dynamodb/table:Table",
        "aws:ebs/volume:Volume",
        "aws:ec2/eip:Eip",
        "aws:ec2/instance:Instance",
        "aws:ec2/internetGateway:InternetGateway",
        "aws:ec2/launchTemplate:LaunchTemplate",
        "aws:ec2/natGateway:NatGateway",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "aws:ecr/repository:Repository",
        "aws:efs/fileSystem:FileSystem",
        "aws:eks/addon:Addon",
        "aws:eks/cluster:Cluster",
        "aws:eks/nodeGroup:NodeGroup",
        "aws:eks/podIdentityAssociation:PodIdentityAssociation",
        "aws:fsx/lustreFileSystem:LustreFileSystem",
        "aws:fsx/ontapFileSystem:OntapFileSystem",
        "aws:fsx/openZfsFileSystem:OpenZfsFileSystem",
        "aws:iam/policy:Policy",
        "aws:iam/role:Role",
        "aws:kms/key:Key",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:s3/bucket:Bucket",
        "aws:secretsmanager/secret:Secret",
        "aws:sqs/queue:Queue",
    }
)


def tagged(resource: Resource, config: Config) -> Iterator[str]:
    """The tags of a resource, or those of its provider."""
    if resource.type not in TAGGABLE:
        return
    if UNKNOWN in (at(resource.inputs, "tags"), at(resource.inputs, "tagsAll")):
        return
    tags = {**mapping(resource.inputs, "tagsAll"), **mapping(resource.inputs, "tags")}
    if missing := [key for key in config["required"] if not tags.get(key)]:
        yield f"{resource.title}: has no tag {', '.join(missing)}; add it, or default_tags to the provider"


def tag(kind: str, inputs: dict[str, Any], config: Config) -> bool:
    """Add the tags that are missing and that the settings have a value for."""
    given = [inputs.get(key) or {} for key in ("tagsAll", "tags")]
    if kind not in TAGGABLE or not all(isinstance(each, dict) for each in given):
        return False
    present = given[0] | given[1]
    values = {key: value for key, value in config["values"].items() if not present.get(key)}
    for key in ("tags", "tagsAll"):
        if values and (key == "tags" or key in inputs):
            inputs[key] = (inputs.get(key) or {}) | values
    return bool(values)


TAGGED: Final = Rule(
    name="aws-tagged",
    description="What costs money or holds data at AWS has the tags that were agreed.",
    check=tagged,
    settings={
        "required": names("Keys of the tags that must be there.", "managed-by"),
        "values": by_name("What is set, where this policy remediates and a tag is missing.", {"managed-by": "pulumi"}),
    },
    remedy=tag,
)
