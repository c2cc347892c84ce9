"""A created EKS cluster: control plane, who may use it, system nodes and add-ons."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import pulumi
import pulumi_aws as aws

from components.aws import policies
from components.aws.addons import BEFORE_NODES, addon, on_nodes
from components.aws.network import Network
from components.aws.roles import role
from components.aws.system_nodes import system_nodes
from components.settings import CreateCluster

LOGS: Final = ("api", "audit", "authenticator", "controllerManager", "scheduler")


class EksCluster(pulumi.ComponentResource):
    """A cluster in a VPC of its own.

    `ready` is what has to exist before the cluster is of use, and has to outlive what runs on it: ways out of the VPC,
    rights, nodes and add-ons.
    """

    name: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    certificate_authority: pulumi.Output[str]
    version: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    network: Network
    ready: tuple[pulumi.Resource, ...]

    def __init__(
        self,
        name: str,
        settings: CreateCluster,
        *,
        region: str,
        storage_kinds: Collection[str],
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Create the cluster with the drivers of the kinds of storage."""
        super().__init__("inference:index:EksCluster", name, None, opts)
        self._name, self._settings, self._region, self._tags = name, settings, region, dict(tags)
        self._below = pulumi.ResourceOptions(parent=self)
        self._kept = pulumi.ResourceOptions(parent=self, protect=settings.protect)
        self.network = Network(name, settings, region=region, tags=tags, opts=self._below)
        cluster = self._control_plane()
        self.name, self.endpoint, self.version = cluster.name, cluster.endpoint, cluster.version
        self.certificate_authority = cluster.certificate_authority.data
        self.security_group_id = cluster.vpc_config.cluster_security_group_id
        admins = [self._admin(cluster, arn) for arn in settings.admins]
        early: list[aws.eks.Addon] = []
        for each in BEFORE_NODES:
            early.append(self._addon(each, cluster, early))
        nodes = system_nodes(
            name, settings.system, cluster, self.network, region=region, after=early, tags=tags, parent=self
        )
        late = [self._addon(each, cluster, [nodes]) for each in on_nodes(storage_kinds, settings.addons)]
        self.ready = (self.network, *admins, *early, nodes, *late)
        self.register_outputs({"name": self.name, "endpoint": self.endpoint, "version": self.version})

    def _control_plane(self) -> aws.eks.Cluster:
        key = aws.kms.Key(
            self._name,
            description=f"Secrets of the EKS cluster {self._name}",
            enable_key_rotation=True,
            # Without its key a cluster is lost: a month to notice, the longest that there is.
            deletion_window_in_days=30,
            tags=self._tags,
            opts=self._kept,
        )
        aws.kms.Alias(self._name, name=f"alias/eks/{self._name}", target_key_id=key.key_id, opts=self._below)
        logs = aws.cloudwatch.LogGroup(
            self._name,
            name=f"/aws/eks/{self._name}/cluster",
            retention_in_days=self._settings.log_retention_days,
            tags=self._tags,
            opts=self._below,
        )
        identity = role(
            self._name,
            policies.service_trust("eks.amazonaws.com"),
            description=f"Control plane of the EKS cluster {self._name}",
            managed=[policies.managed(self._region, "AmazonEKSClusterPolicy")],
            tags=self._tags,
            parent=self,
        )
        public = list(self._settings.endpoint_cidrs)
        return aws.eks.Cluster(
            self._name,
            name=self._name,
            version=self._settings.version,
            role_arn=identity.arn,
            access_config=aws.eks.ClusterAccessConfigArgs(
                authentication_mode="API",
                bootstrap_cluster_creator_admin_permissions=self._settings.creator_is_admin,
            ),
            bootstrap_self_managed_addons=False,
            enabled_cluster_log_types=list(LOGS),
            encryption_config=aws.eks.ClusterEncryptionConfigArgs(
                provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=key.arn), resources=["secrets"]
            ),
            # Extended support costs six times as much, and is entered by doing nothing.
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
            vpc_config=aws.eks.ClusterVpcConfigArgs(
                subnet_ids=list(self.network.private_subnets.values()),
                endpoint_private_access=True,
                endpoint_public_access=bool(public),
                public_access_cidrs=public or None,
            ),
            tags=self._tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=self._settings.protect,
                # EKS would make the log group itself, and keep its logs for ever.
                depends_on=[logs, *identity.grants],
                # Who is administrator at creation: a cluster that is there would be replaced for it. And its subnets:
                # EKS takes others in the same zones only, and nodes may be in further ones.
                ignore_changes=["accessConfig.bootstrapClusterCreatorAdminPermissions", "vpcConfig.subnetIds"],
            ),
        )

    def _admin(self, cluster: aws.eks.Cluster, arn: str) -> pulumi.Resource:
        name = f"{self._name}-{arn.split(':', 4)[4].replace(':', '/')}"
        entry = aws.eks.AccessEntry(
            name, cluster_name=cluster.name, principal_arn=arn, tags=self._tags, opts=self._below
        )
        partition = policies.partition(self._region)
        return aws.eks.AccessPolicyAssociation(
            name,
            cluster_name=cluster.name,
            principal_arn=entry.principal_arn,
            policy_arn=f"arn:{partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
            access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
            opts=self._below,
        )

    def _addon(self, name: str, cluster: aws.eks.Cluster, after: Sequence[pulumi.Resource]) -> aws.eks.Addon:
        return addon(
            name,
            cluster,
            cluster_name=self._name,
            region=self._region,
            version=self._settings.addons.get(name),
            tags=self._tags,
            parent=self,
            after=after,
        )
