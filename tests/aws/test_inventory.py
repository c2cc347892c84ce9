"""All that the stacks of this repository register: what each resource is, whose it is, and what matters of it.

Renew the snapshots with `pytest --snapshot-update`, and read what changed: a resource under another name is another
resource, and the one before it is deleted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from rehearsal import stack
from tests.aws.tags import taggable
from tests.components.program import SECRET, Recorder, Registration, plain, public, run_program

STACKS = ("dev", "prod")
STACK = "pulumi:pulumi:Stack"
PROVIDER = "pulumi:providers:kubernetes"
TAINTS = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}]
DIGEST = re.compile(r"-[0-9a-f]{8}$")
TOKEN = "hf_0123456789"


def configuration(name: str) -> dict[str, Any]:
    return {key.removeprefix(f"{stack.PROJECT}:"): value for key, value in stack.configuration(name).items()}


@pytest.fixture(scope="module")
def shipped() -> Mapping[str, Recorder]:
    return {name: run_program(configuration(name)) for name in STACKS}


def resources(recorder: Recorder) -> list[Registration]:
    """What was registered, the stack itself apart."""
    return [each for each in recorder.registrations if each.type != STACK]


def short(urn: str) -> str:
    """Type and name of a URN, without those of its parents and without a digest."""
    kinds, name = urn.split("::")[-2:]
    return f"{kinds.split('$')[-1]} {DIGEST.sub('-*', name)}"


def node_group(recorder: Recorder, name: str) -> dict[str, Any]:
    """The inputs of a node group, whose name begins so."""
    (found,) = [each for each in recorder.of("NodeGroup") if each.name.startswith(name)]
    inputs: dict[str, Any] = plain(found.inputs)
    return inputs


@pytest.mark.parametrize("name", STACKS)
def test_the_stack_consists_of_what_was_reviewed(
    shipped: Mapping[str, Recorder], name: str, snapshot: SnapshotAssertion
) -> None:
    """Names by type, each with its parent; a digest is an asterisk."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for each in resources(shipped[name]):
        found[each.type][DIGEST.sub("-*", each.name)] = short(each.parent).replace(f"{STACK} inference-test", "stack")
    assert sum(map(len, found.values())) == len(resources(shipped[name]))
    assert {kind: dict(sorted(names.items())) for kind, names in sorted(found.items())} == snapshot(
        extension_class=JSONSnapshotExtension
    )


@pytest.mark.parametrize("name", STACKS)
def test_every_resource_belongs_to_a_component(shipped: Mapping[str, Recorder], name: str) -> None:
    """A role's policies belong to the role, and to the stack only what all components share."""
    by_urn = {each.urn: each.type for each in shipped[name].registrations}
    shared = set()
    for each in resources(shipped[name]):
        parent = by_urn[each.parent]
        if each.type.startswith("inference:index:"):
            assert parent == STACK or parent.startswith("inference:index:"), each.urn
        elif each.type.startswith("aws:iam/rolePolicy"):
            assert parent == "aws:iam/role:Role", each.urn
        elif parent == STACK:
            shared.add(short(each.urn))
        else:
            assert parent.startswith("inference:index:"), each.urn
    nodes = f"aws:iam/role:Role {configuration(name)['cluster']['name']}-gpu-nodes"
    assert shared == {f"{PROVIDER} cluster", "kubernetes:core/v1:Namespace inference", nodes}


@pytest.mark.parametrize("name", STACKS)
def test_kubernetes_goes_to_the_cluster_and_aws_to_the_account_of_the_stack(
    shipped: Mapping[str, Recorder], name: str
) -> None:
    provider = shipped[name].one("kubernetes")
    assert provider.name == "cluster"
    for each in resources(shipped[name]):
        if each.type.startswith("kubernetes:"):
            assert each.provider == f"{provider.urn}::cluster-id", each.urn
        if each.type.startswith("aws:"):
            assert each.provider == "", each.urn


@pytest.mark.parametrize(
    ("name", "tags", "without"),
    [
        (
            "dev",
            {"inference/cluster": "inference-dev", "managed-by": "pulumi"},
            {"Alias", "MountTarget", "RolePolicy", "RolePolicyAttachment", "Route", "RouteTableAssociation"},
        ),
        (
            "prod",
            {"inference/cluster": "prod", "managed-by": "pulumi", "team": "ml-platform"},
            {"MountTarget", "RolePolicyAttachment"},
        ),
    ],
)
def test_all_of_aws_that_has_tags_is_tagged(
    shipped: Mapping[str, Recorder], name: str, tags: dict[str, str], without: set[str]
) -> None:
    untagged = set()
    for each in resources(shipped[name]):
        if each.type.startswith("aws:") and taggable(each.type):
            assert tags.items() <= plain(each.inputs)["tags"].items(), each.urn
        elif each.type.startswith("aws:"):
            untagged.add(each.type.split(":")[-1])
    assert untagged == without


