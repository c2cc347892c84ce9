"""Whether every replica can mount the weights, those of a surge too."""

from __future__ import annotations

from typing import Any

import pytest

from claims.claim import Verdict
from claims.shares import claims
from tests.claims.one import ON_DEMAND, chat_with, claim_on, line
from tests.components.samples import AWS_ATTACHED, CUSTOM, SMALLEST, SOURCES, changed, settings


def on_a_disk(**chat: Any) -> dict[str, Any]:
    """A gp3 volume on nodes of 4 GPUs in one zone."""
    return chat_with(ON_DEMAND, **chat)


def test_a_file_system_is_for_any_number_of_nodes() -> None:
    claim = claim_on(claims, AWS_ATTACHED)
    assert (claim.verdict, claim.change, claim.proof) == (Verdict.PROVED, None, None)
    assert claim.sentence == "2 replicas read the same weights, the surge of a rollout included"
    assert claim.arithmetic == (
        "access: ReadWriteMany of efs, for any number of nodes",
        (
            "marker: revision 0e9e39f249a1 has a folder of its own, which is published when it is whole; each replica "
            "compares the sizes of its files before it loads"
        ),
    )


def test_a_disk_is_for_the_replicas_of_one_node_with_their_surge() -> None:
    claim = claim_on(claims, on_a_disk())
    assert claim.verdict is Verdict.PROVED
    assert line(claim, "access") == (
        "access: ReadWriteOnce of disks: (3 + 1 of surge) x 1 GPU = 4 <= 4 of the one node that mounts it"
    )


def test_a_surge_that_the_node_of_the_disk_has_no_room_for_is_refused() -> None:
    """The settings count one replica of surge: the second would wait for a node that cannot mount the volume."""
    claim = claim_on(claims, on_a_disk(rollout={"surge": 2}))
    assert (claim.verdict, claim.change) == (Verdict.REFUSED, "inference:models.chat.rollout.surge 1")
    assert line(claim, "access").endswith("(3 + 2 of surge) x 1 GPU = 5 > 4 of the one node that mounts it")


@pytest.mark.parametrize(
    ("config", "proof"),
    [
        (SMALLEST, "kubectl get storageclass names it"),
        (CUSTOM, "kubectl get storageclass efs names it"),
    ],
    ids=["the default class", "a class"],
)
def test_a_class_of_the_cluster_is_unproven(config: dict[str, Any], proof: str) -> None:
    claim = claim_on(claims, config)
    assert claim.verdict is Verdict.UNPROVEN
    assert claim.proof == f"a driver that mounts on many nodes, such as NFS, EFS or Lustre: {proof}"


def test_every_node_has_its_copy_on_an_instance_store() -> None:
    claim = claim_on(claims, ON_DEMAND, "models.draft")
    assert claim.verdict is Verdict.PROVED
    assert line(claim, "access").endswith("a copy on every node, on its instance store at /mnt/k8s-disks/0/models")


def test_the_check_of_the_settings_is_the_one_that_is_told() -> None:
    weights = {**AWS_ATTACHED["models"]["chat"]["weights"], "check": "checksums"}
    assert "compares the checksums" in line(claim_on(claims, chat_with(AWS_ATTACHED, weights=weights)), "marker")


def test_a_prefix_without_a_digest_is_told_as_what_it_is() -> None:
    assert "the prefix as it is when it is seeded" in line(claim_on(claims, SOURCES["s3"]), "marker")


def test_weights_in_the_image_are_on_no_volume() -> None:
    assert list(claims(settings(SOURCES["image"]))) == []


def test_replicas_that_may_come_are_counted_and_not_those_of_now() -> None:
    config = changed(AWS_ATTACHED, "models.chat.replicas", {"min": 1, "max": 1})
    assert claim_on(claims, config).sentence.startswith("2 replicas")
