"""Whether every replica, and the surge of a rollout, finds a node with room."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.claim import Verdict
from claims.schedules import claims
from components.packing import Amount, nodes_for, nodes_to_spread, spread_fits
from tests.claims.one import KNOWN, chat_with, claim_on, line, pool_with
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, SMALLEST, changed, settings

L4 = {"product": "NVIDIA-L4", "memoryGiB": 24}
ALLOCATABLE = {"cpu": "7500m", "memory": "28Gi"}


def existing(nodes: int, count: int = 1, **model: Any) -> dict[str, Any]:
    """A pool that is there, of which all is known."""
    pool = {"nodes": nodes, "gpu": {**L4, "count": count}, "allocatable": ALLOCATABLE}
    return chat_with(changed(SMALLEST, "gpuPools", {"l4": pool}), **model)


def of_four_gpus(nodes: int, **chat: Any) -> dict[str, Any]:
    """A model of 4 GPUs and one of 1 on nodes of 6."""
    config = changed(SMALLEST, "gpuPools", {"six": {"nodes": nodes, "gpu": {**L4, "count": 6}}})
    draft = {**config["models"]["chat"], "pool": "six"}
    return changed(config, "models", {"chat": {**draft, "gpus": 4, "sharedMemory": "4Gi", **chat}, "draft": draft})


def test_a_pool_of_which_all_is_known_is_proved_with_its_arithmetic() -> None:
    claim = claim_on(claims, KNOWN, "gpuPools.l40s")
    assert (claim.verdict, claim.change, claim.proof) == (Verdict.PROVED, None, None)
    assert claim.sentence == "1 replica and the surge of a rollout find 2 nodes"
    assert claim.arithmetic == (
        "GPUs: chat 1 x 1 + 1 x 1 of surge = 2, node by node 2 nodes of 1 GPU <= 2 nodes of the pool",
        (
            "a node of g6e.2xlarge: 8 CPUs - 0.09 (kubelet) - 0.26 (DaemonSets) = 7.65 CPUs; 64.0 GiB x 92.5% - "
            "1.5 GiB (kubelet, eviction) - 0.3 GiB (DaemonSets) = 57.4 GiB"
        ),
        "requests of a pod: chat 2 CPUs and 12.0 GiB: all fit on 2 nodes",
        "quota L-DB2E81BA (Running On-Demand G and VT instances): l40s 2 x 8 = 16 vCPUs <= 16",
    )


def test_a_rollout_without_a_spare_gpu_is_refused_on_a_pool_that_is_there_as_well() -> None:
    claim = claim_on(claims, existing(1), "gpuPools.l4")
    assert (claim.verdict, claim.change) == (Verdict.REFUSED, "inference:gpuPools.l4.nodes 2")
    assert line(claim, "GPUs").endswith("= 2, node by node 2 nodes of 1 GPU > 1 node of the pool")
    assert claim_on(claims, existing(2), "gpuPools.l4").verdict is Verdict.PROVED


def test_what_is_left_on_two_nodes_is_not_one_node() -> None:
    """3 x 4 of 12 GPUs: on each of two nodes 2 are left, and none for the third."""
    assert claim_on(claims, of_four_gpus(2), "gpuPools.six").change is None
    refused = claim_on(claims, of_four_gpus(2, replicas={"min": 2, "max": 2}), "gpuPools.six")
    assert (refused.verdict, refused.change) == (Verdict.REFUSED, "inference:gpuPools.six.nodes 3")
    assert "chat 2 x 4 + 1 x 4 of surge + draft 1 x 1 = 13, node by node 3 nodes of 6 GPUs > 2" in line(refused, "GPUs")


def of_eight_gpus(nodes: int, /, small: int = 4, requests: dict[str, str] | None = None, **pool: Any) -> dict[str, Any]:
    """Two replicas of 4 GPUs and some of 1, on nodes of 8 GPUs."""
    whole = {"nodes": nodes, "gpu": {**L4, "count": 8}, "allocatable": {"cpu": "200", "memory": "2000Gi"}, **pool}
    config = changed(SMALLEST, "gpuPools", {"eight": whole})
    draft = {**config["models"]["chat"], "pool": "eight", "replicas": {"min": small, "max": small}}
    if requests:
        draft["resources"] = {"requests": requests, "limits": requests}
    chat = {**draft, "gpus": 4, "sharedMemory": "4Gi", "replicas": {"min": 2, "max": 2}}
    return changed(config, "models", {"chat": chat, "small": draft})


def test_what_fits_only_if_the_scheduler_packs_is_unproven() -> None:
    """Spread, 2 x 4 and 4 x 1 leave 2 + 2 GPUs of 16, and the surge of 4 pends for good."""
    claim = claim_on(claims, of_eight_gpus(2), "gpuPools.eight")
    assert (claim.verdict, claim.proof) == (Verdict.UNPROVEN, "inference:gpuPools.eight.nodes 3")
    assert line(claim, "GPUs").endswith("= 16, node by node 2 nodes of 8 GPUs <= 2 nodes of the pool")
    assert line(claim, "spread") == (
        "spread over 2 nodes, as they ask to be, replicas may leave room in pieces, none of which holds one more: "
        "all have room for sure on 3"
    )
    assert claim_on(claims, of_eight_gpus(3), "gpuPools.eight").verdict is Verdict.PROVED
    refused = claim_on(claims, of_eight_gpus(1), "gpuPools.eight")
    assert refused.verdict is Verdict.REFUSED
    assert not [each for each in refused.arithmetic if each.startswith("spread")]


def test_memory_in_pieces_is_unproven_as_well() -> None:
    """Of 100 GiB a node, 2 x 46 and 2 x 15 leave 39 + 39 when spread; packed, one node has room for the surge of 46."""
    config = of_eight_gpus(2, small=2, requests={"memory": "15Gi"}, allocatable={"cpu": "200", "memory": "100Gi"})
    own = {"requests": {"memory": "46Gi"}, "limits": {"memory": "46Gi"}}
    config = changed(config, "models.chat", {**config["models"]["chat"], "gpus": 1, "resources": own})
    claim = claim_on(claims, config, "gpuPools.eight")
    assert (claim.verdict, claim.proof) == (Verdict.UNPROVEN, "inference:gpuPools.eight.nodes 3")


def test_the_largest_surge_alone_is_counted() -> None:
    """Rollouts of two models at once wait for each other's spare GPU."""
    claim = claim_on(claims, of_four_gpus(2), "gpuPools.six")
    assert "chat 1 x 4 + 1 x 4 of surge + draft 1 x 1 = 9" in line(claim, "GPUs")


