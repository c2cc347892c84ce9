"""The facts of EC2 that ship, against moto's copy of AWS's own answers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from components.facts import ec2
from rehearsal import instance_data


def test_the_data_that_ships_is_all_that_moto_knows() -> None:
    shipped = json.loads(ec2.DATA.read_text())
    assert shipped == instance_data.current(), "renew it with: python -m rehearsal.instance_data"
    assert ec2.DATA.read_text() == instance_data.render(shipped)


def test_facts_are_those_of_the_data_sheets() -> None:
    """https://aws.amazon.com/ec2/instance-types/p5/ and /g6e/, read by a person."""
    assert ec2.instance_type("p5.48xlarge") == ec2.InstanceFacts(
        product="NVIDIA-H100-80GB-HBM3",
        gpus=8,
        gpu_memory_mib=80 * 1024,
        vcpus=192,
        memory_mib=2048 * 1024,
        nvme_gb=8 * 3800,
        network_gbps=3200,
        efa_interfaces=32,
    )
    g6e = ec2.instance_type("g6e.4xlarge")
    assert g6e is not None
    assert (g6e.product, g6e.gpus, g6e.vcpus, g6e.memory_mib, g6e.nvme_gb) == ("NVIDIA-L40S", 1, 16, 131072, 600)
    assert g6e.efa_interfaces == 0


@pytest.mark.parametrize(
    "name", ["m7i.large", "g5g.xlarge", "g6f.large", "gr6f.4xlarge", "g4ad.xlarge", "inf2.xlarge", "p9.metal"]
)
def test_types_without_a_whole_nvidia_gpu_on_x86_are_not_known(name: str) -> None:
    assert ec2.instance_type(name) is None


def test_every_family_with_nvidia_gpus_is_there() -> None:
    families = {name.split(".")[0] for name in ec2.instance_types()}
    assert {"g4dn", "g5", "g6", "g6e", "gr6", "g7", "g7e", "p3dn", "p4d", "p4de", "p5", "p5e", "p5en"} <= families
    assert {"p6-b200", "p6-b300"} <= families


def test_products_are_node_labels() -> None:
    products = {facts.product for name in ec2.instance_types() if (facts := ec2.instance_type(name))}
    assert {"Tesla-T4", "NVIDIA-A10G", "NVIDIA-L4", "NVIDIA-A100-SXM4-40GB", "NVIDIA-A100-SXM4-80GB"} <= products
    assert all(len(product) <= 63 and " " not in product for product in products)


@pytest.mark.parametrize(
    ("name", "interfaces", "card"),
    [("p4d.24xlarge", 4, 0), ("p5en.48xlarge", 16, 0), ("p6-b200.48xlarge", 8, 0), ("p6-b300.48xlarge", 16, 1)],
)
def test_fabric_adapters_are_on_cards_next_to_each_other(name: str, interfaces: int, card: int) -> None:
    facts = ec2.instance_type(name)
    assert facts is not None
    assert (facts.efa_interfaces, facts.efa_card) == (interfaces, card)


def test_zones_of_a_region_are_its_own() -> None:
    assert ec2.zones("us-west-2") == ("us-west-2a", "us-west-2b", "us-west-2c", "us-west-2d")
    assert ec2.zones("us-gov-west-1") == ()
    assert "us-gov-west-1" in ec2.regions()
    assert ec2.zones("nowhere-1") == ()


def test_what_is_not_known_is_neither_offered_nor_not() -> None:
    assert ec2.offered("g6e.2xlarge", "us-west-2a") is True
    assert ec2.offered("p5e.48xlarge", "us-west-2a") is False
    assert ec2.offered("p9.metal", "us-west-2a") is None
    assert ec2.offered("g6e.2xlarge", "us-gov-west-1a") is None
    assert ec2.zones_with("p5e.48xlarge", "us-west-2") == ("us-west-2c",)


def test_the_data_is_read_only_for_a_stack_that_needs_it() -> None:
    """In a process of its own: another test may have read it in this one."""
    program = """
from components.facts import ec2
from components.settings import parse
from tests.components.samples import AWS_ATTACHED, SMALLEST, raw
parse(raw(SMALLEST))
assert ec2._data.cache_info().currsize == 0
parse(raw(AWS_ATTACHED))
assert ec2._data.cache_info().currsize == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
