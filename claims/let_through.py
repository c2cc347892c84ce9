"""What NetworkPolicies let through: https://kubernetes.io/docs/concepts/services-networking/network-policies/."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from claims.edges import Edge
from components.network_rules import INSTANCE, Peer, Policy, Rule


def lets_through(made: Sequence[Policy], edge: Edge) -> bool:
    """Whether a connection from or to a pod gets past the policies that select it."""
    selecting = [policy for policy in made if _selects(policy, edge)]
    rules = [rule for policy in selecting for rule in (policy.inward if edge.inward else policy.outward)]
    return not selecting or any(_allows(rule, edge) for rule in rules)


def _selects(policy: Policy, edge: Edge) -> bool:
    own = policy.labels.items() <= edge.pod.items()
    return own and (not policy.instances or edge.pod.get(INSTANCE) in policy.instances)


def _allows(rule: Rule, edge: Edge) -> bool:
    ports = not rule.ports or edge.port in rule.ports
    return ports and (rule.udp or not edge.udp) and any(_is(peer, edge) for peer in rule.peers)


def _is(peer: Peer, edge: Edge) -> bool:
    if peer.cidr is not None:
        return (
            edge.address is not None
            and _within(edge.address, peer.cidr)
            and not any(_within(edge.address, each) for each in peer.left_out)
        )
    if peer.namespace is not None:
        return peer.namespace == edge.namespace
    return bool(edge.peer) and dict(peer.pods).items() <= edge.peer.items()


def _within(address: str, cidr: str) -> bool:
    return ip_address(address) in ip_network(cidr)