def test_time_slices_are_gpus() -> None:
    assert claim_on(claims, changed(existing(1), "devicePlugin", {"timeSlicing": 2}), "gpuPools.l4").change is None


def test_requests_that_their_gpus_have_room_for_and_the_node_has_not_are_refused() -> None:
    config = existing(1, count=4, replicas={"min": 2, "max": 2})
    claim = claim_on(claims, config, "gpuPools.l4")
    assert claim.verdict is Verdict.REFUSED
    assert line(claim, "requests") == (
        "requests of a pod: chat 2 CPUs and 12.0 GiB: they take 2 nodes where their GPUs take 1: 2 > 1"
    )
    assert claim.change == (
        "inference:models.chat.resources.requests.memory 6Gi and inference:models.chat.resources.requests.cpu 1.8 "
        "(4 replicas a node) or inference:gpuPools.l4.nodes 2"
    )


def test_a_pod_that_no_node_holds_is_refused_with_what_a_node_has() -> None:
    requests = {"requests": {"cpu": "8"}, "limits": {"cpu": "8"}}
    claim = claim_on(claims, existing(2, resources=requests), "gpuPools.l4")
    assert (claim.verdict, claim.change) == (
        Verdict.REFUSED,
        "inference:models.chat.resources.requests.cpu 7.4 (1 replica a node)",
    )
    assert line(claim, "requests").endswith("more than an empty node has")


