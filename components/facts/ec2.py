"""GPU instance types of EC2 and where they are offered; `python -m rehearsal.instance_data` renews the data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).with_name("ec2.json")


@dataclass(frozen=True, kw_only=True)
class InstanceFacts:
    """What an instance type has; the network's rate is the one that lasts, without bursts."""

    product: str
    """As the node label nvidia.com/gpu.product has it."""
    gpus: int
    gpu_memory_mib: int
    """Of one GPU."""
    vcpus: int
    memory_mib: int
    nvme_gb: int
    network_gbps: float
    efa_interfaces: int
    efa_card: int = 0
    """Network card of the first EFA; the others are on the cards after it."""


def instance_type(name: str) -> InstanceFacts | None:
    """Facts of an x86-64 instance type with whole NVIDIA GPUs; None where the data has no such type."""
    facts = _data()["types"].get(name)
    return facts and InstanceFacts(**facts)


def instance_types() -> tuple[str, ...]:
    """Every instance type that the data has."""
    return tuple(_data()["types"])


def regions() -> tuple[str, ...]:
    """Every region, those without data of their zones included."""
    return tuple(_data()["regions"])


def zones(region: str) -> tuple[str, ...]:
    """Availability zones of a region; empty where the data has none."""
    letters: str = _data()["regions"].get(region, {}).get("zones", "")
    return tuple(f"{region}{letter}" for letter in letters)


def offered(instance_type: str, zone: str) -> bool | None:
    """Whether a zone has the instance type; None where the data does not know type or zone.

    The letters of zones are those of the account that the data was taken from: another account's `us-east-1a` may be
    this one's `us-east-1c`.
    """
    region, letter = zone[:-1], zone[-1]
    if instance_type not in _data()["types"] or zone not in zones(region):
        return None
    return letter in _data()["regions"][region]["offers"].get(instance_type, "")


def zones_with(instance_type: str, region: str) -> tuple[str, ...]:
    """Zones of a region that have the instance type."""
    return tuple(zone for zone in zones(region) if offered(instance_type, zone))


@cache
def _data() -> dict[str, Any]:
    """Read when first asked: a stack without EKS pools never is."""
    data: dict[str, Any] = json.loads(DATA.read_text())
    return data
