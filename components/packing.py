"""How many nodes some pods take, in GPUs and, where they are known, in CPUs and memory.

A pod is on one node: two nodes with 2 GPUs left each have no room for a pod of 4. So the pods are put on nodes one by
one: packed, the largest first, each on the first node that it fits (first fit decreasing), which is the best that may
come; or spread, each on the node with the most left, as the models' pods ask to be (components/spread.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True, kw_only=True, order=True)
class Amount:
    """What a pod takes, or a node has: GPUs, CPUs, and bytes of memory; 0 where it plays no part."""

    gpus: int
    memory: float = 0
    cpus: float = 0

    def holds(self, other: Amount) -> bool:
        """Whether `other` fits into this."""
        return other.gpus <= self.gpus and other.memory <= self.memory and other.cpus <= self.cpus

    def without(self, other: Amount) -> Amount:
        """What is left beside `other`."""
        return Amount(gpus=self.gpus - other.gpus, memory=self.memory - other.memory, cpus=self.cpus - other.cpus)


def nodes_for(pods: Sequence[Amount], node: Amount) -> int | None:
    """Nodes that hold the pods; None where a pod is larger than an empty node."""
    free: list[Amount] = []
    for pod in sorted(pods, reverse=True):
        index = next((index for index, left in enumerate(free) if left.holds(pod)), None)
        if index is not None:
            free[index] = free[index].without(pod)
        elif node.holds(pod):
            free.append(node.without(pod))
        else:
            return None
    return len(free)


def spread_fits(running: Sequence[Amount], surge: Sequence[Amount], *, node: Amount, nodes: int) -> bool:
    """Whether those that run, and then a surge, find room where each goes to the node with the most left.

    Whichever of those that run came first: the larger ones, or the smaller ones.
    """
    pods = (*running, *surge)
    if not all(map(node.holds, pods)):
        return False
    orders = sorted(running, reverse=True), sorted(running)
    return len(pods) <= nodes or all(_spread([*order, *surge], node, nodes) for order in orders)


def nodes_to_spread(running: Sequence[Amount], surge: Sequence[Amount], *, node: Amount, least: int) -> int | None:
    """Nodes, `least` or more, over which they may be spread; None where a pod is larger than an empty node."""
    if not all(map(node.holds, (*running, *surge))):
        return None
    return next(nodes for nodes in count(least) if spread_fits(running, surge, node=node, nodes=nodes))


def _spread(pods: Sequence[Amount], node: Amount, nodes: int) -> bool:
    free = Counter({node: nodes})
    for pod in pods:
        most = max((left for left in +free if left.holds(pod)), default=None)
        if most is None:
            return False
        free[most] -= 1
        free[most.without(pod)] += 1
    return True
