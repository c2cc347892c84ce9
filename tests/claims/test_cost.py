"""What a stack costs, at least and at most, and what nobody knows of it."""

from __future__ import annotations

from typing import Any

import pytest

from claims.bill import bill, delta
from claims.cost import Cost, cost
from components.facts import prices
from components.settings import Settings, SettingsError
from rehearsal import stack
from tests.components.samples import SMALLEST, changed, settings

G6E_4XLARGE = 3.00424
P5_48XLARGE = 55.04
EKS: dict[str, Any] = {
    "aws:region": "us-west-2",
    "cluster": {"provider": "aws", "name": "prod", "subnets": {"us-west-2a": "subnet-0a1b2c3d4e5f60001"}},
    "images": {"weightSeeder": "registry.example.com/weight-seeder:0.1"},
    "storage": {"shared": {"kind": "efs", "securityGroups": ["sg-0a1b2c3d4e5f60001"]}},
    "gpuPools": {"l40s": {"instanceType": "g6e.4xlarge", "min": 0, "max": 5, "zones": ["us-west-2a"]}},
    "models": {
        "chat": {
            "source": f"hf://meta-llama/Llama-3.1-8B-Instruct@{'0' * 40}",
            "pool": "l40s",
            "contextLength": 8192,
            "replicas": {"min": 2, "max": 2},
            "weights": {"storage": "shared", "size": "20Gi"},
        }
    },
}


def of(path: str = "", value: Any = None) -> Cost:
    return cost(settings(changed(EKS, path, value=value) if path else EKS))


def test_a_pool_costs_at_least_what_its_models_need_and_at_most_all_its_nodes() -> None:
    found = of()
    (line,) = found.lines
    assert (line.key, line.what, line.least, line.most) == ("gpuPools.l40s", "g6e.4xlarge", 2, 5)
    assert line.price == G6E_4XLARGE
    assert found.least == pytest.approx(2 * G6E_4XLARGE)
    assert found.most == pytest.approx(5 * G6E_4XLARGE)
    assert found.unknown == ()


def test_nodes_that_a_pool_keeps_cost_whether_or_not_they_are_needed() -> None:
    assert of("gpuPools.l40s.min", 4).least == pytest.approx(4 * G6E_4XLARGE)


def test_replicas_share_a_node_as_the_scheduler_would_have_it() -> None:
    found = of("gpuPools.l40s.instanceType", "g6e.48xlarge")
    assert found.lines[0].least == 1


def test_replicas_that_a_nodes_cpus_are_too_few_for_take_another_node() -> None:
    """2 x 20 of 48 CPUs: with 4 GPUs a node, and 4 replicas of one, 2 nodes."""
    tree = changed(EKS, "gpuPools.l40s.instanceType", value="g6e.12xlarge")
    tree = changed(tree, "models.chat.replicas", value={"min": 4, "max": 4})
    assert cost(settings(tree)).lines[0].least == 1
    resources = {"requests": {"cpu": "20"}, "limits": {"cpu": "20"}}
    assert cost(settings(changed(tree, "models.chat.resources", value=resources))).lines[0].least == 2


def test_the_fee_of_auto_mode_is_named_where_it_is_paid() -> None:
    fee = "the fee of EKS Auto Mode on every instance that it starts"
    pool = {"instanceType": "g6e.4xlarge", "max": 5, "zones": ["us-west-2a"], "autoscaler": "karpenter"}
    tree = changed(changed(EKS, "cluster.autoMode", value=True), "gpuPools.l40s", value=pool)
    assert fee in cost(settings(tree)).left_out
    assert fee not in of().left_out


def test_a_cluster_of_the_programs_own_costs_its_control_plane_and_system_nodes_too() -> None:
    found = cost(stack.read("dev"))
    assert {line.key: (line.least, line.most, line.price) for line in found.lines} == {
        "gpuPools.l40s": (1, 3, 2.24208),
        "cluster.create.system": (2, 4, 0.1008),
        "cluster": (1, 1, prices.CONTROL_PLANE),
    }
    assert found.least == pytest.approx(2.24208 + 2 * 0.1008 + 0.1)
    assert "NAT gateways (one)" in found.left_out


def test_prod_costs_its_two_pools_and_says_what_is_left_out() -> None:
    found = cost(stack.read("prod"))
    assert found.most == pytest.approx(11 * G6E_4XLARGE + 2 * P5_48XLARGE)
    assert {"control plane and other nodes of cluster prod", "storage shared"} <= {*found.left_out}


def test_a_pools_own_price_goes_before_that_of_its_type_and_both_before_the_price_list() -> None:
    assert of("prices", {"instanceTypes": {"g6e.4xlarge": 2}}).lines[0].price == 2
    assert of("prices", {"instanceTypes": {"g6e.4xlarge": 2}, "pools": {"l40s": 1.5}}).lines[0].price == 1.5


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("aws:region", "eu-south-2", "no price of g6e.4xlarge in eu-south-2 is known"),
        ("gpuPools.l40s.instanceType", "g7.2xlarge", "no price of g7.2xlarge in us-west-2 is known"),
    ],
)
def test_what_has_no_price_is_told_and_never_counted_as_nothing(path: str, value: Any, why: str) -> None:
    tree = {**EKS, path: value} if ":" in path else changed(EKS, path, value=value)
    tree = changed(tree, "gpuPools.l40s.checkOffering", value=False)
    if path == "aws:region":
        tree = changed(tree, "gpuPools.l40s.zones", value=["eu-south-2a"])
        tree = changed(tree, "cluster.subnets", value={"eu-south-2a": "subnet-0a1b2c3d4e5f60001"})
    found = cost(settings(tree))
    (line,) = found.unknown
    assert (line.price, found.least, found.most) == (None, 0, 0)
    assert line.source == f"set inference:prices.pools.l40s: {why}"
    assert bill(found, None).summary.endswith("and what has no price")


