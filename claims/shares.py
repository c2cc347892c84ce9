"""Shares weights: every replica can mount the volume, those of a surge too, and none loads what is not whole."""

from __future__ import annotations

from collections.abc import Iterator

from claims.claim import Claim
from claims.parts import Part, claim_of, counted, of_model, setting
from components.settings import InstanceStore, Model, Settings, parse_source
from components.surge import replaced, surge_of


def claims(settings: Settings) -> Iterator[Claim]:
    """One claim a model; weights in the engine's image are on no volume."""
    for name, model in settings.models.items():
        if parse_source(model.source).scheme == "image":
            continue
        parts = (_mounts(settings, name, model), _whole(model))
        replicas = replaced(model) + surge_of(model)
        sentence = f"{counted(replicas, 'replica')} read the same weights, the surge of a rollout included"
        yield claim_of("shares", of_model(name), sentence, parts)


def _mounts(settings: Settings, name: str, model: Model) -> Part:
    storage = settings.storage_of(model)
    if storage is None:
        chosen = model.weights.storage_class
        which = "the cluster's default storage class" if chosen is None else f"storage class {chosen}"
        get = f"kubectl get storageclass {chosen}" if chosen else "kubectl get storageclass"
        return Part(
            line=f"access: ReadWriteMany of {which}, of whose driver nobody here knows whether it can",
            proof=f"a driver that mounts on many nodes, such as NFS, EFS or Lustre: {get} names it",
        )
    if isinstance(storage, InstanceStore):
        return Part(line=f"access: a copy on every node, on its instance store at {storage.path}")
    if storage.access_mode == "ReadWriteMany":
        return Part(line=f"access: ReadWriteMany of {storage.kind}, for any number of nodes")
    return _one_node(settings, name, model)


def _one_node(settings: Settings, name: str, model: Model) -> Part:
    """A volume of one node: whoever reads it is there, old and new replicas at the same time."""
    pool = settings.gpu_pools[model.pool]
    room = pool.gpu.count * settings.device_plugin.time_slicing
    # Of a fixed number as many run as the scaler would let.
    most, surge = model.replicas.max, surge_of(model)
    needed = (most + surge) * model.gpus
    terms = f"({most} + {surge} of surge) x {counted(model.gpus, 'GPU')} = {needed}"
    line = f"access: ReadWriteOnce of {model.weights.storage}: {terms}"
    if needed <= room:
        return Part(line=f"{line} <= {room} of the one node that mounts it")
    fewer = room // model.gpus - most
    change = (
        setting(f"models.{name}.rollout.surge", fewer)
        if fewer > 0
        else setting(f"models.{name}.weights.storage", "of kind efs or fsx")
    )
    return Part(line=f"{line} > {room} of the one node that mounts it", change=change)


def _whole(model: Model) -> Part:
    source = parse_source(model.source)
    compared = "checksums" if model.weights.check == "checksums" else "sizes"
    revision = f"revision {source.revision[:12]}" if source.revision else "the prefix as it is when it is seeded"
    return Part(
        line=f"marker: {revision} has a folder of its own, which is published when it is whole; each replica compares "
        f"the {compared} of its files before it loads"
    )
