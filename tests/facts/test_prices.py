"""The price list: as Karpenter's source has it, with the day of each region, and of types that a stack may have."""

from __future__ import annotations

import json
from pathlib import Path

from components.facts import ec2, prices
from rehearsal import price_data

SOURCE = """package pricing

// generated at {day}T14:20:29Z for us-east-1

var Prices = map[string]map[ec2types.InstanceType]float64{{
\t// {region}
\t"{region}": {{
\t\t// g6e family
\t\t"g6e.2xlarge": 2.242080, "g6e.4xlarge": 3.004240,
\t\t"m7i.large": 0.100800, "x1.32xlarge": 13.338000,
\t}},
}}
"""


def test_the_list_is_read_by_region_with_its_day(tmp_path: Path) -> None:
    for name, region, day in zip(
        price_data.FILES, ("us-east-1", "us-gov-west-1"), ("2026-07-06", "2026-06-15"), strict=True
    ):
        (tmp_path / name).write_text(SOURCE.format(region=region, day=day))
    found = price_data.current(tmp_path)
    assert found["dated"] == {"us-east-1": "2026-07-06", "us-gov-west-1": "2026-06-15"}
    assert found["regions"]["us-east-1"] == {"g6e.2xlarge": 2.24208, "g6e.4xlarge": 3.00424, "m7i.large": 0.1008}
    assert json.loads(price_data.render(found)) == found


def test_what_ships_has_the_form_that_renewing_gives_it() -> None:
    text = prices.DATA.read_text()
    assert price_data.render(json.loads(text)) == text


def test_most_gpu_types_have_a_price_where_they_are_offered() -> None:
    unknown = {name for name in ec2.instance_types() if prices.hourly(name, "us-east-1") is None}
    # In the list of July 2026 G7 was not yet, and P5e is sold in blocks only.
    assert {name.partition(".")[0] for name in unknown} <= {"g7", "p5e"}


def test_a_larger_machine_of_a_family_costs_more() -> None:
    sizes = ("g6e.xlarge", "g6e.2xlarge", "g6e.4xlarge", "g6e.8xlarge", "g6e.16xlarge")
    found = [prices.hourly(name, "us-west-2") or 0 for name in sizes]
    assert found == sorted(found)
    assert found[0] > 1
