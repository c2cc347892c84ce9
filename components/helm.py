"""Helm charts, installed as Pulumi's Release does it: the chart's hooks run, and its objects are Helm's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

SYSTEM: Final = "kube-system"


def release(
    name: str,
    *,
    chart: str,
    version: str,
    values: dict[str, Any],
    namespace: pulumi.Input[str],
    parent: pulumi.Resource,
    after: Sequence[pulumi.Resource],
    repository: str | None = None,
    skip_crds: bool = False,
) -> k8s.helm.v3.Release:
    """A release of a chart; `chart` is a name in `repository`, or an address of its own."""
    if repository is not None and repository.startswith("oci://"):
        # Helm looks for an index in a repository, and a registry has none: the address of the chart is all there is.
        chart, repository = f"{repository.rstrip('/')}/{chart}", None
    return k8s.helm.v3.Release(
        name,
        name=name,
        namespace=namespace,
        chart=chart,
        version=version,
        repository_opts=k8s.helm.v3.RepositoryOptsArgs(repo=repository) if repository else None,
        skip_crds=skip_crds,
        values=values,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(after)),
    )
