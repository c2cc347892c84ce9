"""What the rest of the program knows of an EKS cluster, made by it or found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components import cluster as kubernetes
from components.aws.kubeconfig import kubeconfig
from components.aws.roles import Role
from components.settings import CreateCluster, EksCluster, EksPool, Settings
from components.timing import timing


@dataclass(frozen=True, kw_only=True)
class EksConnection:
    """An EKS cluster, and what of it AWS resources refer to."""

    name: pulumi.Input[str]
    region: str
    version: pulumi.Output[str]
    vpc_id: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    """The cluster security group, which every node has."""
    subnets: Mapping[str, pulumi.Input[str]]
    """The private subnet of each zone."""
    tags: dict[str, str]
    """Tags of every AWS resource."""
    auto_mode: bool
    created: bool
    node_roles: Mapping[str, Role] = field(default_factory=dict)
    """By autoscaler the role of all its GPU nodes; at first that which this program's Karpenter may give, if any."""


def connect_eks(cluster: EksCluster, region: str, settings: Settings) -> kubernetes.Connection:
    """A connection to the cluster that the settings create, or else name."""
    if cluster.create is None:
        return _attach(cluster, region, settings.profile)
    return _create(cluster, cluster.create, region, settings)


def tags_of(cluster: EksCluster) -> dict[str, str]:
    """Tags of every AWS resource of the stack."""
    return {"inference/cluster": cluster.name, "managed-by": "pulumi", **cluster.tags}


def _attach(cluster: EksCluster, region: str, profile: str | None) -> kubernetes.Connection:
    found = aws.eks.get_cluster_output(name=cluster.name)
    provider = _provider(
        cluster.name,
        region,
        profile,
        endpoint=found.endpoint,
        certificate_authority=found.certificate_authorities[0].data,
    )
    eks = EksConnection(
        name=cluster.name,
        region=region,
        version=found.version,
        vpc_id=found.vpc_config.vpc_id,
        security_group_id=found.vpc_config.cluster_security_group_id,
        subnets=cluster.subnets,
        tags=tags_of(cluster),
        auto_mode=cluster.auto_mode,
        created=False,
    )
    return kubernetes.Connection(provider=provider, eks=eks)


def _create(cluster: EksCluster, create: CreateCluster, region: str, settings: Settings) -> kubernetes.Connection:
    # Here, so that a stack which attaches to a cluster makes nothing of EC2.
    from components.aws.eks import EksCluster as CreatedCluster  # noqa: PLC0415

    tags = tags_of(cluster)
    made = CreatedCluster(
        cluster.name,
        create,
        region=region,
        storage_kinds={each.kind for each in settings.storage.values()},
        tags=tags,
    )
    provider = _provider(
        cluster.name,
        region,
        settings.profile,
        endpoint=made.endpoint,
        certificate_authority=made.certificate_authority,
        after=made.ready,
    )
    releases, node_roles = _autoscalers(cluster.name, create, region, settings, made.name, tags, provider)
    eks = EksConnection(
        name=made.name,
        region=region,
        version=made.version,
        vpc_id=made.network.vpc_id,
        security_group_id=made.security_group_id,
        subnets=made.network.private_subnets,
        tags=tags,
        auto_mode=False,
        created=True,
        node_roles=node_roles,
    )
    return kubernetes.Connection(provider=provider, eks=eks, depends_on=(*made.ready, *releases))


def _autoscalers(
    name: str,
    create: CreateCluster,
    region: str,
    settings: Settings,
    cluster: pulumi.Input[str],
    tags: dict[str, str],
    provider: k8s.Provider,
) -> tuple[list[pulumi.Resource], dict[str, Role]]:
    """The autoscalers that pools ask for, and the role of Karpenter's nodes where it is one of them."""
    from components.aws.autoscaler import ClusterAutoscaler  # noqa: PLC0415 - created clusters only
    from components.aws.karpenter_controller import Karpenter  # noqa: PLC0415 - created clusters only

    pools = {key: pool.autoscaler for key, pool in settings.gpu_pools.items() if isinstance(pool, EksPool)}
    on_cluster = pulumi.ResourceOptions(provider=provider)
    releases: list[pulumi.Resource] = []
    node_roles = {}
    if "cluster-autoscaler" in pools.values():
        graces = [timing(model).grace for model in settings.models.values()]
        autoscaler = ClusterAutoscaler(
            "cluster-autoscaler",
            cluster=cluster,
            cluster_name=name,
            version=create.version,
            region=region,
            grace=max(graces),
            tags=tags,
            opts=on_cluster,
        )
        releases.append(autoscaler.release)
    if "karpenter" in pools.values():
        karpenter = Karpenter(
            "karpenter",
            cluster=cluster,
            cluster_name=name,
            region=region,
            replicas=min(2, create.system.min),
            tags=tags,
            opts=on_cluster,
        )
        releases.append(karpenter.release)
        node_roles["karpenter"] = karpenter.node_role
    return releases, node_roles


def _provider(
    name: str,
    region: str,
    profile: str | None,
    *,
    endpoint: pulumi.Input[str],
    certificate_authority: pulumi.Input[str],
    after: Sequence[pulumi.Resource] = (),
) -> k8s.Provider:
    """The provider of every Kubernetes resource, which wait for it, and so for all of `after`, without saying so."""
    return k8s.Provider(
        "cluster",
        cluster_identifier=name,
        kubeconfig=kubeconfig(
            name, region, profile=profile, endpoint=endpoint, certificate_authority=certificate_authority
        ),
        opts=pulumi.ResourceOptions(depends_on=list(after)),
    )