def test_what_nobody_has_told_is_unproven_and_says_what_would_prove_it() -> None:
    claim = claim_on(claims, SMALLEST, "gpuPools.l4")
    assert claim.verdict is Verdict.UNPROVEN
    assert claim.proof == (
        "inference:gpuPools.l4.allocatable {cpu: N, memory: N}, with what kubectl describe node says under Allocatable"
    )
    claim = claim_on(claims, AWS_ATTACHED, "gpuPools.l40s")
    assert claim.verdict is Verdict.UNPROVEN
    assert claim.proof == (
        "inference:gpuPools.l40s.quotaVcpus N, with N of: aws service-quotas get-service-quota --service-code ec2 "
        "--quota-code L-DB2E81BA --region us-west-2 --query Quota.Value"
    )


def test_a_pool_beyond_the_quota_is_refused() -> None:
    claim = claim_on(claims, pool_with(AWS_ATTACHED, "l40s", max=3, quotaVcpus=23), "gpuPools.l40s")
    assert claim.verdict is Verdict.REFUSED
    assert line(claim, "quota").endswith("l40s 3 x 8 = 24 vCPUs > 23")
    assert claim.change == (
        "inference:gpuPools.l40s.max 2, or a quota of 24 vCPUs (aws service-quotas request-service-quota-increase)"
    )


def test_cpus_that_are_advised_fit() -> None:
    """7.81 CPUs / 4 = 1.953, which is no 2.0."""
    config = existing(1, count=4, replicas={"min": 3, "max": 3}, resources={"requests": {"cpu": "2", "memory": "4Gi"}})
    config = pool_with(config, "l4", allocatable={"cpu": "7.9", "memory": "280Gi"})
    claim = claim_on(claims, config, "gpuPools.l4")
    assert claim.change is not None
    assert claim.change.startswith("inference:models.chat.resources.requests.cpu 1.9 (4 replicas a node)")
    followed = changed(config, "models.chat.resources.requests.cpu", "1.9")
    assert claim_on(claims, followed, "gpuPools.l4").verdict is Verdict.PROVED


@pytest.mark.parametrize(("least", "replicas"), [(3, 1), (0, 2)])
def test_a_maximum_below_the_minimum_or_below_what_replicas_need_is_no_advice(least: int, replicas: int) -> None:
    config = chat_with(AWS_ATTACHED, replicas={"min": replicas, "max": replicas})
    claim = claim_on(claims, pool_with(config, "l40s", min=least, max=4, quotaVcpus=16), "gpuPools.l40s")
    assert claim.change == "a quota of 32 vCPUs (aws service-quotas request-service-quota-increase)"


def test_pools_under_the_same_quota_share_it() -> None:
    other = {**KNOWN["gpuPools"]["l40s"], "instanceType": "g6.2xlarge", "quotaVcpus": 31}
    config = changed(pool_with(KNOWN, "l40s", quotaVcpus=32), "gpuPools.l4", other)
    config = changed(config, "models.draft", {**config["models"]["chat"], "pool": "l4"})
    assert claim_on(claims, config, "gpuPools.l40s").verdict is Verdict.PROVED
    refused = claim_on(claims, config, "gpuPools.l4")
    assert line(refused, "quota").endswith("l40s 2 x 8 + l4 2 x 8 = 32 vCPUs > 31")
    spot = changed(config, "gpuPools.l40s.capacity", "SPOT")
    assert claim_on(claims, spot, "gpuPools.l4").verdict is Verdict.PROVED


def test_a_block_that_is_bought_takes_nothing_of_the_quota_beside_it() -> None:
    config = changed(AWS_CREATED, "gpuPools.p4", {"instanceType": "p4d.24xlarge", "max": 1, "zones": ["us-east-2b"]})
    config = changed(config, "models.draft", {**config["models"]["summary"], "pool": "p4"})
    assert ": p4 1 x 96 = 96 vCPUs" in line(claim_on(claims, config, "gpuPools.p4"), "quota")


