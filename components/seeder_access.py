"""What the seeder signs in with, and as whom it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes as k8s

from components.settings import Model, parse_source
from components.volume import Volume
from components.weight_access import list_pods
from components.weight_seeder import TOKEN_FIELD, environment

if TYPE_CHECKING:  # stacks without AWS load nothing of it
    from components.aws.connection import EksConnection


@dataclass(frozen=True, kw_only=True)
class SeederAccess:
    """What the seeder's container and pod get."""

    env: list[k8s.core.v1.EnvVarArgs]
    account: pulumi.Input[str] | None
    """The seeding Job's service account; None for the namespace's own, which has no rights."""
    pod_identity: bool
    """Whether EKS hands out its credentials, to every container of the pod that is not left out."""
    after: tuple[pulumi.Resource, ...]
    """Rights, which no input of a pod names: one that starts before them runs without."""


def seeder_access(
    name: str,
    model: Model,
    volume: Volume,
    *,
    namespace: pulumi.Input[str],
    labels: dict[str, str],
    token: pulumi.Output[str] | None,
    eks: EksConnection | None,
    parent: pulumi.Resource,
) -> SeederAccess:
    """Make it; where replicas seed their own nodes it is theirs, and their account is `name`."""
    weights, source = model.weights, parse_source(model.source)
    metadata = k8s.meta.v1.ObjectMetaArgs(name=f"{name}-weights", namespace=namespace, labels=labels)
    opts = pulumi.ResourceOptions(parent=parent)
    pod_identity = eks is not None and source.scheme == "s3" and weights.credentials is None
    account: pulumi.Input[str] | None = weights.service_account
    after: list[pulumi.Resource] = []
    if eks is not None and pod_identity and account is None:
        from components.aws.weights_role import weights_role  # noqa: PLC0415 - AWS only

        after += weights_role(
            name,
            source.location,
            name if volume.per_node else f"{name}-weights",
            namespace=namespace,
            eks=eks,
            parent=parent,
        )
        if not volume.per_node:
            account = k8s.core.v1.ServiceAccount(
                f"{name}-weights", metadata=metadata, automount_service_account_token=False, opts=opts
            ).metadata.name
    if volume.per_node:
        # Who seeds a node's disk cleans it as well, and asks what is in use.
        subject = weights.service_account or name
        after.append(list_pods(f"{name}-weights", subject, namespace=namespace, labels=labels, parent=parent))
    # NIM asks for a key of NGC at every start: without another one the seeder has the same.
    of_engine = model.ngc_key_secret if source.scheme == "ngc" else None
    secret = weights.credentials or of_engine or _token_secret(name, source.scheme, namespace, labels, token, opts)
    return SeederAccess(
        env=environment(model, region=eks.region if eks else None, secret=secret),
        account=account,
        pod_identity=pod_identity,
        after=tuple(after),
    )


def _token_secret(
    name: str,
    scheme: str,
    namespace: pulumi.Input[str],
    labels: dict[str, str],
    token: pulumi.Output[str] | None,
    opts: pulumi.ResourceOptions,
) -> pulumi.Output[str] | None:
    """The stack's own token, for the hub and for no other kind of source."""
    if token is None or scheme != "hf":
        return None
    secret = k8s.core.v1.Secret(
        f"{name}-hub-token",
        metadata=k8s.meta.v1.ObjectMetaArgs(name=f"{name}-hub-token", namespace=namespace, labels=labels),
        string_data={TOKEN_FIELD: token},
        opts=opts,
    )
    return secret.metadata.name
