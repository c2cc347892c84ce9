"""What a stack on AWS may say, and how each mistake is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from components.facts import ec2
from components.settings import EksCluster, EksPool, ExistingPool, SettingsError, parse
from components.settings.pools import is_arm
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, SMALLEST, changed, chat, raw, settings, without

TABLE = "write it in the stack file; the README's table of settings has its keys"


def mistakes(config: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse(raw(config))
    return [str(each) for each in error.value.mistakes]


def several(config: dict[str, Any], **values: object) -> dict[str, Any]:
    """A copy of `config` with values at dotted paths, in which `__` stands for a dot."""
    for path, value in values.items():
        config = changed(config, path.replace("__", "."), value)
    return config


ON_DISKS = several(AWS_ATTACHED, storage__shared={"kind": "gp3"}, gpuPools__l40s__zones=["us-west-2a"])
FOUR_GPUS = changed(ON_DISKS, "gpuPools.l40s.instanceType", "g6e.12xlarge")
ON_INSTANCE_STORE = changed(AWS_ATTACHED, "storage.shared", {"kind": "instanceStore"})
LARGE = {"storage": "shared", "size": "400Gi"}
MOUNTED = several(ON_INSTANCE_STORE, gpuPools__l40s__instanceStore=True)
AUTO_MODE = several(AWS_ATTACHED, gpuPools__l40s__autoscaler="karpenter", cluster__autoMode=True)
BLOCK = several(
    AWS_ATTACHED,
    gpuPools__l40s__instanceType="p5.48xlarge",
    gpuPools__l40s__zones=["us-west-2a"],
    gpuPools__l40s__capacity="CAPACITY_BLOCK",
    gpuPools__l40s__reservation="cr-0a1b2c3d4e5f60001",
)
EFA = several(AWS_ATTACHED, gpuPools__l40s__instanceType="g6e.12xlarge", gpuPools__l40s__efa=True)
FACTS = {"gpu": {"product": "NVIDIA-T4G", "memoryGiB": 16}, "vcpus": 64, "memoryGiB": 128}
TYPED = changed(AWS_ATTACHED, "gpuPools.l40s.facts", FACTS)
OURS = (
    "is Kubernetes', EKS's, Karpenter's or the program's own; allowed: a label key outside kubernetes.io, k8s.io, "
    "eks.amazonaws.com, karpenter.sh, karpenter.k8s.aws, and not inference/gpu-pool or inference/gpu-generation; "
    "rename it in the stack file"
)
TAG_KEY = "a tag's key: at most 128 characters, not aws:*, Name, managed-by, inference/cluster"


@pytest.mark.parametrize(
    ("config", "path", "value", "message"),
    [
        pytest.param(
            AWS_ATTACHED,
            "aws:region",
            "us-west-9",
            'aws:region: "us-west-9" is no region of AWS; allowed: af-south-1, [...]; '
            "set it with: pulumi config set --path 'aws:region' us-west-2",
            id="an unknown region",
        ),
        pytest.param(
            AWS_ATTACHED,
            "aws:region",
            "Oregon",
            'aws:region: "Oregon" is not valid; allowed: an AWS region such as us-west-2; '
            "set it with: pulumi config set --path 'aws:region' us-west-2",
            id="a region's other name",
        ),
        pytest.param(
            AWS_CREATED,
            "gpuPools.l4.zones",
            ["us-east-2z"],
            'inference:gpuPools.l4.zones[0]: "us-east-2z" is no zone of us-east-2; '
            "allowed: us-east-2a, us-east-2b, us-east-2c; name one of the region's zones, or change aws:region",
            id="an unknown zone",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.zones",
            ["us-east-2a", "us-east-2b", "us-west-2a"],
            'inference:cluster.create.zones[2]: "us-west-2a" is no zone of us-east-2; allowed: us-east-2a, [...]; '
            "name one of the region's zones, or change aws:region",
            id="a zone of another region",
        ),
        pytest.param(
            AWS_CREATED,
            "storage.lustre.zone",
            "us-west-2b",
            'inference:storage.lustre.zone: "us-west-2b" is no zone of us-east-2; allowed: us-east-2a, [...]; '
            "name one of the region's zones, or change aws:region",
            id="a file system in a zone of another region",
        ),
        pytest.param(
            AWS_ATTACHED,
            "cluster.subnets",
            {"us-west-2a": "subnet-0a1b2c3d4e5f60001"},
            "inference:cluster.subnets.us-west-2b: is missing, and pool l40s is in that zone; allowed: a private "
            "subnet of every zone of a pool or file system; "
            "set it with: pulumi config set --path 'inference:cluster.subnets.us-west-2b' subnet-0123456789abcdef0",
            id="a pool's zone without a subnet",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.zones",
            ["us-east-2a", "us-east-2c"],
            "inference:cluster.create.zones: has no us-east-2b, where pool l4 is; allowed: every zone of a pool or "
            "file system; add it in the stack file when the cluster is first created, or choose another zone",
            id="a pool's zone that the created cluster has not",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.zones",
            ["us-east-2a", "us-east-2b", "us-east-2a"],
            "inference:cluster.create.zones: holds us-east-2a twice; allowed: each once; take one of them out",
            id="a zone of the VPC twice",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.zones",
            ["us-west-2a", "us-west-2a"],
            "inference:gpuPools.l40s.zones: holds us-west-2a twice; allowed: each once; take one of them out",
            id="a zone of a pool twice",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.subnets",
            {"us-east-2a": "subnet-0a1b2c3d4e5f60001"},
            "inference:cluster.subnets: are those of an existing cluster, and create makes its own; "
            "allowed: subnets without create, or create without subnets; take one of the two out",
            id="subnets for a cluster that makes its own",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.autoMode",
            True,
            "inference:cluster.autoMode: is what an existing cluster has; create makes one with node groups; "
            "allowed: autoMode without create; take one of the two out",
            id="auto mode of a created cluster",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.cidr",
            "10.0.0.0/8",
            'inference:cluster.create.cidr: "10.0.0.0/8" is too large for a VPC, or too small for its pods; allowed: '
            "an IPv4 range of /16 to /20, such as 10.0.0.0/16; "
            "set it with: pulumi config set --path 'inference:cluster.create.cidr' 10.0.0.0/16",
            id="a VPC too large",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.cidr",
            "10.0.1.0/16",
            'inference:cluster.create.cidr: "10.0.1.0/16" is an address with a prefix, not its range; allowed: '
            "an IPv4 range of /16 to /20, such as 10.0.0.0/16; "
            "set it with: pulumi config set --path 'inference:cluster.create.cidr' 10.0.0.0/16",
            id="an address for a network",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.endpointCidrs",
            ["300.0.0.0/8"],
            'inference:cluster.create.endpointCidrs[0]: "300.0.0.0/8" is no IPv4 range; allowed: an IPv4 range such as '
            "203.0.113.0/24; "
            "set it with: pulumi config set --path 'inference:cluster.create.endpointCidrs[0]' 203.0.113.0/24",
            id="a range that is none",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.addons",
            {"vpc-cni": "1.20"},
            'inference:cluster.create.addons.vpc-cni: "1.20" is not valid; allowed: a version of an EKS add-on such '
            "as v1.20.4-eksbuild.1; "
            "set it with: pulumi config set --path 'inference:cluster.create.addons.vpc-cni' v1.20.4-eksbuild.1",
            id="an add-on's version that is none",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.admins",
            [],
            "inference:cluster.create.creatorIsAdmin: leaves nobody to administer the cluster; allowed: false together "
            "with admins; name who runs `pulumi up` under admins, or take it out",
            id="a cluster without an administrator",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.system",
            {"min": 6},
            "inference:cluster.create.system.max: 4 is less than min 6; allowed: an integer of at least system.min; "
            "set it with: pulumi config set --path 'inference:cluster.create.system.max' 6",
            id="more system nodes at least than at most",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.zone",
            ["us-east-2a"],
            "inference:cluster.create.zone: is not a setting; did you mean zones?; allowed: version, zones, "
            "cidr, [...]; "
            "rename it in the stack file, or remove it with: pulumi config rm --path 'inference:cluster.create.zone'",
            id="an unknown key in a kind of cluster",
        ),
        pytest.param(
            AWS_ATTACHED,
            "cluster.provider",
            "eks",
            'inference:cluster.provider: "eks" is not available; allowed: kubernetes, aws; '
            "set it with: pulumi config set --path 'inference:cluster.provider' aws",
            id="a provider by another name",
        ),
        pytest.param(
            AWS_ATTACHED,
            "cluster.provider",
            "AWS",
            'inference:cluster.provider: "AWS" is not available; allowed: kubernetes, aws; '
            "set it with: pulumi config set --path 'inference:cluster.provider' aws",
            id="a provider in capitals",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.name",
            "Prod",
            'inference:cluster.name: "Prod" is no name for a cluster to be created, from which others are made; '
            "allowed: lower-case letters, digits and hyphens, first a letter, at most 40 characters; "
            "choose another in the stack file",
            id="a created cluster's name in capitals",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.version",
            1.33,
            'inference:cluster.create.version: "1.33" is not in EKS\'s standard support, as of November 2026; allowed: '
            "1.34, 1.35, 1.36; set it with: pulumi config set --path 'inference:cluster.create.version' 1.35",
            id="a version without support",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.cidr",
            "8.8.0.0/16",
            'inference:cluster.create.cidr: "8.8.0.0/16" is not private; allowed: a range of 10.0.0.0/8, 172.16.0.0/12'
            ", 192.168.0.0/16 or 100.64.0.0/10; "
            "set it with: pulumi config set --path 'inference:cluster.create.cidr' 10.0.0.0/16",
            id="a VPC of somebody's addresses",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.interfaceEndpoints",
            ["ecr.api", "s3"],
            "inference:cluster.create.interfaceEndpoints: holds s3, which is always there, as a gateway; "
            "allowed: other services; take it out",
            id="an endpoint that is there",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.interfaceEndpoints",
            ["sts", "sts"],
            "inference:cluster.create.interfaceEndpoints: holds sts twice; allowed: each once; take one of them out",
            id="an endpoint twice",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.endpointCidrs",
            ["10.0.0.0/8"],
            "inference:cluster.create.endpointCidrs: holds 10.0.0.0/8, which is private: from inside the VPC the API "
            "server is reached in any case; allowed: public ranges; take it out",
            id="a private range for the public endpoint",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.endpointCidrs",
            [f"203.0.113.{number}/32" for number in range(41)],
            "inference:cluster.create.endpointCidrs: has 41 ranges; allowed: at most 40; "
            "take some together in the stack file",
            id="more ranges than EKS takes",
        ),
        pytest.param(
            AWS_ATTACHED,
            "cluster.create",
            None,
            "inference:cluster.create: null is not a map; allowed: a map with version, zones, [...]; " + TABLE,
            id="a cluster to be created without a word about it",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.zones",
            ["us-east-2b"],
            "inference:cluster.create.zones: has 1 item; allowed: a list of 2 to 6 items, each an availability zone "
            "such as us-west-2a; " + TABLE,
            id="a cluster in one zone",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.zones",
            [],
            "inference:cluster.create.zones: is empty; allowed: a list of 2 to 6 items, each [...]; " + TABLE,
            id="a cluster in no zone",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.zones",
            ["us-east-2b"] * 7,
            "inference:cluster.create.zones: has 7 items; allowed: a list of 2 to 6 items, each [...]; " + TABLE,
            id="a cluster in too many zones",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.zones",
            ["use2-az1", "us-east-2b"],
            'inference:cluster.create.zones[0]: "use2-az1" is a zone\'s id; allowed: its name, such as us-west-2a; '
            "set it with: pulumi config set --path 'inference:cluster.create.zones[0]' us-west-2a",
            id="a zone's id",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.cidr",
            "10.0.0.0",
            'inference:cluster.create.cidr: "10.0.0.0" is an address without a prefix; allowed: an IPv4 range of /16 '
            "to /20, such as 10.0.0.0/16; "
            "set it with: pulumi config set --path 'inference:cluster.create.cidr' 10.0.0.0/16",
            id="a VPC's range without a prefix",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.cidr",
            "10.1.1.0/8",
            'inference:cluster.create.cidr: "10.1.1.0/8" is an address with a prefix, not its range; allowed: an IPv4 '
            "range of /16 to /20, such as 10.0.0.0/16; "
            "set it with: pulumi config set --path 'inference:cluster.create.cidr' 10.1.0.0/16",
            id="an address in a VPC too large",
        ),
        pytest.param(
            AWS_CREATED,
            "cluster.create.system.instanceTypes",
            ["m7i.large", "m7g.large"],
            'inference:cluster.create.system.instanceTypes[1]: "m7g.large" is Arm; the AMIs of the program are x86-64; '
            "allowed: x86-64 instance types; "
            "set it with: pulumi config set --path 'inference:cluster.create.system.instanceTypes[1]' m7i.large",
            id="system nodes on Arm",
        ),
        pytest.param(
            TYPED,
            "gpuPools.l40s.instanceType",
            "g5g.16xlarge",
            'inference:gpuPools.l40s.instanceType: "g5g.16xlarge" is Arm; the AMIs of the program are x86-64; allowed: '
            "x86-64 instance types; choose another instance type",
            id="GPU nodes on Arm",
        ),
        pytest.param(
            TYPED,
            "gpuPools.l40s.alternatives",
            ["p6e-gb200.36xlarge"],
            'inference:gpuPools.l40s.alternatives[0]: "p6e-gb200.36xlarge" is Arm; the AMIs of the program are x86-64; '
            "allowed: x86-64 instance types; choose another instance type",
            id="an alternative on Arm",
        ),
        pytest.param(
            TYPED,
            "gpuPools.l40s.instanceType",
            "m7i.large",
            'inference:gpuPools.l40s.instanceType: "m7i.large" has no NVIDIA GPU; allowed: instance types of the '
            "families g and p; choose another instance type",
            id="GPU nodes without a GPU",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.capacity",
            "CAPACITY_BLOCK",
            'inference:gpuPools.l40s.capacity: "CAPACITY_BLOCK" is not for g6e.2xlarge, of which AWS sells no blocks; '
            "allowed: CAPACITY_BLOCK for instance types of P4 to P6 and newer; ON_DEMAND or SPOT for others; "
            "set it with: pulumi config set --path 'inference:gpuPools.l40s.capacity' ON_DEMAND",
            id="a capacity block of a type that has none",
        ),
        pytest.param(
            BLOCK,
            "gpuPools.l40s.min",
            1,
            "inference:gpuPools.l40s.min: 1 is more than EKS can have before the capacity block begins; allowed: 0 "
            "with capacity CAPACITY_BLOCK; set it with: pulumi config set --path 'inference:gpuPools.l40s.min' 0",
            id="a capacity block with nodes before it begins",
        ),
        pytest.param(
            EFA,
            "gpuPools.l40s.autoscaler",
            "karpenter",
            "inference:gpuPools.l40s.efa: is for node groups: to the nodes of Karpenter no interfaces are attached; "
            "allowed: true with autoscaler cluster-autoscaler, false with karpenter; "
            "take it out, or choose the other autoscaler",
            id="adapters of Karpenter's nodes",
        ),
        pytest.param(
            EFA,
            "gpuPools.l40s.alternatives",
            ["g6e.24xlarge"],
            'inference:gpuPools.l40s.alternatives[0]: "g6e.24xlarge" has 2 Elastic Fabric Adapters, and g6e.12xlarge '
            "has 1 Elastic Fabric Adapter; allowed: instance types with as many, with efa; "
            "make it a pool of its own, or take efa out",
            id="an alternative with more adapters",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.labels",
            {"team": "llm", "node-role.kubernetes.io/gpu": ""},
            f'inference:gpuPools.l40s.labels["node-role.kubernetes.io/gpu"]: {OURS}',
            id="a label that the kubelet refuses",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.labels",
            {"inference/gpu-pool": "l4"},
            f'inference:gpuPools.l40s.labels["inference/gpu-pool"]: {OURS}',
            id="a label of the program's own",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.tags",
            {"Name": "gpu"},
            f'inference:gpuPools.l40s.tags.Name: "Name" is not a valid name; allowed: {TAG_KEY}; '
            "rename it in the stack file",
            id="a tag of the program's own",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.tags",
            {"team": "x" * 257},
            f"inference:gpuPools.l40s.tags.team: \"{'x' * 79}... has 257 characters; allowed: a tag's value: at most "
            "256 characters; shorten it in the stack file",
            id="a pool's tag that is too long",
        ),
        pytest.param(
            AWS_ATTACHED,
            "cluster.tags",
            {"team": "x" * 257},
            f"inference:cluster.tags.team: \"{'x' * 79}... has 257 characters; allowed: a tag's value: at most "
            "256 characters; shorten it in the stack file",
            id="a cluster's tag that is too long",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.amiRelease",
            "latest",
            'inference:gpuPools.l40s.amiRelease: "latest" is no release of ami al2023; allowed: a release such as '
            "1.34.1-20251112; name the release in full, or take it out for the latest",
            id="a release that is none",
        ),
        pytest.param(
            changed(AWS_ATTACHED, "gpuPools.l40s.ami", "bottlerocket"),
            "gpuPools.l40s.amiRelease",
            "1.34.1-20251112x",
            'inference:gpuPools.l40s.amiRelease: "1.34.1-20251112x" is no release of ami bottlerocket; allowed: a '
            "release such as 1.53.0-abcdef12; name the release in full, or take it out for the latest",
            id="a release of another AMI",
        ),
        pytest.param(
            AWS_CREATED,
            "gpuPools.l4.amiRelease",
            "1.35.2-20260917",
            'inference:gpuPools.l4.amiRelease: "1.35.2-20260917" is of Kubernetes 1.35, and the cluster is created '
            "with 1.34; allowed: a release of 1.34 or older; set an older release, or a newer cluster.create.version",
            id="nodes newer than the cluster",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.max",
            1,
            "inference:gpuPools.l40s.max: 1 node has 1 GPU; model chat takes 1 and 1 more for the surge of a rollout; "
            "allowed: at least 2; set it with: pulumi config set --path 'inference:gpuPools.l40s.max' 2",
            id="a pool without a node for the surge",
        ),
        pytest.param(
            several(AWS_CREATED, models__chat__replicas={"min": 8, "max": 8}, models__chat__weights={"size": "20Gi"}),
            "gpuPools.l4.max",
            2,
            "inference:gpuPools.l4.max: 2 nodes have 4 GPUs each; models chat, draft, summary take 10 and 1 more for "
            "the surge of a rollout; allowed: at least 3; "
            "set it with: pulumi config set --path 'inference:gpuPools.l4.max' 3",
            id="a pool that several models share, and too small for them",
        ),
        pytest.param(
            changed(AWS_CREATED, "gpuPools.h100.max", 1),
            "models.expert.gpus",
            8,
            "inference:gpuPools.h100.max: 1 node has 8 GPUs; model expert takes 8 and 8 more for the surge of a "
            "rollout; allowed: at least 2; set it with: pulumi config set --path 'inference:gpuPools.h100.max' 2",
            id="a surge that needs a node of its own",
        ),
        pytest.param(
            AWS_ATTACHED,
            "models.chat.resources",
            {"requests": {"cpu": 7.5}},
            'inference:models.chat.resources.requests.cpu: "7.5" is more than g6e.2xlarge of pool l40s has for pods; '
            "allowed: at most 7.2, a tenth being left to the system; "
            "set it with: pulumi config set --path 'inference:models.chat.resources.requests.cpu' 7.2",
            id="more CPUs than a node has",
        ),
        pytest.param(
            AWS_ATTACHED,
            "models.chat.resources",
            {"requests": {"memory": "64Gi"}, "limits": {"memory": "64Gi"}},
            'inference:models.chat.resources.requests.memory: "64Gi" is more than g6e.2xlarge of pool l40s has for '
            "pods; allowed: at most 57Gi, a tenth being left to the system; "
            "set it with: pulumi config set --path 'inference:models.chat.resources.requests.memory' 57Gi",
            id="more memory than a node has",
        ),
        pytest.param(
            AWS_CREATED,
            "models.expert.weights.size",
            "2401Gi",
            "inference:storage.lustre.capacityGiB: 2400 is too small: the weights of model expert are 2401Gi; allowed: "
            "4800, 7200, 9600, 12000; "
            "set it with: pulumi config set --path 'inference:storage.lustre.capacityGiB' 4800",
            id="weights larger than their file system",
        ),
        pytest.param(
            AWS_CREATED,
            "models.expert.weights.size",
            "12Ti",
            "inference:storage.lustre.capacityGiB: 2400 is too small: the weights of model expert are 12288Gi; "
            "allowed: at least 12288, which no file system here has; "
            "make weights.size smaller, or give some models another storage",
            id="weights larger than any file system",
        ),
        pytest.param(
            changed(AWS_ATTACHED, "gpuPools.l40s.ami", "bottlerocket"),
            "devicePlugin.migStrategy",
            "single",
            "inference:devicePlugin.migStrategy: does not reach the nodes of pool l40s, which bring a device plugin of "
            "their own; allowed: none with Bottlerocket or EKS Auto Mode; "
            "set it with: pulumi config set --path 'inference:devicePlugin.migStrategy' none",
            id="MIG on Bottlerocket",
        ),
        pytest.param(
            changed(AWS_CREATED, "models.expert.gpus", 8),
            "models.expert.pool",
            "h200",
            'inference:models.expert.pool: "h200" is no GPU pool; allowed: a key of inference:gpuPools (l4, h100); '
            "set it with: pulumi config set --path 'inference:models.expert.pool' h100",
            id="an unknown pool for many GPUs",
        ),
        pytest.param(
            changed(AWS_ATTACHED, "models.chat.gpus", 2),
            "models.chat.pool",
            "h200",
            'inference:models.chat.pool: "h200" is no GPU pool; allowed: a key of inference:gpuPools (l40s); ' + TABLE,
            id="an unknown pool for more GPUs than any has",
        ),
        pytest.param(
            AWS_ATTACHED,
            "storage.shared",
            {"knd": "efs"},
            "inference:storage.shared.kind: is missing; allowed: efs, gp3, fsx, instanceStore; "
            "set it with: pulumi config set --path 'inference:storage.shared.kind' efs",
            id="a storage of no kind",
        ),
        pytest.param(
            AWS_ATTACHED,
            "storage.shared.zones",
            ["us-west-2a"],
            "inference:storage.shared.zones: is not a setting; allowed: kind, throughput, provisionedMBps, "
            "securityGroups, protect; rename it in the stack file, or remove it with: "
            "pulumi config rm --path 'inference:storage.shared.zones'",
            id="an unknown key in a kind of storage",
        ),
        pytest.param(
            AWS_ATTACHED,
            "storage.shared.throughput",
            "provisioned",
            "inference:storage.shared.provisionedMBps: is missing; allowed: an integer from 1 to 10240, with "
            "throughput provisioned; set it with: pulumi config set --path "
            "'inference:storage.shared.provisionedMBps' 512",
            id="provisioned throughput without its amount",
        ),
        pytest.param(
            AWS_ATTACHED,
            "storage.shared.provisionedMBps",
            512,
            "inference:storage.shared.provisionedMBps: 512 belongs to throughput provisioned, not to elastic; allowed: "
            "throughput provisioned with it, or another without; take it out, or set throughput to provisioned",
            id="an amount of throughput that is not provisioned",
        ),
        pytest.param(
            AWS_CREATED,
            "storage.disks.throughputMBps",
            1501,
            "inference:storage.disks.throughputMBps: 1501 is more than a quarter of 6000 operations a second; allowed: "
            "an integer from 125 to 1500, or more with more iops; set iops to 6004 at least, or it to 1500",
            id="a throughput that the operations do not carry",
        ),
        pytest.param(
            FOUR_GPUS,
            "storage.shared.iops",
            10_001,
            "inference:storage.shared.iops: 10001 is more than 500 a GiB of model chat's weights, 20Gi; allowed: "
            "an integer from 3000 to 10000, or more with larger weights.size; "
            "set it with: pulumi config set --path 'inference:storage.shared.iops' 10000",
            id="more operations than a volume of the size has",
        ),
        pytest.param(
            FOUR_GPUS,
            "gpuPools.l40s.zones",
            ["us-west-2a", "us-west-2b"],
            'inference:models.chat.weights.storage: "shared" is a gp3 volume in one zone, and pool l40s has 2; '
            "allowed: gp3 for a pool in one zone; storage of kind efs or fsx for several; "
            "name one zone in the pool's zones, or another storage",
            id="a gp3 volume for several zones",
        ),
        pytest.param(
            FOUR_GPUS,
            "models.chat.replicas.max",
            4,
            'inference:models.chat.weights.storage: "shared" is a gp3 volume, which one node mounts, and 4 replicas '
            "with one for the surge of a rollout need 5 GPUs: a node of pool l40s has 4; allowed: gp3 where all "
            "replicas fit one node with one more; storage of kind efs or fsx otherwise; "
            "lower replicas.max, choose a pool with more GPUs a node, or another storage",
            id="a gp3 volume for more replicas than a node holds",
        ),
        pytest.param(
            AWS_ATTACHED,
            "models.chat.weights.storage",
            "efs",
            'inference:models.chat.weights.storage: "efs" is no storage; allowed: a key of inference:storage (shared); '
            "set it with: pulumi config set --path 'inference:models.chat.weights.storage' shared",
            id="a storage that does not exist",
        ),
        pytest.param(
            AWS_ATTACHED,
            "models.chat.weights.storageClass",
            "efs",
            'inference:models.chat.weights.storage: "shared" is given together with storageClass, and has a class of '
            "its own; allowed: storage, or storageClass; take one of the two out",
            id="a storage and a storage class",
        ),
        pytest.param(
            ON_INSTANCE_STORE,
            "gpuPools.l40s.instanceStore",
            False,
            "inference:gpuPools.l40s.instanceStore: is needed for the weights of model chat; allowed: true for a pool "
            "whose nodes keep weights; "
            "set it with: pulumi config set --path 'inference:gpuPools.l40s.instanceStore' true",
            id="weights on an instance store that the pool does not mount",
        ),
        pytest.param(
            MOUNTED,
            "models.chat.weights.size",
            "500Gi",
            'inference:models.chat.weights.size: "500Gi" is more than the instance store of g6e.2xlarge; '
            "allowed: at most 419Gi; choose an instance type with more NVMe, or another storage",
            id="weights larger than the instance store",
        ),
        pytest.param(
            AWS_CREATED,
            "storage.local.path",
            "/mnt/weights",
            'inference:storage.local.path: "/mnt/weights" is not valid; allowed: a folder below /mnt/k8s-disks/0, '
            "where nodes mount the RAID of their NVMe disks; "
            "set it with: pulumi config set --path 'inference:storage.local.path' /mnt/k8s-disks/0/weights",
            id="a folder on the root volume",
        ),
        pytest.param(
            AWS_CREATED,
            "storage.local.path",
            "/mnt/k8s-disks/0/../weights",
            'inference:storage.local.path: "/mnt/k8s-disks/0/../weights" is not valid; allowed: a folder below [...]; '
            "set it with: pulumi config set --path 'inference:storage.local.path' /mnt/k8s-disks/0/weights",
            id="a folder that leads out of the instance store",
        ),
        pytest.param(
            AWS_CREATED,
            "aws:profile",
            "",
            'aws:profile: "" is not valid; allowed: text that is not empty; '
            "set it with: pulumi config set --path 'aws:profile' text",
            id="an empty profile",
        ),
        pytest.param(
            changed(MOUNTED, "models.draft", {**AWS_ATTACHED["models"]["chat"], "weights": LARGE}),
            "models.chat.weights.size",
            "20Gi",
            'inference:models.draft.weights.size: "400Gi", with the 1 other on pool l40s, is more than the instance '
            "store of g6e.2xlarge; allowed: at most 419Gi together; "
            "choose an instance type with more NVMe, or another storage",
            id="weights of several models that are larger than the instance store together",
        ),
        pytest.param(
            ON_INSTANCE_STORE,
            "gpuPools.l40s",
            SMALLEST["gpuPools"]["l4"],
            'inference:models.chat.weights.storage: "shared" is on nodes that EKS provides, and pool l40s has others; '
            "allowed: storage of another kind, or a pool with an instanceType; choose another storage, or another pool",
            id="weights on an instance store of other nodes",
        ),
        pytest.param(
            changed(AWS_ATTACHED, "gpuPools.l40s", SMALLEST["gpuPools"]["l4"]),
            "cluster.subnets",
            {},
            "inference:cluster.subnets: is empty, and storage shared is mounted by way of them; allowed: a private "
            "subnet of every zone with nodes; write it in the stack file: ZONE: subnet-...",
            id="a file system without a subnet",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.instanceType",
            "p9.48xlarge",
            'inference:gpuPools.l40s.instanceType: "p9.48xlarge" is no GPU instance type that the program knows; '
            "allowed: g4dn.*, [...], or another x86-64 type with facts; if it is right, set facts beside "
            "it: gpu.product, "
            "gpu.memoryGiB, gpu.count, vcpus, memoryGiB, nvmeGB, networkGbps, efaInterfaces",
            id="an unknown instance type",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.alternatives",
            ["g6e.3xlarge"],
            'inference:gpuPools.l40s.alternatives[0]: "g6e.3xlarge" is no GPU instance type that the program knows; '
            "allowed: g6e.12xlarge, [...], or another x86-64 type with facts; if it is right, set facts "
            "beside it: [...]",
            id="an unknown alternative",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.alternatives",
            ["g6e.4xlarge", "g6.4xlarge"],
            'inference:gpuPools.l40s.alternatives[1]: "g6.4xlarge" has 1 NVIDIA-L4 of 22888 MiB, and g6e.2xlarge has '
            "1 NVIDIA-L40S of 45776 MiB; allowed: instance types with the same GPUs; make it a pool of its own",
            id="an alternative with other GPUs",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.alternatives",
            ["g6e.12xlarge"],
            'inference:gpuPools.l40s.alternatives[0]: "g6e.12xlarge" has 4 NVIDIA-L40S of 45776 MiB, and g6e.2xlarge '
            "has 1 NVIDIA-L40S of 45776 MiB; allowed: instance types with the same GPUs; make it a pool of its own",
            id="an alternative with more GPUs",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.alternatives",
            ["g6e.2xlarge"],
            "inference:gpuPools.l40s.alternatives: holds g6e.2xlarge twice; allowed: each once; take one of them out",
            id="the type itself for an alternative",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.instanceType",
            "p5e.48xlarge",
            "inference:gpuPools.l40s.zones: us-west-2a and us-west-2b do not offer p5e.48xlarge, in the program's "
            "data; allowed: us-west-2c; choose other zones or another type; zone names differ between "
            "accounts: if yours "
            "offer it, pulumi config set --path 'inference:gpuPools.l40s.checkOffering' false",
            id="an instance type that the zones do not offer",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.min",
            3,
            "inference:gpuPools.l40s.max: 2 is less than min 3; allowed: an integer of at least the pool's min; "
            "set it with: pulumi config set --path 'inference:gpuPools.l40s.max' 3",
            id="more nodes at least than at most",
        ),
        pytest.param(
            AWS_CREATED,
            "gpuPools.l4.min",
            1,
            "inference:gpuPools.l4.min: 1 is more than Karpenter keeps, whose last node goes when it is empty; "
            "allowed: 0 with autoscaler karpenter; "
            "set it with: pulumi config set --path 'inference:gpuPools.l4.min' 0",
            id="a minimum of Karpenter's nodes",
        ),
        pytest.param(
            changed(AWS_ATTACHED, "gpuPools.l40s.min", 2),
            "gpuPools.l40s.autoscaler",
            "karpenter",
            "inference:gpuPools.l40s.min: 2 is more than Karpenter keeps, whose last node goes when it is empty; "
            "allowed: 0 with autoscaler karpenter; "
            "set it with: pulumi config set --path 'inference:gpuPools.l40s.min' 0",
            id="Karpenter for a pool with a minimum",
        ),
        pytest.param(
            AWS_CREATED,
            "gpuPools.l4.ami",
            "bottlerocket",
            "inference:gpuPools.l4.instanceStore: needs user data that Bottlerocket does not take; allowed: true with "
            "ami al2023, false with bottlerocket; set ami to al2023, or take it out",
            id="an instance store on Bottlerocket",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.efa",
            True,
            "inference:gpuPools.l40s.efa: needs an Elastic Fabric Adapter, and g6e.2xlarge has none; allowed: true for "
            "instance types with an Elastic Fabric Adapter; take it out, or choose another instance type",
            id="an adapter that the type has not",
        ),
        pytest.param(
            BLOCK,
            "gpuPools.l40s.reservation",
            None,
            "inference:gpuPools.l40s.reservation: is missing, and a capacity block is one; allowed: a capacity "
            "reservation's id: cr-..., with capacity CAPACITY_BLOCK; "
            "set it with: pulumi config set --path 'inference:gpuPools.l40s.reservation' cr-0123456789abcdef0",
            id="a capacity block without a reservation",
        ),
        pytest.param(
            AWS_CREATED,
            "gpuPools.l4.reservation",
            "cr-0a1b2c3d4e5f60001",
            'inference:gpuPools.l4.reservation: "cr-0a1b2c3d4e5f60001" is for ON_DEMAND and CAPACITY_BLOCK: spot '
            "instances take no reservation; allowed: a reservation with another capacity than SPOT; "
            "take it out, or set capacity to ON_DEMAND",
            id="a reservation of spot instances",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.reservation",
            "cr-0a1b2c3d4e5f60001",
            'inference:gpuPools.l40s.reservation: "cr-0a1b2c3d4e5f60001" is of one instance type in one zone, and the '
            "pool has several; allowed: a reservation with one zone and no alternatives; "
            "name its zone alone in zones, and take the alternatives out",
            id="a reservation for several zones",
        ),
        pytest.param(
            several(AWS_ATTACHED, gpuPools__l40s__zones=["us-west-2a"], gpuPools__l40s__alternatives=["g6e.4xlarge"]),
            "gpuPools.l40s.reservation",
            "cr-0a1b2c3d4e5f60001",
            'inference:gpuPools.l40s.reservation: "cr-0a1b2c3d4e5f60001" is of one instance type in one zone, and the '
            "pool has several; allowed: a reservation with one zone and no alternatives; "
            "name its zone alone in zones, and take the alternatives out",
            id="a reservation for several types",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.disk",
            {"throughputMBps": 1000},
            "inference:gpuPools.l40s.disk.throughputMBps: 1000 is more than a quarter of 3000 operations a second; "
            "allowed: an integer from 125 to 750, or more with more iops; set iops to 4000 at least, or it to 750",
            id="a disk's throughput that its operations do not carry",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.disk",
            {"sizeGiB": 20, "iops": 12_000},
            "inference:gpuPools.l40s.disk.iops: 12000 is more than 500 a GiB; allowed: an integer from 3000 to 10000, "
            "or more with a larger sizeGiB; "
            "set it with: pulumi config set --path 'inference:gpuPools.l40s.disk.iops' 10000",
            id="more operations than a disk of the size has",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.instanceTyp",
            "g6e.2xlarge",
            "inference:gpuPools.l40s.instanceTyp: is not a setting; did you mean instanceType?; allowed: instanceType, "
            "alternatives, [...]; rename it in the stack file, or remove it with: "
            "pulumi config rm --path 'inference:gpuPools.l40s.instanceTyp'",
            id="an unknown key in a kind of pool",
        ),
        pytest.param(
            AWS_ATTACHED,
            "models.chat.pool",
            "l4",
            'inference:models.chat.pool: "l4" is no GPU pool; allowed: a key of inference:gpuPools (l40s); '
            "set it with: pulumi config set --path 'inference:models.chat.pool' l40s",
            id="a pool that was removed while a model uses it",
        ),
        pytest.param(
            AWS_ATTACHED,
            "models.chat.gpus",
            2,
            "inference:models.chat.gpus: 2 is more than the 1 GPU of a node of pool l40s; allowed: 1; "
            "set it with: pulumi config set --path 'inference:models.chat.gpus' 1",
            id="more GPUs than the instance type has",
        ),
        pytest.param(
            AWS_CREATED,
            "devicePlugin.timeSlicing",
            2,
            "inference:models.expert.gpus: 4 slices may be of the same GPU, with devicePlugin.timeSlicing; "
            "allowed: 1, or devicePlugin.timeSlicing 1; "
            "set it with: pulumi config set --path 'inference:models.expert.gpus' 1",
            id="a replica of several slices",
        ),
        pytest.param(
            several(AWS_ATTACHED, devicePlugin__enabled=False),
            "devicePlugin.timeSlicing",
            2,
            "inference:devicePlugin.timeSlicing: 2 is for the plugin that this program installs, and enabled is false; "
            "allowed: 1 with enabled false; take it out, or set enabled to true",
            id="slices of a plugin that is not installed",
        ),
        pytest.param(
            AWS_CREATED,
            "devicePlugin.timeSlicing",
            2,
            "inference:devicePlugin.timeSlicing: does not reach the nodes of pool h100, which bring a device plugin of "
            "their own; allowed: 1 with Bottlerocket or EKS Auto Mode; "
            "set it with: pulumi config set --path 'inference:devicePlugin.timeSlicing' 1",
            id="slices on Bottlerocket",
        ),
        pytest.param(
            AUTO_MODE,
            "devicePlugin.timeSlicing",
            2,
            "inference:devicePlugin.timeSlicing: does not reach the nodes of pool l40s, which bring a device plugin of "
            "their own; allowed: 1 with Bottlerocket or EKS Auto Mode; "
            "set it with: pulumi config set --path 'inference:devicePlugin.timeSlicing' 1",
            id="slices in auto mode",
        ),
        pytest.param(
            AWS_ATTACHED,
            "cluster.autoMode",
            True,
            'inference:gpuPools.l40s.autoscaler: "cluster-autoscaler" has no place in EKS Auto Mode, which brings '
            "Karpenter; allowed: karpenter, or cluster.autoMode false; "
            "set it with: pulumi config set --path 'inference:gpuPools.l40s.autoscaler' karpenter",
            id="the cluster autoscaler in auto mode",
        ),
        pytest.param(
            AUTO_MODE,
            "gpuPools.l40s.ami",
            "bottlerocket",
            "inference:gpuPools.l40s.ami: is EKS Auto Mode's own choice; allowed: none with cluster.autoMode; "
            "take it out, or use a cluster without Auto Mode",
            id="an AMI in auto mode",
        ),
        pytest.param(
            AUTO_MODE,
            "gpuPools.l40s.amiRelease",
            "1.34.2-20260917",
            "inference:gpuPools.l40s.amiRelease: is EKS Auto Mode's own choice; allowed: none with cluster.autoMode; "
            "take it out, or use a cluster without Auto Mode",
            id="a release in auto mode",
        ),
        pytest.param(
            AUTO_MODE,
            "gpuPools.l40s.disk",
            {"sizeGiB": 200},
            "inference:gpuPools.l40s.disk: is EKS Auto Mode's own choice; allowed: none with cluster.autoMode; "
            "take it out, or use a cluster without Auto Mode",
            id="a disk in auto mode",
        ),
        pytest.param(
            AUTO_MODE,
            "gpuPools.l40s.tags",
            {"team": "search"},
            "inference:gpuPools.l40s.tags: is EKS Auto Mode's own choice; allowed: none with cluster.autoMode; "
            "take it out, or use a cluster without Auto Mode",
            id="tags of nodes in auto mode",
        ),
        pytest.param(
            changed(AUTO_MODE, "gpuPools.l40s.zones", ["us-west-2a"]),
            "gpuPools.l40s.reservation",
            "cr-0a1b2c3d4e5f60001",
            "inference:gpuPools.l40s.reservation: is EKS Auto Mode's own choice; allowed: none with cluster.autoMode; "
            "take it out, or use a cluster without Auto Mode",
            id="a reservation in auto mode",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s.amiRelease",
            "1.33.5-20251023",
            'inference:gpuPools.l40s.amiRelease: "1.33.5-20251023" has NVIDIA driver 570, and model chat needs 580 for '
            "CUDA 13.0; allowed: a release with driver 580 or newer; set a newer amiRelease, the driver if that AMI "
            "has another, or an image with an older CUDA",
            id="a driver too old for the image",
        ),
        pytest.param(
            changed(AWS_CREATED, "models.expert.cuda", "13.0"),
            "gpuPools.h100.driver",
            570,
            "inference:gpuPools.h100.driver: 570 has NVIDIA driver 570, and model expert needs 580 for CUDA 13.0; "
            "allowed: a release with driver 580 or newer; set a newer amiRelease, the driver if that AMI has another, "
            "or an image with an older CUDA",
            id="a driver of the settings that is too old",
        ),
        pytest.param(
            SMALLEST,
            "storage",
            {"shared": {"kind": "efs"}},
            "inference:storage.shared: is storage on AWS, and the cluster comes from a kubeconfig; allowed: storage "
            "with cluster.provider aws; take it out, and name a class of the cluster's as weights.storageClass",
            id="storage on AWS elsewhere",
        ),
        pytest.param(
            SMALLEST,
            "gpuPools.l4",
            AWS_ATTACHED["gpuPools"]["l40s"],
            "inference:gpuPools.l4: is a pool that EKS provides, and the cluster comes from a kubeconfig; allowed: a "
            "pool with nodes and gpu, or cluster.provider aws; "
            "describe the nodes that are there with nodes and gpu, or set the cluster's provider to aws",
            id="a pool of EKS elsewhere",
        ),
        pytest.param(
            AWS_ATTACHED,
            "gpuPools.l40s",
            "g6e.2xlarge",
            'inference:gpuPools.l40s: "g6e.2xlarge" is not a map; allowed: a map with nodes, gpu, [...]; ' + TABLE,
            id="text for a pool",
        ),
        pytest.param(
            AWS_ATTACHED,
            "cluster",
            "prod",
            'inference:cluster: "prod" is not a map; allowed: a map; ' + TABLE,
            id="text for a cluster",
        ),
        pytest.param(
            AWS_ATTACHED,
            "cluster.subnets",
            {"Oregon": "subnet-0a1b2c3d4e5f60001"},
            'inference:cluster.subnets.Oregon: "Oregon" is not a valid name; allowed: an availability zone such as '
            "us-west-2a; rename it in the stack file",
            id="a subnet of a zone that is none",
        ),
        pytest.param(
            AWS_ATTACHED,
            "cluster.tags",
            {"aws:team": "llm"},
            'inference:cluster.tags["aws:team"]: "aws:team" is not a valid name; allowed: ' + TAG_KEY + "; "
            "rename it in the stack file",
            id="a tag of AWS's own",
        ),
    ],
)
def test_a_mistake_is_one_line_with_key_value_allowed_and_fix(
    config: dict[str, Any], path: str, value: object, message: str
) -> None:
    """In the messages, [...] stands for the rest of a long list."""
    found = mistakes(changed(config, path, value))
    pattern = ".*".join(re.escape(part) for part in message.split("[...]"))
    assert any(re.fullmatch(pattern, line) for line in found), found
    # What concerns several models or pools is said of each.
    assert len(found) == 1 or path in {"devicePlugin.timeSlicing", "models.chat.weights.size"}
    assert not any(kind in line for line in found for kind in ("\n", "EksPool", "ExistingPool"))


@pytest.mark.parametrize("name", ["m7g", "c7gn", "t4g", "x2gd", "im4gn", "hpc7g", "g5g", "a1", "p6e-gb200"])
def test_an_arm_processor_is_told_by_the_family(name: str) -> None:
    assert is_arm(f"{name}.large")


def test_no_gpu_instance_type_of_the_data_is_taken_for_arm() -> None:
    x86 = (*ec2.instance_types(), "m7i.large", "c7i-flex.large", "u-6tb1.metal")
    assert [name for name in x86 if is_arm(name)] == []


def test_replicas_of_several_gpus_do_not_straddle_nodes() -> None:
    """Nodes have 8 GPUs: two replicas of 3 each, and those of 1 beside them."""
    unknown = f"hf://example/unknown@{'0' * 40}"
    wide = several(AWS_CREATED, models__expert__gpus=3, models__expert__source=unknown)
    wide = changed(wide, "models.expert.replicas", {"min": 3, "max": 3})
    beside = {**wide["models"]["expert"], "gpus": 1, "replicas": {"min": 4, "max": 4}}
    assert settings(changed(wide, "models.small", beside)).gpu_pools["h100"].nodes == 2
    beside["replicas"] = {"min": 5, "max": 5}
    (line,) = mistakes(changed(wide, "models.small", beside))
    assert "2 nodes have 8 GPUs each; models expert, small take 14 and 3 more" in line
    assert "at least 3;" in line


def test_slices_count_for_the_surge() -> None:
    config = several(AWS_ATTACHED, gpuPools__l40s__max=1, devicePlugin__timeSlicing=2)
    assert settings(config).gpu_pools["l40s"].nodes == 1


def test_the_smallest_of_a_pools_types_has_to_hold_a_replica() -> None:
    config = several(AWS_ATTACHED, models__chat__resources={"requests": {"cpu": 6}})
    assert chat(config).resources.requests.cpu == "6"
    (line,) = mistakes(changed(config, "gpuPools.l40s.alternatives", ["g6e.xlarge"]))
    assert 'requests.cpu: "6" is more than' in line
    assert "allowed: at most 3.6," in line


def test_a_model_without_any_pool_is_told_so() -> None:
    lines = mistakes(changed(AWS_ATTACHED, "gpuPools", {}))
    assert any("allowed: a key of inference:gpuPools (none yet); write it" in line for line in lines)


def test_a_region_is_asked_for_on_aws_and_nowhere_else() -> None:
    assert mistakes(without(AWS_ATTACHED, "aws:region")) == [
        (
            "aws:region: is missing; allowed: an AWS region such as us-west-2; "
            "set it with: pulumi config set --path 'aws:region' us-west-2"
        )
    ]
    elsewhere = settings(SMALLEST | {"aws:region": "somebody else's", "aws:profile": ""})
    assert (elsewhere.region, elsewhere.profile) == (None, None)


def test_the_kinds_of_sections_are_told_apart() -> None:
    assert isinstance(settings(AWS_ATTACHED).cluster, EksCluster)
    assert isinstance(settings(AWS_ATTACHED).gpu_pools["l40s"], EksPool)
    existing = changed(AWS_ATTACHED, "gpuPools.l40s", SMALLEST["gpuPools"]["l4"])
    assert isinstance(settings(existing).gpu_pools["l40s"], ExistingPool)


@pytest.mark.parametrize(
    ("config", "pool", "missing"),
    [(AWS_ATTACHED, "l40s", ["instanceType", "max", "zones"]), (SMALLEST, "l4", ["nodes", "gpu"])],
    ids=["aws", "elsewhere"],
)
def test_an_empty_pool_is_asked_for_what_its_cluster_needs(
    config: dict[str, Any], pool: str, missing: list[str]
) -> None:
    lines = mistakes(changed(config, f"gpuPools.{pool}", {}))
    assert [line.split(";")[0] for line in lines] == [f"inference:gpuPools.{pool}.{key}: is missing" for key in missing]
    lines = mistakes(changed(config, f"gpuPools.{pool}", {"colour": "red"}))
    expected = [*missing, "colour"]
    assert [line.split(":")[1] for line in lines] == [f"gpuPools.{pool}.{key}" for key in expected]


def test_slices_are_counted_before_they_are_refused() -> None:
    (line,) = mistakes(several(SMALLEST, devicePlugin__timeSlicing=2, models__chat__gpus=2))
    assert line.startswith("inference:models.chat.gpus: 2 slices may be of the same GPU")


def test_a_pool_may_be_of_one_size() -> None:
    assert settings(changed(AWS_ATTACHED, "gpuPools.l40s.min", 2)).gpu_pools["l40s"].nodes == 2


def test_a_pool_has_the_gpus_of_its_instance_type() -> None:
    pools = settings(AWS_CREATED).gpu_pools
    assert (pools["l4"].gpu.product, pools["l4"].gpu.count, pools["l4"].gpu.memory_gib) == ("NVIDIA-L4", 4, 22)
    assert (pools["h100"].gpu.count, pools["h100"].nodes) == (8, 2)


def test_facts_in_the_settings_are_taken_for_the_programs_own() -> None:
    facts = {
        "gpu": {"product": "NVIDIA-R100", "memoryGiB": 288, "count": 4},
        "vcpus": 96,
        "memoryGiB": 1024,
        "nvmeGB": 7600,
        "efaInterfaces": 4,
    }
    config = several(
        AWS_ATTACHED,
        gpuPools__l40s__instanceType="p9.24xlarge",
        gpuPools__l40s__alternatives=["p9.48xlarge"],
        gpuPools__l40s__facts=facts,
        gpuPools__l40s__efa=True,
        gpuPools__l40s__instanceStore=True,
    )
    pool = settings(config).gpu_pools["l40s"]
    assert isinstance(pool, EksPool)
    assert pool.instance_types == ("p9.24xlarge", "p9.48xlarge")
    assert (pool.gpu.product, pool.gpu.memory_gib, pool.gpu.count) == ("NVIDIA-R100", 288, 4)
    assert (pool.facts_of_type.nvme_gb, pool.facts_of_type.efa_interfaces) == (7600, 4)


def test_an_account_with_other_zone_names_is_taken_at_its_word() -> None:
    config = several(AWS_ATTACHED, gpuPools__l40s__instanceType="p5e.48xlarge", gpuPools__l40s__checkOffering=False)
    assert settings(config).gpu_pools["l40s"].gpu.product == "NVIDIA-H200"


def test_a_region_without_data_of_its_zones_is_not_checked() -> None:
    config = several(AWS_ATTACHED, gpuPools__l40s__zones=["us-gov-west-1a"])
    config = changed(config, "cluster.subnets", {"us-gov-west-1a": "subnet-0a1b2c3d4e5f60001"})
    assert settings(config | {"aws:region": "us-gov-west-1"}).region == "us-gov-west-1"


def test_a_zone_needs_one_of_the_types_and_a_type_one_of_the_zones() -> None:
    """us-west-2d has no G5, which us-west-2a has."""
    pool = {"instanceType": "g5.2xlarge", "max": 2, "zones": ["us-west-2a", "us-west-2d"]}
    subnets = {"us-west-2a": "subnet-0a1b2c3d4e5f60001", "us-west-2d": "subnet-0a1b2c3d4e5f60002"}
    config = several(AWS_ATTACHED, gpuPools__l40s=pool, cluster__subnets=subnets)
    (line,) = mistakes(config)
    assert line.startswith("inference:gpuPools.l40s.zones: us-west-2d does not offer g5.2xlarge, in the program's data")
    assert "allowed: us-west-2a, us-west-2b, us-west-2c;" in line


def test_weights_are_read_at_the_rate_of_their_storage_where_the_stack_gives_none() -> None:
    assert chat(AWS_ATTACHED).weights.bandwidth_mbps == 1500
    assert chat(changed(AWS_ATTACHED, "models.chat.weights.bandwidthMBps", 300)).weights.bandwidth_mbps == 300
    assert {name: model.weights.bandwidth_mbps for name, model in settings(AWS_CREATED).models.items()} == {
        "chat": 1000,
        "draft": 4000,
        "expert": 2400 * 500 // 1024,
        "summary": 512,
    }


def test_a_gp3_volume_serves_as_many_replicas_as_one_node_holds_with_the_surge() -> None:
    assert chat(changed(FOUR_GPUS, "models.chat.replicas.max", 3)).replicas.max == 3
    sliced = several(ON_DISKS, devicePlugin__timeSlicing=4, models__chat__replicas__max=3)
    assert chat(sliced).replicas.max == 3


def test_a_gp3_volume_has_its_operations_by_its_size() -> None:
    assert chat(changed(FOUR_GPUS, "storage.shared.iops", 10_000)).weights.size == "20Gi"
    assert chat(changed(FOUR_GPUS, "models.chat.weights.size", "2Gi")).weights.bandwidth_mbps == 125


def test_an_instance_store_is_as_large_as_that_of_the_smallest_type() -> None:
    """g6e.2xlarge has 450 GB, g6e.xlarge 250 GB."""
    config = changed(MOUNTED, "models.chat.weights.size", "400Gi")
    assert chat(config).weights.size == "400Gi"
    (line,) = mistakes(changed(config, "gpuPools.l40s.alternatives", ["g6e.xlarge"]))
    assert "is more than the instance store of g6e.2xlarge; allowed: at most 232Gi" in line


def test_an_older_cuda_runs_on_an_older_driver() -> None:
    release = {"gpuPools__l40s__amiRelease": "1.33.5-20251023"}
    older = several(AWS_ATTACHED, **release, models__chat__image="vllm/vllm-openai:v0.33.0-cu129")
    assert chat(older).image == "vllm/vllm-openai:v0.33.0-cu129"
    own = several(AWS_ATTACHED, **release, models__chat__image="registry.example.com/vllm:1")
    assert chat(own).cuda is None
    (line,) = mistakes(changed(own, "models.chat.cuda", 13.0))
    assert "needs 580 for CUDA 13.0" in line


def test_a_driver_of_the_settings_is_believed() -> None:
    config = several(AWS_ATTACHED, gpuPools__l40s__amiRelease="1.33.5-20251023", gpuPools__l40s__driver=580)
    assert settings(config).gpu_pools["l40s"].gpu.product == "NVIDIA-L40S"


def test_mistakes_between_sections_are_reported_together() -> None:
    config = several(AWS_ATTACHED, cluster__subnets={}, gpuPools__l40s__amiRelease="1.33.5-20251023")
    config = changed(config, "models.chat.weights.storage", "nope")
    assert [line.split(": ")[0] for line in mistakes(config)] == [
        "inference:cluster.subnets.us-west-2a",
        "inference:cluster.subnets.us-west-2b",
        "inference:models.chat.weights.storage",
        "inference:gpuPools.l40s.amiRelease",
    ]


@pytest.mark.parametrize("region", ["us-east-1", "us-west-2", "eu-central-1"])
def test_every_type_is_taken_where_it_is_offered(region: str) -> None:
    for name in ec2.instance_types():
        for zone in ec2.zones_with(name, region):
            pool = {"instanceType": name, "max": 2, "zones": [zone]}
            config = several(AWS_ATTACHED, gpuPools__l40s=pool, cluster__subnets={zone: "subnet-0a1b2c3d4e5f60001"})
            # CUDA 13, which the program's own image has, does not know the V100.
            config = changed(config, "models.chat.cuda", "12.9")
            assert settings(config | {"aws:region": region}).gpu_pools["l40s"].gpu.count >= 1


def test_a_cluster_that_is_there_may_have_any_name_of_eks() -> None:
    assert settings(changed(AWS_ATTACHED, "cluster.name", "Prod_EU-" + "x" * 92)).cluster.name.startswith("Prod_EU-")
