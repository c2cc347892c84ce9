"""Amazon FSx for Lustre for weights: one file system in one zone, which may be linked to S3."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components.aws.connection import EksConnection
from components.aws.file_system import named, security_groups
from components.settings import Fsx
from components.volume import Volume

# https://docs.aws.amazon.com/fsx/latest/LustreGuide/limit-access-security-groups.html
PORTS = ((988, 988), (1018, 1023))


def fsx_volume(name: str, settings: Fsx, eks: EksConnection, parent: pulumi.Resource) -> Volume:
    """Make the file system, which every claim mounts whole: each revision of a model has its own folder anyway.

    Its name holds the zone, which no file system can change: another zone is another one, seeded before the replicas
    move and the old one goes.
    """
    name = f"{name}-{settings.zone}"
    groups = security_groups(name, settings.security_groups, eks, ports=PORTS, peers=True, parent=parent)
    file_system = aws.fsx.LustreFileSystem(
        name,
        subnet_ids=eks.subnets[settings.zone],
        security_group_ids=groups.ids,
        deployment_type="PERSISTENT_2",
        storage_type="SSD",
        storage_capacity=settings.capacity_gib,
        per_unit_storage_throughput=settings.throughput_per_tib,
        file_system_type_version="2.15",
        # Weights can be had again from where they came.
        automatic_backup_retention_days=0,
        tags=named(name, eks),
        opts=pulumi.ResourceOptions(parent=parent, protect=settings.protect),
    )
    # Root owns the root folder. The kubelet hands it to the pods' group under the driver's policy File, and under
    # ReadWriteOnceWithFSType, which its chart has, where the volume has a type and that access mode among its own.
    source = k8s.core.v1.CSIPersistentVolumeSourceArgs(
        driver="fsx.csi.aws.com",
        fs_type="lustre",
        volume_handle=file_system.id,
        volume_attributes={"dnsname": file_system.dns_name, "mountname": file_system.mount_name},
    )
    linked = [] if settings.s3 is None else [_link(name, settings.s3, file_system, eks, parent)]
    return Volume(
        name=name,
        storage_class="",
        access_mode=settings.access_mode,
        sized=False,
        csi=source,
        # Without it the nodes' locks are not each other's, and two seeders would write the same files.
        mount_options=("flock",),
        depends_on=(*groups.rules, *linked),
    )


def _link(
    name: str, s3: str, file_system: aws.fsx.LustreFileSystem, eks: EksConnection, parent: pulumi.Resource
) -> aws.fsx.DataRepositoryAssociation:
    return aws.fsx.DataRepositoryAssociation(
        name,
        file_system_id=file_system.id,
        file_system_path="/",
        data_repository_path=s3,
        batch_import_meta_data_on_create=True,
        s3=aws.fsx.DataRepositoryAssociationS3Args(
            # An object that is deleted takes no file from under the replicas.
            auto_import_policy=aws.fsx.DataRepositoryAssociationS3AutoImportPolicyArgs(events=["NEW", "CHANGED"]),
            # A folder that is published by a rename leaves nothing under its old name.
            auto_export_policy=aws.fsx.DataRepositoryAssociationS3AutoExportPolicyArgs(
                events=["NEW", "CHANGED", "DELETED"]
            ),
        ),
        tags=named(name, eks),
        opts=pulumi.ResourceOptions(parent=parent),
    )
