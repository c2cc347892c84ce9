"""How many nodes some pods take, in GPUs and, where they are known, in CPUs and memory.

A pod is on one node: two nodes with 2 GPUs left each have no room for a pod of 4. So the pods are put on nodes one by
one, the largest first, each on the first node that it fits (first fit decreasing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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