@pytest.mark.parametrize(
    ("name", "pool", "instance_type", "sizes", "subnets"),
    [
        ("dev", "l40s", "g6e.2xlarge", (1, 3), ["inference-dev-private-us-west-2a-id", "[...]2b-id"]),
        ("prod", "l40s", "g6e.4xlarge", (4, 11), ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"]),
        ("prod", "h100", "p5.48xlarge", (1, 2), ["subnet-0a1b2c3d4e5f60002"]),
    ],
)
def test_node_groups_with_gpus(
    shipped: Mapping[str, Recorder],
    name: str,
    pool: str,
    instance_type: str,
    sizes: tuple[int, int],
    subnets: list[str],
) -> None:
    asked = node_group(shipped[name], f"{pool}-")
    assert asked["instanceTypes"] == [instance_type]
    assert asked["amiType"] == "AL2023_x86_64_NVIDIA"
    assert asked["capacityType"] == "ON_DEMAND"
    least, most = sizes
    assert asked["scalingConfig"] == {"minSize": least, "maxSize": most, "desiredSize": least}
    assert asked["taints"] == TAINTS
    assert asked["labels"]["inference/gpu-pool"] == pool
    assert asked["subnetIds"] == [each.replace("[...]", "inference-dev-private-us-west-") for each in subnets]
    assert asked["nodeRepairConfig"] == {"enabled": True}
    assert asked["nodeRoleArn"].endswith(f":{configuration(name)['cluster']['name']}-gpu-nodes")


def test_the_nodes_without_gpus(shipped: Mapping[str, Recorder]) -> None:
    asked = node_group(shipped["dev"], "inference-dev-system")
    assert asked["instanceTypes"] == ["m7i.large"]
    assert asked["scalingConfig"] == {"minSize": 2, "maxSize": 4, "desiredSize": 2}
    assert "taints" not in asked
    assert asked["subnetIds"] == [f"inference-dev-private-us-west-2{letter}-id" for letter in "ab"]


def test_the_control_plane(shipped: Mapping[str, Recorder]) -> None:
    cluster = shipped["dev"].one("Cluster").inputs
    assert (cluster["name"], cluster["version"]) == ("inference-dev", "1.35")
    assert cluster["accessConfig"] == {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True}
    assert cluster["encryptionConfig"]["resources"] == ["secrets"]
    assert cluster["encryptionConfig"]["provider"] == {"keyArn": "arn:aws:kms:us-west-2:123456789012:inference-dev"}
    assert cluster["enabledClusterLogTypes"] == ["api", "audit", "authenticator", "controllerManager", "scheduler"]
    assert cluster["vpcConfig"]["endpointPrivateAccess"] is True
    assert shipped["dev"].one("LogGroup").inputs["retentionInDays"] == 30


@pytest.mark.parametrize("name", STACKS)
def test_what_holds_weights_or_everything_is_protected(shipped: Mapping[str, Recorder], name: str) -> None:
    recorder = shipped[name]
    weights = {each.urn for kind in ("FileSystem", "PersistentVolumeClaim") for each in recorder.of(kind)}
    cluster = {each.urn for kind in ("Vpc", "Cluster", "Key") for each in recorder.of(kind)}
    assert {each.urn for each in recorder.registrations if each.protect} == weights | cluster
    assert len(weights) == 1 + len(configuration(name)["models"])
    assert len(cluster) == (3 if name == "dev" else 0)


@pytest.mark.parametrize(
    ("name", "groups"), [("dev", ["shared-id"]), ("prod", ["sg-0a1b2c3d4e5f60001"])], ids=["made", "given"]
)
def test_weights_are_encrypted_and_mounted_in_every_zone(
    shipped: Mapping[str, Recorder], name: str, groups: list[str]
) -> None:
    recorder = shipped[name]
    assert recorder.one("FileSystem").inputs["encrypted"] is True
    targets = {each.name: each.inputs for each in recorder.of("MountTarget")}
    assert targets.keys() == {"shared-us-west-2a", "shared-us-west-2b"}
    assert all(each["securityGroups"] == groups for each in targets.values())
    assert all(each["fileSystemId"] == "shared-id" for each in targets.values())


@pytest.mark.parametrize("name", STACKS)
def test_nothing_secret_is_in_clear(name: str) -> None:
    recorder = run_program(configuration(name) | {"hfToken": TOKEN}, secrets=["hfToken"])
    inputs = [each.inputs for each in recorder.registrations]
    assert recorder.one("kubernetes").inputs["kubeconfig"][SECRET[0]] == SECRET[1]
    assert TOKEN in str(plain(inputs))
    assert "get-token" in str(plain(inputs))
    for each in (*inputs, *recorder.outputs.values()):
        assert TOKEN not in public(each)
        assert "get-token" not in public(each)


@pytest.mark.parametrize("name", STACKS)
def test_the_order_of_models_changes_nothing_and_that_of_other_sections_no_name(
    shipped: Mapping[str, Recorder], name: str
) -> None:
    config = configuration(name)
    models = {"models": _reversed(config["models"])}
    others = {key: _reversed(value) if isinstance(value, dict) else value for key, value in config.items()}
    before, after, mixed = (
        {each.urn: each.inputs for each in resources(recorder)}
        for recorder in (shipped[name], run_program(config | models), run_program(others))
    )
    assert after == before
    assert mixed.keys() == before.keys()


def _reversed(section: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(section.items()))
