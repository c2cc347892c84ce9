"""Pods on the nodes of a pool."""

from __future__ import annotations

import pytest

from components.gpu_node_pool import placement
from components.pod import toleration
from tests.components.samples import CUSTOM, settings


def test_a_pool_without_a_selector_is_found_by_its_name() -> None:
    assert placement("l4", settings().gpu_pools["l4"]).node_selector == {"inference/gpu-pool": "l4"}


def test_a_selector_of_the_user_wins() -> None:
    pool = settings(CUSTOM).gpu_pools["h100"]
    assert placement("h100", pool).node_selector == {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "example.com/rack": "7",
    }


@pytest.mark.parametrize(
    ("taint", "key", "value", "effect"),
    [
        ("nvidia.com/gpu=present:NoSchedule", "nvidia.com/gpu", "present", "NoSchedule"),
        ("example.com/reserved:NoExecute", "example.com/reserved", "", "NoExecute"),
        ("gpu=:PreferNoSchedule", "gpu", "", "PreferNoSchedule"),
    ],
)
def test_a_toleration_matches_exactly_its_taint(taint: str, key: str, value: str, effect: str) -> None:
    tolerated = toleration(taint)
    assert (tolerated.key, tolerated.operator, tolerated.value, tolerated.effect) == (key, "Equal", value, effect)
