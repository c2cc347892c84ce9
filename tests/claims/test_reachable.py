"""Whether every connection that models and weights need is let through by the policies that the program makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from claims import reachable
from claims.claim import Verdict
from claims.edges import Edge, edges_of
from claims.let_through import lets_through
from claims.reachable import claims
from components import egress
from components.network_policies import policies
from components.network_rules import Peer, Policy, Rule
from components.settings import Settings
from tests.claims.one import chat_with, claim_on, line, scaled
from tests.components.samples import AWS_CREATED, CUSTOM, SMALLEST, SOURCES, SUM, changed, settings

NGINX = {"kind": "ingress", "className": "nginx", "controller": "nginx", "host": "llm.example.com"}
HELD = {"keda": {"install": True}, "httpAddOn": {"install": True}}
OLLAMA: dict[str, Any] = {"engine": "ollama", "source": f"ollama://llama3.1:8b@sha256:{SUM}"}
BEHIND = {**scaled(), "gateway": NGINX, "networkPolicy": {"gatewayNamespace": "ingress"}}
ON_DEMAND = {**scaled(replicas={"min": 0, "max": 2}), "autoscaling": HELD}
SEVERAL = changed(chat_with(SMALLEST, nodesPerReplica=2, replicas={"min": 1, "max": 1}), "gpuPools.l4.nodes", 8)
STACKS: Mapping[str, dict[str, Any]] = {
    "smallest": SMALLEST,
    "custom": CUSTOM,
    "behind a gateway": BEHIND,
    "held": ON_DEMAND,
    "created": AWS_CREATED,
    "several nodes": SEVERAL,
    "oci": SOURCES["oci"],
    "s3": SOURCES["s3"],
    "ollama": chat_with(SMALLEST, **OLLAMA),
}


def test_each_connection_is_told() -> None:
    claim = claim_on(claims, BEHIND, "stack")
    assert (claim.verdict, claim.change, claim.proof) == (Verdict.PROVED, None, None)
    assert claim.sentence == "7 connections that models and weights need are let through"
    assert claim.arithmetic == (
        "chat: gateway in ingress -> engine, port 8000: let through",
        "chat: Prometheus in monitoring -> metrics, port 8000: let through",
        "chat: engine -> DNS, port 53: let through",
        "chat: seeder -> DNS, port 53: let through",
        "chat: seeder -> huggingface.co, port 443: let through",
        "cleaner -> DNS, port 53: let through",
        "cleaner -> API server, port 443: let through",
    )


@pytest.mark.parametrize("name", STACKS)
def test_nothing_that_a_stack_needs_is_kept_out(name: str) -> None:
    claim = claim_on(claims, STACKS[name], "stack")
    assert claim.verdict is Verdict.PROVED, claim.arithmetic


@pytest.mark.parametrize("name", STACKS)
def test_every_rule_of_every_policy_is_missed_when_it_is_taken_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = settings(STACKS[name])
    made = policies(loaded)
    tried = 0
    for key, direction, rule in rules_of(made):
        if is_needed(loaded, key, direction, rule):
            rest = tuple(each for each in getattr(made[key], direction) if each is not rule)
            policy = replace(made[key], inward=rest) if direction == "inward" else replace(made[key], outward=rest)
            without = {**made, key: policy}
            monkeypatch.setattr(reachable, "policies", lambda _, found=without: found)
            (claim,) = claims(loaded)
            assert claim.verdict is Verdict.REFUSED, (key, direction, rule)
            assert "kept out by every policy" in " ".join(claim.arithmetic)
            tried += 1
    assert tried >= 3


def rules_of(made: Mapping[str, Policy]) -> Iterator[tuple[str, str, Rule]]:
    for key, policy in made.items():
        for direction in ("inward", "outward"):
            yield from ((key, direction, rule) for rule in getattr(policy, direction))


def is_needed(loaded: Settings, key: str, direction: str, rule: Rule) -> bool:
    """Not metrics that nobody reads in the stack, nor what another rule lets the same pod reach as well.

    The seeder of a node is an engine's pod, which has its DNS, and reaches the API server at any address.
    """
    metrics = direction == "inward" and (key.startswith("seeding") or (key == "engines" and loaded.monitoring is None))
    as_well = key.startswith("node-seeding") and (rule == egress.DNS or egress.PRIVATE[0] in rule.peers[0].left_out)
    return not metrics and not as_well


def test_a_hub_inside_the_cluster_is_a_namespace() -> None:
    weights = {**SMALLEST["models"]["chat"]["weights"], "endpoint": "http://hub.models.svc.cluster.local"}
    claim = claim_on(claims, chat_with(SMALLEST, weights=weights), "stack")
    assert claim.verdict is Verdict.PROVED
    assert line(claim, "chat: seeder -> hub") == "chat: seeder -> hub.models.svc.cluster.local: let through"


def test_of_ranges_for_a_name_nobody_knows_whether_it_is_within() -> None:
    weights = SMALLEST["models"]["chat"]["weights"]
    by_name = {**weights, "endpoint": "https://hub.example.com", "egress": ["10.1.0.0/16"]}
    claim = claim_on(claims, chat_with(SMALLEST, weights=by_name), "stack")
    assert claim.verdict is Verdict.UNPROVEN
    assert claim.proof == "hub.example.com within 10.1.0.0/16: getent hosts hub.example.com"


@pytest.mark.parametrize(("host", "verdict"), [("10.1.2.3", Verdict.PROVED), ("10.2.0.1", Verdict.REFUSED)])
def test_an_address_is_within_its_range_or_refused(host: str, verdict: Verdict) -> None:
    weights = {**SMALLEST["models"]["chat"]["weights"], "endpoint": f"https://{host}", "egress": ["10.1.0.0/16"]}
    claim = claim_on(claims, chat_with(SMALLEST, weights=weights), "stack")
    assert claim.verdict is verdict
    assert (claim.change == "inference:models.chat.weights.egress [RANGE]") is (verdict is Verdict.REFUSED)


def test_a_load_balancer_by_its_addresses_is_unproven() -> None:
    alb = {**NGINX, "className": "alb", "controller": "alb"}
    config = {**scaled(), "gateway": alb, "networkPolicy": {"clients": ["10.0.0.0/16"]}}
    claim = claim_on(claims, config, "stack")
    assert claim.verdict is Verdict.UNPROVEN
    assert claim.proof is not None
    assert claim.proof.startswith("its subnets within 10.0.0.0/16: aws ec2 describe-subnets")


def test_without_policies_nothing_is_kept_out() -> None:
    claim = claim_on(claims, {**SMALLEST, "networkPolicy": {"enabled": False}}, "stack")
    assert claim.verdict is Verdict.PROVED
    assert claim.arithmetic == ("NetworkPolicies: none of this program's, which so keep nothing out",)


@pytest.mark.parametrize(
    ("policy", "through"),
    [
        pytest.param(Policy(labels={"a": "other"}), True, id="no policy selects the pod"),
        pytest.param(Policy(labels={}), False, id="one that allows nothing"),
        pytest.param(Policy(labels={"a": "b"}, instances=("draft",)), True, id="one for another model"),
        pytest.param(Policy(labels={}, inward=(Rule(peers=(Peer(namespace="x"),), ports=(80,)),)), True, id="its rule"),
        pytest.param(Policy(labels={}, inward=(Rule(peers=(Peer(namespace="x"),)),)), True, id="any port"),
        pytest.param(Policy(labels={}, inward=(Rule(peers=(Peer(namespace="x"),), ports=(81,)),)), False, id="a port"),
        pytest.param(Policy(labels={}, inward=(Rule(peers=(Peer(namespace="y"),)),)), False, id="another namespace"),
        pytest.param(Policy(labels={}, outward=(Rule(peers=(Peer(namespace="x"),)),)), False, id="the other way"),
        pytest.param(Policy(labels={}, inward=(Rule(peers=(Peer(cidr="0.0.0.0/0"),)),)), False, id="addresses"),
        pytest.param(Policy(labels={}, inward=(Rule(peers=(Peer(pods=(("a", "b"),)),)),)), False, id="own pods"),
    ],
)
def test_policies_are_read_as_kubernetes_reads_them(policy: Policy, through: bool) -> None:  # noqa: FBT001 - a parameter
    pod = {"a": "b", "app.kubernetes.io/instance": "chat"}
    edge = Edge(name="x", pod=pod, inward=True, port=80, namespace="x", change="")
    assert lets_through([policy], edge) is through


@pytest.mark.parametrize(("address", "through"), [("8.8.8.8", True), ("10.0.0.1", False), ("169.254.169.254", False)])
def test_what_a_range_leaves_out_is_kept_out(address: str, through: bool) -> None:  # noqa: FBT001 - a parameter
    rule = Rule(peers=(Peer(cidr="0.0.0.0/0", left_out=("10.0.0.0/8", "169.254.0.0/16")),), ports=(443,))
    edge = Edge(name="x", pod={}, inward=False, port=443, address=address, change="")
    assert lets_through([Policy(labels={}, outward=(rule,))], edge) is through
    udp = replace(edge, udp=True)
    assert not lets_through([Policy(labels={}, outward=(rule,))], udp)


def test_names_of_connections_are_told_apart() -> None:
    loaded: Settings = settings(AWS_CREATED)
    names = [(each.name, each.port) for each in edges_of(loaded)]
    assert len(names) == len(set(names))
