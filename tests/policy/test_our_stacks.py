"""What the program itself asks for, under every policy: the stacks that ship and all samples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from rehearsal import stack
from rehearsal.policy import PACK
from tests.components.program import Registration, run_program
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, CUSTOM, SMALLEST, SOURCES, changed
from tests.policy.analyzer import Analyzer, Asked

TAGGED: dict[str, dict[str, Any]] = {"images-by-digest": {"tagged": ["registry.example.com/", "nvcr.io/nvidia/"]}}
"""Samples name images by tags."""
LEVELS: dict[str, dict[str, Any]] = {"namespaces-restricted": {"levels": {"gpu-system": "privileged"}}}
LOST: dict[str, dict[str, Any]] = {"weights-protected": {"exempt": ["shared", "chat-weights-efs"]}}
"""What the samples say need not be protected."""
TAINTS: dict[str, dict[str, Any]] = {"gpu-workloads-placed": {"taints": ["nvidia.com/gpu", "example.com/reserved"]}}
"""A pool of one sample has a taint of its own."""
DOORS: dict[str, dict[str, Any]] = {
    "nginx": {"kind": "ingress", "className": "nginx", "controller": "nginx"},
    "traefik": {"kind": "ingress", "className": "traefik", "controller": "traefik"},
    "internet's alb": {
        "kind": "ingress",
        "className": "alb",
        "controller": "alb",
        "annotations": {"alb.ingress.kubernetes.io/scheme": "internet-facing"},
    },
    "gateway": {"kind": "gateway", "className": "traefik"},
    "somebody's gateway": {"kind": "gateway", "name": "shared", "namespace": "gateway"},
}
SEVERAL_NODES = changed(changed(SMALLEST, "models.chat.nodesPerReplica", 2), "models.chat.weights.size", "20Gi")


def exceptions_of(name: str) -> dict[str, Any]:
    """The pack's configuration for a stack."""
    path = PACK / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def asked(registrations: list[Registration]) -> list[Asked]:
    """What the program asked for, without components."""
    return [
        Asked(
            type=each.type,
            name=each.name,
            inputs=each.inputs,
            protect=each.protect,
            ignored=tuple(each.ignore_changes),
        )
        for each in registrations
        if not each.type.startswith(("inference:", "pulumi:"))
    ]


@pytest.mark.parametrize("name", ["local", "dev", "prod"])
def test_a_stack_that_ships_breaks_no_policy(name: str) -> None:
    exceptions = exceptions_of(name)
    resources = asked(run_program(stack.configuration(name)).registrations)
    assert len(resources) > 15
    assert Analyzer(exceptions).problems(resources) == []


@pytest.mark.parametrize("name", ["local", "dev", "prod"])
def test_a_stack_needs_every_exception_that_it_has(name: str) -> None:
    exceptions = exceptions_of(name)
    resources = asked(run_program(stack.configuration(name)).registrations)
    assert {policy for policy, _ in Analyzer().problems(resources)} == set(exceptions)


@pytest.mark.parametrize(
    "config",
    [SMALLEST, CUSTOM, AWS_ATTACHED, AWS_CREATED, SEVERAL_NODES, *SOURCES.values()],
    ids=["smallest", "custom", "attached", "created", "several nodes", *SOURCES],
)
def test_no_sample_breaks_a_policy_beyond_what_it_asks_for(config: Mapping[str, Any]) -> None:
    resources = asked(run_program(config).registrations)
    assert Analyzer(TAGGED | LEVELS | LOST | TAINTS).problems(resources) == []


def behind(door: dict[str, Any], **more: Any) -> list[Asked]:
    """What the program asks for with a front door."""
    with_door = changed(SMALLEST, "gateway", {"host": "llm.example.com", **door})
    config = changed(with_door, "networkPolicy", {"gatewayNamespace": "gateway"}) | more
    return asked(run_program(config, secrets=list(more)).registrations)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_our_front_door_needs_our_keys(door: dict[str, Any]) -> None:
    analyzer = Analyzer(TAGGED | LEVELS | LOST)
    ((policy, message),) = analyzer.problems(behind(door))
    assert policy == "public-doors-keyed"
    assert "Deployment chat asks for no key" in message
    assert analyzer.problems(behind(door, apiKeys="0123456789abcdef0123456789abcdef")) == []


@pytest.mark.parametrize(
    ("door", "given"),
    [
        ("nginx", {"open": ["Ingress/chat"]}),
        ("nginx", {"private": ["nginx"]}),
        ("gateway", {"private": ["traefik"]}),
        ("somebody's gateway", {"private": ["shared"]}),
    ],
)
def test_our_front_door_without_keys_may_be_private(door: str, given: dict[str, Any]) -> None:
    assert Analyzer(TAGGED | LEVELS | LOST | {"public-doors-keyed": given}).problems(behind(DOORS[door])) == []
