"""How many replicas more than the wanted number a rollout may start: `rollout.surge: auto` takes what the pool spares.

    spare  what the pool's nodes have left beside replicas.max of all its models and the surges that are given
    auto   as many replicas of the model as fit into that, node by node; between several models in turn; at least 1

A replica's GPUs are on one node, so that what is left on two nodes is not one replica more. Kubernetes spreads replicas
over nodes, which leaves the room in pieces: so does this reckoning, which for that reason may find less than there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings resolve `auto` here, so that an import at run time would be a circle
    from components.settings import Model


def surge_of(model: Model) -> int:
    """Replicas beyond the wanted number during a rollout of the model; of settings that are loaded, which know it.

    All of them where a replica is on several nodes: see components/leader_worker.py.
    """
    if model.nodes_per_replica > 1:
        return model.replicas.min
    surge = model.rollout.surge
    # No rollout replaces more replicas than are deployed.
    return min(1 if surge == "auto" else surge, model.replicas.max)


def replaced(model: Model) -> int:
    """Replicas that a rollout may have to replace: those that are deployed, or that a scaler has made of them."""
    return model.replicas.max if model.scaling else model.replicas.min


def surges(models: Mapping[str, Model], *, nodes: int, gpus: int, one_node: Collection[str] = ()) -> dict[str, int]:
    """What `auto` is for those models of a pool that have it; the pool has `nodes` of so many GPUs each.

    `one_node` are the models whose volume one node mounts: their surge has to find room on it, beside all replicas.
    """
    automatic = [
        name for name, model in models.items() if model.rollout.surge == "auto" and model.nodes_per_replica == 1
    ]
    found = dict.fromkeys(automatic, 1)
    room = _Room(nodes, gpus)
    always = [model for model in models.values() for _ in range(model.replicas.max)]
    given = [model for name, model in models.items() if name not in found for _ in range(surge_of(model))]
    if not all(room.take(model) for model in sorted([*always, *given], key=lambda each: -each.gpus)):
        return found
    fits = {name: room.take(models[name]) for name in automatic}
    most = {name: _most(models[name], gpus if name in one_node else None) for name in automatic}
    while any(fits.values()):
        for name in automatic:
            fits[name] = fits[name] and found[name] < most[name] and room.take(models[name])
            found[name] += fits[name]
    return found


def _most(model: Model, gpus: int | None) -> int:
    """Replicas of surge that are of any use: all, or those that fit on the only node of so many GPUs."""
    return model.replicas.max if gpus is None else min(model.replicas.max, gpus // model.gpus - model.replicas.max)


class _Room:
    """The free GPUs of a pool, as the number of nodes by how many they have left."""

    def __init__(self, nodes: int, gpus: int) -> None:
        self._nodes = Counter({gpus: nodes})

    def take(self, model: Model) -> bool:
        """Place one replica, each of its pods on the node with the most room; whether it fits."""
        before = self._nodes.copy()
        for _ in range(model.nodes_per_replica):
            most = max(+self._nodes, default=0)
            if most < model.gpus:
                self._nodes = before
                return False
            self._nodes[most] -= 1
            self._nodes[most - model.gpus] += 1
        return True
