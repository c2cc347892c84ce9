"""What a NetworkPolicy says, as values that can be compared: alike rules of several models are one policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi_kubernetes as k8s


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One end of a connection: a range of addresses, the pods of a namespace, or pods of one's own namespace."""

    cidr: str | None = None
    left_out: tuple[str, ...] = ()
    namespace: str | None = None
    pods: tuple[tuple[str, str], ...] = ()
    """Labels."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Peers, and the TCP ports at which they or the pods themselves are connected to; without any all of them."""

    peers: tuple[Peer, ...]
    ports: tuple[int, ...] = ()
    udp: bool = False
    """Whether the ports are those of UDP as well."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Who may connect to pods, and whom they may connect to: nobody beside those of the rules of any policy."""

    labels: Mapping[str, str]
    instances: tuple[str, ...] = ()
    """Models, where the pods are those of some."""
    inward: tuple[Rule, ...] = ()
    outward: tuple[Rule, ...] = ()


INSTANCE: Final = "app.kubernetes.io/instance"


def policy_spec(policy: Policy) -> k8s.networking.v1.NetworkPolicySpecArgs:
    """The policy as Kubernetes has it. Always in both directions: the rules of all that select a pod add up."""
    return k8s.networking.v1.NetworkPolicySpecArgs(
        pod_selector=_selector(policy.labels, policy.instances),
        policy_types=["Egress", "Ingress"],
        ingress=[
            k8s.networking.v1.NetworkPolicyIngressRuleArgs(from_=_peers(rule), ports=_ports(rule))
            for rule in policy.inward
        ],
        egress=[
            k8s.networking.v1.NetworkPolicyEgressRuleArgs(to=_peers(rule), ports=_ports(rule))
            for rule in policy.outward
        ],
    )


def _selector(labels: Mapping[str, str], instances: Sequence[str] = ()) -> k8s.meta.v1.LabelSelectorArgs:
    requirement = k8s.meta.v1.LabelSelectorRequirementArgs(key=INSTANCE, operator="In", values=list(instances))
    return k8s.meta.v1.LabelSelectorArgs(
        match_labels=dict(labels) or None, match_expressions=[requirement] if instances else None
    )


def _peers(rule: Rule) -> list[k8s.networking.v1.NetworkPolicyPeerArgs]:
    return [_peer(each) for each in rule.peers]


def _peer(peer: Peer) -> k8s.networking.v1.NetworkPolicyPeerArgs:
    if peer.cidr is not None:
        block = k8s.networking.v1.IPBlockArgs(cidr=peer.cidr, except_=list(peer.left_out) or None)
        return k8s.networking.v1.NetworkPolicyPeerArgs(ip_block=block)
    if peer.namespace is not None:
        labels = {"kubernetes.io/metadata.name": peer.namespace}
        return k8s.networking.v1.NetworkPolicyPeerArgs(namespace_selector=_selector(labels))
    return k8s.networking.v1.NetworkPolicyPeerArgs(pod_selector=_selector(dict(peer.pods)))


def _ports(rule: Rule) -> list[k8s.networking.v1.NetworkPolicyPortArgs] | None:
    protocols = ("UDP", "TCP") if rule.udp else ("TCP",)
    return [
        k8s.networking.v1.NetworkPolicyPortArgs(protocol=protocol, port=port)
        for port in rule.ports
        for protocol in protocols
    ] or None
