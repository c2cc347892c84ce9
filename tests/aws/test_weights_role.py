"""The role by which a seeder reads its prefix of a bucket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.aws.weights_role import read_prefix
from tests.aws.stored import named, stored
from tests.components.program import Recorder, plain
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, changed

pytestmark = pytest.mark.filterwarnings("ignore:aws.ec2/:DeprecationWarning")
BUCKET = changed(AWS_ATTACHED, "models.chat.source", "s3://example-weights/llm/chat/v1")
ON_NODES = changed(AWS_CREATED, "models.draft.source", "s3://example-weights/llm/draft")


@pytest.fixture(scope="module")
def shared() -> Recorder:
    return stored(BUCKET)


def seeding(recorder: Recorder) -> dict[str, Any]:
    found: dict[str, Any] = plain(named(recorder, "Job", "chat-seed-").inputs)["spec"]["template"]["spec"]
    return found


def test_it_reads_and_lists_the_prefix_and_nothing_beside_it() -> None:
    statements = read_prefix("example-weights/llm/chat", "us-west-2")["Statement"]
    assert statements == [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": "arn:aws:s3:::example-weights",
            "Condition": {"StringLike": {"s3:prefix": "llm/chat/*"}},
        },
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::example-weights/llm/chat/*"},
    ]
    assert "arn:aws-cn:s3:::example-weights" in str(read_prefix("example-weights/llm", "cn-north-1"))


def test_the_seeding_job_alone_has_it(shared: Recorder) -> None:
    account = named(shared, "ServiceAccount", "chat-weights")
    association = shared.one("PodIdentityAssociation")
    asked = plain(association.inputs)
    assert asked["serviceAccount"] == account.name == seeding(shared)["serviceAccountName"] == "chat-weights"
    assert (asked["clusterName"], asked["namespace"]) == ("lab", "inference")
    assert asked["roleArn"].endswith(":chat-weights")
    trust = trusted(shared)
    assert trust["Statement"][0]["Condition"]["StringEquals"] == {
        "aws:RequestTag/eks-cluster-name": "lab",
        "aws:RequestTag/kubernetes-namespace": "inference",
        "aws:RequestTag/kubernetes-service-account": "chat-weights",
    }
    engine = plain(shared.one("Deployment").inputs)["spec"]["template"]["spec"]
    assert engine["serviceAccountName"] == "chat"
    assert seeding(shared)["automountServiceAccountToken"] is False


def trusted(recorder: Recorder) -> dict[str, Any]:
    (role,) = recorder.of("iam/role:Role")
    found: dict[str, Any] = json.loads(role.inputs["assumeRolePolicy"])
    return found


def test_the_job_waits_for_role_and_policy(shared: Recorder) -> None:
    needed = {shared.one("PodIdentityAssociation").urn, shared.one("RolePolicy").urn}
    assert needed <= set(named(shared, "Job", "chat-seed-").depends_on)


def test_the_seeder_knows_the_region_and_where_its_credentials_come_from(shared: Recorder) -> None:
    (container,) = seeding(shared)["containers"]
    # botocore does not read AWS_REGION.
    assert {"name": "AWS_DEFAULT_REGION", "value": "us-east-2"} in container["env"]
    rules = plain(named(shared, "NetworkPolicy", "seeding-").inputs)["spec"]["egress"]
    assert rules[-1] == {
        "to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}],
        "ports": [{"port": 80, "protocol": "TCP"}],
    }


def test_a_bucket_may_be_in_another_region_than_the_stack() -> None:
    (container,) = seeding(stored(changed(BUCKET, "models.chat.weights.region", "eu-west-1")))["containers"]
    regions = [each["value"] for each in container["env"] if "REGION" in each["name"]]
    assert regions == ["eu-west-1"]


@pytest.mark.parametrize("key", ["credentials", "serviceAccount"])
def test_who_signs_in_otherwise_gets_no_role(key: str) -> None:
    recorder = stored(changed(BUCKET, f"models.chat.weights.{key}", "bucket-reader"))
    assert recorder.of("PodIdentityAssociation") + recorder.of("RolePolicy") == []
    assert {each.name for each in recorder.of("ServiceAccount")} == {"chat", "weight-cleaner"}


def test_weights_of_the_hub_need_no_role() -> None:
    assert stored(AWS_ATTACHED).of("PodIdentityAssociation") == []


def test_replicas_that_seed_have_the_role_and_their_engine_no_credentials() -> None:
    recorder = stored(ON_NODES)
    asked = plain(recorder.one("PodIdentityAssociation").inputs)
    deployment = named(recorder, "Deployment", "draft")
    template = plain(deployment.inputs)["spec"]["template"]
    assert asked["serviceAccount"] == template["spec"]["serviceAccountName"] == "draft"
    assert template["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"] == "engine"
    assert recorder.one("PodIdentityAssociation").urn in deployment.depends_on


def test_replicas_that_seed_run_as_the_users_account_where_there_is_one() -> None:
    recorder = stored(changed(ON_NODES, "models.draft.weights.serviceAccount", "bucket-reader"))
    template = plain(named(recorder, "Deployment", "draft").inputs)["spec"]["template"]
    assert template["spec"]["serviceAccountName"] == "bucket-reader"
    assert "draft" not in {each.name for each in recorder.of("ServiceAccount")}
    (subject,) = plain(named(recorder, "RoleBinding", "draft-weights").inputs)["subjects"]
    assert subject["name"] == "bucket-reader"
    assert template["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"] == "engine"


def test_the_longest_name_still_makes_a_role() -> None:
    """IAM: at most 64 characters, of which Pulumi adds a hyphen and seven digits."""
    longest = "m" * 40
    assert len(f"{longest}-weights") + 8 <= 64
