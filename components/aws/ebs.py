"""Amazon EBS for weights: a gp3 volume for every claim, in the zone of its pool."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.aws.connection import EksConnection
from components.aws.generation import generation
from components.gpu_node_pool import placement
from components.settings import EksPool, Gp3, GpuPool
from components.volume import Volume, digest, storage_class


def gp3_volume(
    name: str,
    settings: Gp3,
    eks: EksConnection,
    pool: str,
    nodes: GpuPool,
    *,
    folders: Sequence[str],
    parent: pulumi.Resource,
) -> Volume:
    """Make the class of the pool's zone.

    Its name holds what no volume can change, pool and zone; what this one would not, the rates, from which load times
    follow; and the generation of the nodes, since a surge to other nodes cannot take along the volume of the old ones:
    `folders` are those that the nodes are made with. With others the weights are seeded onto another volume, and the
    replicas move to it. Of nodes that are there already none of it is known: the node that the first pod is put on has
    the zone.
    """
    zone, nodes_of = None, ""
    if isinstance(nodes, EksPool):
        zone, nodes_of = nodes.zones[0], generation(pool, nodes, eks, folders)
    name = f"{name}-{digest(pool, zone, nodes_of, settings.iops, settings.throughput_mbps)}"
    made = storage_class(
        name,
        provisioner="ebs.csi.eks.amazonaws.com" if eks.auto_mode else "ebs.csi.aws.com",
        # https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/parameters.md
        parameters={
            "type": "gp3",
            "iops": str(settings.iops),
            "throughput": str(settings.throughput_mbps),
            "encrypted": "true",
            "csi.storage.k8s.io/fstype": "ext4",
        },
        binding="WaitForFirstConsumer",
        # Nothing finds a disk again whose claim is gone, and it is paid for. The claim is what is protected.
        reclaim="Delete",
        zone=zone,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return Volume(
        name=name,
        storage_class=made.metadata.name,
        access_mode=settings.access_mode,
        # The first pod decides which node gets the volume, and the seeder is the first.
        node_selector=placement(pool, nodes).node_selector,
        taints=(nodes.taint,),
        gpus=nodes.gpu.count,
    )
