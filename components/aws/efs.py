"""Amazon EFS for weights: one file system, reachable in every zone, with an access point for every volume."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.aws.connection import EksConnection
from components.aws.file_system import named, security_groups
from components.pod import USER
from components.settings import Efs
from components.volume import Volume, storage_class


def efs_volume(name: str, settings: Efs, eks: EksConnection, parent: pulumi.Resource) -> Volume:
    """Make the file system and the class whose volumes are folders of it.

    The driver makes an access point for each claim: it confines a model's pods to the model's own folder, and makes the
    pods' user the owner of all that is written, which an NFS export of a whole file system would not.
    """
    opts = pulumi.ResourceOptions(parent=parent)
    file_system = aws.efs.FileSystem(
        name,
        encrypted=True,
        throughput_mode=settings.throughput,
        provisioned_throughput_in_mibps=settings.provisioned_mbps if settings.throughput == "provisioned" else None,
        # No lifecycle policy: weights are read seldom and then at once, which infrequent access makes slow and dear.
        tags=named(name, eks),
        opts=pulumi.ResourceOptions(parent=parent, protect=settings.protect),
    )
    groups = security_groups(name, settings.security_groups, eks, ports=[(2049, 2049)], parent=parent)
    targets = [
        aws.efs.MountTarget(
            f"{name}-{zone}", file_system_id=file_system.id, subnet_id=subnet, security_groups=groups.ids, opts=opts
        )
        for zone, subnet in sorted(eks.subnets.items())
    ]
    made = storage_class(
        name,
        provisioner="efs.csi.aws.com",
        # https://github.com/kubernetes-sigs/aws-efs-csi-driver/blob/master/docs/parameters.md
        parameters={
            "provisioningMode": "efs-ap",
            "fileSystemId": file_system.id,
            "directoryPerms": "750",
            "uid": str(USER),
            "gid": str(USER),
            "basePath": "/weights",
            # One folder for a claim, by its name: a claim that is made anew finds its weights again.
            "subPathPattern": "${.PVC.name}",
            "ensureUniqueDirectory": "false",
        },
        binding="Immediate",
        reclaim="Retain",
        mount_options=("tls",),
        # Its volumes can be made before the mount targets, and mounted only after them.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[*targets, *groups.rules]),
    )
    return Volume(name=name, storage_class=made.metadata.name, access_mode=settings.access_mode, sized=False)
