"""Reachable: every connection that the stack needs is let through by a NetworkPolicy, read off the policies it makes.

A pod that no policy selects is open. One that some select is let through where any of their rules says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from claims.claim import Claim
from claims.edges import Edge, edges_of
from claims.let_through import lets_through
from claims.parts import Part, claim_of, counted
from components.network_policies import policies
from components.network_rules import Policy
from components.settings import Settings


def claims(settings: Settings) -> Iterator[Claim]:
    """One claim for the stack."""
    if not settings.network_policy.enabled:
        line = Part(line="NetworkPolicies: none of this program's, which so keep nothing out")
        yield claim_of("reachable", "stack", "whatever has to reach a model or its weights is let through", (line,))
        return
    made, edges = tuple(policies(settings).values()), list(edges_of(settings))
    sentence = f"{counted(len(edges), 'connection')} that models and weights need are let through"
    yield claim_of("reachable", "stack", sentence, (_part(made, edge) for edge in edges))


def _part(made: tuple[Policy, ...], edge: Edge) -> Part:
    where = f"{edge.name}, port {edge.port}" if edge.port else edge.name
    if edge.unknown is not None:
        return Part(line=f"{where}: nobody here knows its address", proof=edge.unknown)
    if lets_through(made, edge):
        return Part(line=f"{where}: let through")
    return Part(line=f"{where}: kept out by every policy", change=edge.change)
