"""What an hour of an instance type costs on demand; `python -m rehearsal.price_data` renews the data.

US dollars without tax, Linux, shared tenancy. What is not the price of an instance stands below with its source:
EKS's pricing page, as of July 2026, the same in every region.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).with_name("prices.json")
CONTROL_PLANE: Final = 0.10
"""Dollars an hour of EKS's control plane, with a Kubernetes version in standard support."""


def hourly(instance_type: str, region: str) -> float | None:
    """Dollars an hour; None where the data has no such region, or not the type in it."""
    price: float | None = _data()["regions"].get(_listed(region), {}).get(instance_type)
    return price


def regions() -> tuple[str, ...]:
    """The regions that the data has prices of."""
    return tuple(sorted({*_data()["regions"], *_data()["same"]}))


def dated(region: str) -> str | None:
    """The day of which a region's prices are, such as 2026-07-06; None for a region without."""
    day: str | None = _data()["dated"].get(_listed(region))
    return day


def _listed(region: str) -> str:
    """The region under whose name the prices are."""
    name: str = _data()["same"].get(region, region)
    return name


@cache
def _data() -> dict[str, Any]:
    """Read when first asked."""
    data: dict[str, Any] = json.loads(DATA.read_text())
    return data
