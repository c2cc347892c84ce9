"""Where weights lie: storage that this stack makes on AWS, or a storage class that the cluster has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pulumi

from components.settings import Efs, Fsx, Gp3, GpuPool, InstanceStore, Model, Settings
from components.settings import Storage as StorageSettings
from components.volume import POOL_LABEL, Volume, digest

if TYPE_CHECKING:  # stacks without AWS load nothing of it
    from components.aws.connection import EksConnection


class Storage(pulumi.ComponentResource):
    """An entry of `inference:storage`: `volumes` has what the models of each pool ask for."""

    volumes: dict[str, Volume]

    def __init__(
        self,
        name: str,
        settings: StorageSettings,
        *,
        eks: EksConnection,
        pools: Mapping[str, GpuPool],
        folders: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make the storage; `pools` are those whose models use it, by name, `folders` all on instance stores."""
        super().__init__("inference:index:Storage", name, None, opts)
        from components.aws import ebs, efs, fsx  # noqa: PLC0415 - half a second that only AWS needs

        match settings:
            case Efs():
                self.volumes = dict.fromkeys(pools, efs.efs_volume(name, settings, eks, self))
            case Fsx():
                self.volumes = dict.fromkeys(pools, fsx.fsx_volume(name, settings, eks, self))
            case Gp3():
                self.volumes = {
                    pool: ebs.gp3_volume(name, settings, eks, pool, nodes, folders=folders, parent=self)
                    for pool, nodes in pools.items()
                }
            case InstanceStore():
                self.volumes = {pool: node_volume(name, settings, pool) for pool in pools}
        self.register_outputs({"volumes": {pool: volume.name for pool, volume in self.volumes.items()}})


def storages(settings: Settings, eks: EksConnection | None, opts: pulumi.ResourceOptions) -> dict[str, Storage]:
    """The storage of the stack by name; none without AWS."""
    if eks is None:
        return {}
    return {
        name: Storage(name, entry, eks=eks, pools=_pools_on(name, settings), folders=settings.node_folders, opts=opts)
        for name, entry in settings.storage.items()
    }


def _pools_on(storage: str, settings: Settings) -> dict[str, GpuPool]:
    used = {model.pool for model in settings.models.values() if model.weights.storage == storage}
    return {name: pool for name, pool in settings.gpu_pools.items() if name in used}


def volume_of(model: Model, storages: Mapping[str, Storage]) -> Volume:
    """What the model's claim asks for."""
    weights, origin = model.weights, model.weights.data_source
    volume = (
        Volume(name=weights.storage_class, storage_class=weights.storage_class)
        if weights.storage is None
        else storages[weights.storage].volumes[model.pool]
    )
    if origin is None:
        return volume
    # What a claim is cloned from cannot change either.
    name = "-".join(filter(None, (volume.name, digest(origin.kind, origin.name))))
    return replace(volume, name=name)


def node_volume(name: str, settings: InstanceStore, pool: str) -> Volume:
    """A folder on the instance store of each of the pool's nodes.

    Of the type `local`, not `hostPath`: the kubelet never makes the folder, so that a node whose disks are not mounted
    starts no pod rather than fill its root disk, and it gives the folder to the pods' group.
    """
    return Volume(
        name=f"{name}-{digest(pool, settings.path)}",
        storage_class="",
        access_mode=settings.access_mode,
        sized=False,
        path=settings.path,
        node_selector={POOL_LABEL: pool},
    )