def test_nodes_that_are_there_have_the_price_that_the_settings_give() -> None:
    here = cost(settings(SMALLEST))
    assert [line.price for line in here.lines] == [None]
    priced = cost(settings(changed(SMALLEST, "prices", value={"pools": {"l4": 0.8}})))
    assert priced.most == pytest.approx(1001 * 0.8)
    assert priced.least == priced.most


def test_a_capacity_block_is_paid_ahead_and_has_no_hourly_price() -> None:
    pool = {
        "instanceType": "p5.48xlarge",
        "max": 1,
        "zones": ["us-west-2a"],
        "capacity": "CAPACITY_BLOCK",
        "reservation": "cr-0123456789abcdef0",
        "checkOffering": False,
    }
    tree = changed(changed(EKS, "gpuPools.l40s", value=pool), "models.chat.replicas", value={"min": 1, "max": 1})
    assert "a capacity block is paid ahead" in cost(settings(tree)).lines[0].source


def test_system_nodes_without_a_price_are_named_with_the_key_that_gives_one() -> None:
    types = {"zones": ["us-west-2a", "us-west-2b"], "system": {"instanceTypes": ["x9z.large"]}}
    tree = changed(
        changed(EKS, "cluster", value={"provider": "aws", "name": "own", "create": types}),
        "storage",
        value={"shared": {"kind": "efs"}},
    )
    (line,) = cost(settings(tree)).unknown
    assert line.key == "cluster.create.system"
    assert line.source == "no price of x9z.large in us-west-2 is known; set inference:prices.instanceTypes"


def test_of_several_types_the_dearest_counts() -> None:
    assert of("gpuPools.l40s.alternatives", ["g6e.8xlarge", "g6e.2xlarge"]).lines[0].price == 4.52856


def test_a_million_tokens_cost_a_replicas_share_of_its_node() -> None:
    tree = changed(EKS, "models.chat.tokensPerSecond", value=1200)
    (tokens,) = cost(settings(tree)).tokens
    assert tokens.dollars == pytest.approx(G6E_4XLARGE / (1200 * 3600) * 1e6)
    shared = changed(changed(tree, "gpuPools.l40s.instanceType", value="g6e.48xlarge"), "models.chat.gpus", value=4)
    memory = {"requests": {"memory": "64Gi"}, "limits": {"memory": "64Gi"}}
    (half,) = cost(settings(changed(shared, "models.chat.resources", value=memory))).tokens
    assert half.dollars == pytest.approx(30.13118 / 2 / (1200 * 3600) * 1e6)
    assert "x 4/8 GPUs" in half.arithmetic


def test_tokens_without_a_throughput_or_a_price_say_what_is_missing() -> None:
    (unstated,) = of().tokens
    assert (unstated.dollars, unstated.arithmetic[:42]) == (None, "set inference:models.chat.tokensPerSecond ")
    (unpriced,) = cost(settings(changed(SMALLEST, "models.chat.tokensPerSecond", value=10))).tokens
    assert (unpriced.dollars, unpriced.arithmetic) == (None, "a node of pool l4 has no price")


def test_a_change_is_told_as_what_more_or_less_it_costs() -> None:
    before, after = of(), of("gpuPools.l40s.max", 6)
    told = bill(after, before)
    assert told.summary == "$6.01 to $18.03 (no change to +$3.00)"
    assert [row.name for row in told.rows] == ["before", "with this change", "**change**"]
    assert (delta(-3), delta(0.001), delta(1234.5)) == ("-$3.00", "no change", "+$1,234.50")


def test_a_price_is_of_a_pool_that_there_is() -> None:
    with pytest.raises(
        SettingsError, match=r"inference:prices\.pools\.l4: is the price of no GPU pool; allowed: .*l40s"
    ):
        of("prices", {"pools": {"l4": 1}})
    with pytest.raises(SettingsError, match=r"instanceTypes.*is not a valid name; allowed: an EC2 instance type"):
        of("prices", {"instanceTypes": {"large": 1}})


def test_every_region_with_prices_has_those_of_most_types_and_a_date() -> None:
    assert {"us-east-1", "us-east-2", "us-west-2"} <= {*prices.regions()}
    for region in prices.regions():
        day = prices.dated(region)
        assert day is not None
        assert day >= "2026"
    assert prices.hourly("p5.48xlarge", "us-east-1") == prices.hourly("p5.48xlarge", "us-west-2") == P5_48XLARGE
    assert prices.hourly("p5.48xlarge", "mars-north-1") is None
    assert prices.dated("mars-north-1") is None


def test_settings_are_checked() -> None:
    assert isinstance(settings(changed(SMALLEST, "models.chat.tokensPerSecond", value=1)), Settings)
    with pytest.raises(SettingsError, match="tokensPerSecond: 0 is less than 1"):
        settings(changed(SMALLEST, "models.chat.tokensPerSecond", value=0))