@pytest.mark.parametrize(
    ("kind", "capacity", "code"),
    [
        ("g6e.2xlarge", "ON_DEMAND", "L-DB2E81BA"),
        ("g6e.2xlarge", "SPOT", "L-3819A6DF"),
        ("p4d.24xlarge", "ON_DEMAND", "L-417A185B"),
        ("p4d.24xlarge", "SPOT", "L-7212CCBC"),
        ("p5.48xlarge", "SPOT", "L-C4BD4855"),
    ],
)
def test_each_family_and_purchase_option_has_its_quota(kind: str, capacity: str, code: str) -> None:
    config = pool_with(AWS_ATTACHED, "l40s", instanceType=kind, capacity=capacity)
    assert f"quota {code} " in line(claim_on(claims, config, "gpuPools.l40s"), "quota")


def test_the_largest_of_the_alternatives_counts() -> None:
    config = pool_with(AWS_ATTACHED, "l40s", alternatives=["g6e.4xlarge"], quotaVcpus=16)
    assert "l40s 2 x 16 = 32 vCPUs > 16" in line(claim_on(claims, config, "gpuPools.l40s"), "quota")


def test_a_capacity_block_has_no_quota_and_its_file_system_is_in_its_zone() -> None:
    claim = claim_on(claims, AWS_CREATED, "gpuPools.h100")
    assert claim.verdict is Verdict.PROVED
    assert line(claim, "quota") == "quota: none on vCPUs, the capacity is bought (cr-0a1b2c3d4e5f60001)"
    assert line(claim, "zone") == "zone of the volume of expert: us-east-2b, as that of the pool"


def test_a_file_system_in_another_zone_than_the_pool_is_unproven() -> None:
    config = changed(AWS_CREATED, "storage.lustre.zone", "us-east-2c")
    claim = claim_on(claims, config, "gpuPools.h100")
    assert (claim.verdict, claim.proof) == (Verdict.UNPROVEN, "inference:gpuPools.h100.zones [us-east-2c]")


def test_a_pool_without_models_claims_nothing() -> None:
    config = changed(SMALLEST, "gpuPools.spare", {"nodes": 1, "gpu": L4})
    assert [each.subject for each in claims(settings(config))] == ["gpuPools.l4"]


@given(pods=st.lists(st.integers(1, 8), max_size=20), memory=st.integers(1, 4))
def test_packing_is_within_its_bounds_and_no_node_is_overfull(pods: list[int], memory: int) -> None:
    """Never fewer nodes than the sum takes, never more than one a pod; all resources bind."""
    node = Amount(gpus=8, memory=8, cpus=8)
    amounts = [Amount(gpus=each, memory=memory) for each in pods]
    needed = nodes_for(amounts, node)
    assert needed is not None
    least = max(-(-sum(pods) // 8), -(-memory * len(pods) // 8))
    assert least <= needed <= len(pods)
    assert nodes_for([*amounts, Amount(gpus=1, memory=9)], node) is None


@given(pods=st.lists(st.integers(1, 8), max_size=12), surge=st.lists(st.integers(1, 8), max_size=3))
def test_what_is_spread_takes_no_fewer_nodes_than_its_sum_and_no_more_than_one_a_pod(
    pods: list[int], surge: list[int]
) -> None:
    node = Amount(gpus=8)
    running, more = [Amount(gpus=each) for each in pods], [Amount(gpus=each) for each in surge]
    needed = nodes_to_spread(running, more, node=node, least=1)
    assert needed is not None
    assert -(-sum([*pods, *surge]) // 8) <= needed <= max(1, len(pods) + len(surge))
    assert spread_fits(running, more, node=node, nodes=needed)
    assert needed == 1 or not spread_fits(running, more, node=node, nodes=needed - 1)
    assert nodes_to_spread([*running, Amount(gpus=9)], more, node=node, least=1) is None


def test_smaller_replicas_that_came_first_take_the_whole_node_of_a_larger_one() -> None:
    large, small = Amount(gpus=8), Amount(gpus=1)
    assert not spread_fits([large, large, small, small], [], node=large, nodes=3)
    assert spread_fits([large, large, small, small], [], node=large, nodes=4)
