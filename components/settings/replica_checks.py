"""Whether the GPUs of a replica can work together as they are to, on the nodes that its pool has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from components.settings.mistakes import Mistake, quote, refused
from components.settings.model import Model, default_shared_memory
from components.settings.schema import allowed, node_at, settings_schema
from components.settings.stack import Settings
from components.settings.storage import Gp3
from components.settings.types import UNITS, size_bytes
from components.sizing import shape_of

SHARED_MEMORY_PER_GPU: Final = UNITS["Gi"]
"""What NCCL and the workers of a tensor parallel replica exchange tensors through."""


def _gpus_divide_the_heads(settings: Settings) -> Iterator[Mistake]:
    """Every GPU of a tensor parallel replica has as many attention heads as any other, where they are known."""
    for name, model in settings.models.items():
        shape = shape_of(model)
        heads, groups = shape.get("heads"), shape.get("kvHeads")
        if heads is None or model.gpus == 1:
            continue
        fits = [count for count in range(1, 17) if divides(count, heads, groups)]
        if model.gpus in fits:
            continue
        left = heads % model.gpus
        problem = (
            f"{heads} attention heads / {model.gpus} GPUs leave {left} over"
            if left
            else f"{groups} KV heads and {model.gpus} GPUs do not divide each other"
        )
        yield refused(
            ("models", name, "gpus"),
            f"{model.gpus} cannot be its tensor parallel size: {problem}",
            allowed=", ".join(map(str, fits)),
            example=max(count for count in fits if count <= model.gpus),
        )


def divides(gpus: int, heads: int, groups: int | None) -> bool:
    """Whether so many GPUs share the heads evenly; KV heads are copied where there are fewer than GPUs."""
    return heads % gpus == 0 and (groups is None or groups % gpus == 0 or gpus % groups == 0)


def _shared_memory_is_enough(settings: Settings) -> Iterator[Mistake]:
    for name, model in settings.models.items():
        given = model.shared_memory
        if model.gpus > 1 and given is not None and size_bytes(given) < model.gpus * SHARED_MEMORY_PER_GPU:
            yield refused(
                ("models", name, "sharedMemory"),
                f"{quote(given)} is too small for GPUs that work together: {model.gpus} x 1Gi = {model.gpus}Gi",
                allowed=f"at least {model.gpus}Gi",
                example=default_shared_memory(model.gpus),
            )


def _several_nodes_go_together(settings: Settings) -> Iterator[Mistake]:
    for name, model in settings.models.items():
        nodes, path = model.nodes_per_replica, ("models", name, "nodesPerReplica")
        if nodes == 1:
            continue
        pool, storage = settings.gpu_pools[model.pool], settings.storage_of(model)
        if nodes > pool.nodes:
            yield refused(
                path,
                f"{nodes} is more than the {pool.nodes} node{'' if pool.nodes == 1 else 's'} of pool {model.pool}",
                allowed=f"an integer from 1 to {pool.nodes}, or a larger pool",
                example=pool.nodes,
            )
        elif isinstance(model.rollout.surge, int) and _given(model) and model.rollout.surge < model.replicas.min:
            yield refused(
                ("models", name, "rollout", "surge"),
                f"{model.rollout.surge} is not how replicas on several nodes are replaced: all {model.replicas.min} "
                f"new ones start beside the old ones, on {model.replicas.min} x {nodes} more nodes",
                allowed="auto, or none",
                example="auto",
            )
        elif isinstance(storage, Gp3):
            yield refused(
                path,
                f"{nodes} nodes cannot all mount a volume of storage {model.weights.storage}, which is one node's",
                allowed="1, or storage of a kind that many nodes mount: efs, fsx, instanceStore",
                example=1,
            )


def _given(model: Model) -> bool:
    return "surge" in model.rollout.model_fields_set


def _priorities_are_the_stacks_own(settings: Settings) -> Iterator[Mistake]:
    for name, model in settings.models.items():
        if (model.priority_class or "").startswith("system-"):
            yield refused(
                ("models", name, "priorityClass"),
                f"{quote(model.priority_class)} is for what a cluster cannot do without",
                allowed=f"{allowed(node_at(settings_schema(), ('models', name, 'priorityClass')))}, not system-*",
                fix=f"take a key of inference:priorityClasses ({', '.join(settings.priority_classes) or 'none yet'})",
            )


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (
    _gpus_divide_the_heads,
    _shared_memory_is_enough,
    _several_nodes_go_together,
    _priorities_are_the_stacks_own,
)
