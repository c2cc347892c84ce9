"""Whether the storage of weights on AWS is there, and has room for them where their replicas run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from components.settings.mistakes import Mistake, quote, refused
from components.settings.model import Model
from components.settings.pools import EksPool, GpuPool
from components.settings.stack import Settings
from components.settings.storage import CAPACITIES, GP3_IOPS, IOPS_PER_GIB, Fsx, Gp3, InstanceStore
from components.settings.types import UNITS, size_bytes
from components.sizing import revision_bytes, volume_size

GIB: Final = UNITS["Gi"]
GB: Final = 10**9


def _storage_is_there_and_fits(settings: Settings) -> Iterator[Mistake]:
    for name, model in settings.models.items():
        storage = settings.storage_of(model)
        pool = settings.gpu_pools[model.pool]
        if model.weights.storage and storage is None:
            yield refused(
                ("models", name, "weights", "storage"),
                f"{quote(model.weights.storage)} is no storage",
                allowed=f"a key of inference:storage ({', '.join(settings.storage) or 'none yet'})",
                example=next(iter(settings.storage), None),
            )
        elif isinstance(storage, Gp3):
            yield from _disk_fits(settings, name, model, pool, storage)
        elif isinstance(storage, InstanceStore):
            yield from _instance_store_fits(settings, name, model, pool)


def _disk_fits(settings: Settings, name: str, model: Model, pool: GpuPool, storage: Gp3) -> Iterator[Mistake]:
    """A gp3 volume is in one zone and on one node at a time, for all replicas and the one of a rollout's surge."""
    at = ("models", name, "weights", "storage")
    shared = "storage of kind efs or fsx"
    if isinstance(pool, EksPool) and len(pool.zones) > 1:
        yield refused(
            at,
            f"{quote(model.weights.storage)} is a gp3 volume in one zone, and pool {model.pool} has {len(pool.zones)}",
            allowed=f"gp3 for a pool in one zone; {shared} for several",
            fix="name one zone in the pool's zones, or another storage",
        )
    replicas, gpus = model.replicas.max + 1, pool.gpu.count * settings.device_plugin.time_slicing
    if replicas * model.gpus > gpus:
        yield refused(
            at,
            f"{quote(model.weights.storage)} is a gp3 volume, which one node mounts, and {model.replicas.max} "
            f"replica{'' if model.replicas.max == 1 else 's'} with one for the surge of a rollout need "
            f"{replicas * model.gpus} GPUs: a node of pool {model.pool} has {gpus}",
            allowed=f"gp3 where all replicas fit one node with one more; {shared} otherwise",
            fix="lower replicas.max, choose a pool with more GPUs a node, or another storage",
        )
    size = _bytes(model)
    most = max(GP3_IOPS, IOPS_PER_GIB * size // GIB)
    if size and storage.iops > most:
        yield refused(
            ("storage", model.weights.storage or "", "iops"),
            f"{storage.iops} is more than {IOPS_PER_GIB} a GiB of model {name}'s weights, {volume_size(model)}",
            allowed=f"an integer from {GP3_IOPS} to {most}, or more with larger weights.size",
            example=most,
        )


def _instance_store_fits(settings: Settings, name: str, model: Model, pool: GpuPool) -> Iterator[Mistake]:
    """A node may come to run every model of its pool, and then has the weights of all."""
    if not isinstance(pool, EksPool):
        yield refused(
            ("models", name, "weights", "storage"),
            f"{quote(model.weights.storage)} is on nodes that EKS provides, and pool {model.pool} has others",
            allowed="storage of another kind, or a pool with an instanceType",
            fix="choose another storage, or another pool",
        )
        return
    if not pool.instance_store:
        yield refused(
            ("gpuPools", model.pool, "instanceStore"),
            f"is needed for the weights of model {name}",
            allowed="true for a pool whose nodes keep weights",
            example=True,
        )
        return
    beside = [other for other in settings.models.values() if other.pool == model.pool and settings.seeds_nodes(other)]
    room, needed = pool.nvme_gb * GB, sum(map(_bytes, beside))
    if needed > room:
        together = "" if len(beside) == 1 else f", with the {len(beside) - 1} other on pool {model.pool},"
        yield refused(
            ("models", name, "weights", "size"),
            f"{quote(volume_size(model))}{together} is more than the instance store of {pool.instance_type}",
            allowed=f"at most {room // GIB}Gi{' together' if together else ''}",
            fix="choose an instance type with more NVMe, or another storage",
        )


def _weights_fit_their_file_system(settings: Settings) -> Iterator[Mistake]:
    for name, storage in settings.storage.items():
        here = {key: model for key, model in settings.models.items() if model.weights.storage == name}
        needed = sum(map(_bytes, here.values()))
        if isinstance(storage, Fsx) and needed > storage.capacity_gib * GIB:
            larger = [each for each in CAPACITIES if each * GIB >= needed]
            of = f"model {next(iter(here))} are" if len(here) == 1 else f"models {', '.join(here)} are together"
            yield refused(
                ("storage", name, "capacityGiB"),
                f"{storage.capacity_gib} is too small: the weights of {of} {-(-needed // GIB)}Gi",
                allowed=", ".join(map(str, larger)) or f"at least {-(-needed // GIB)}, which no file system here has",
                fix=None if larger else "make weights.size smaller, or give some models another storage",
                example=next(iter(larger), None),
            )


def _bytes(model: Model) -> int:
    """Bytes of the model's volume; 0 where they are not known, which is a mistake of its own."""
    known = model.weights.size is not None or revision_bytes(model) is not None
    return size_bytes(volume_size(model)) if known else 0


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (
    _storage_is_there_and_fits,
    _weights_fit_their_file_system,
)
