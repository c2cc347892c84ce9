"""Which resources AWS can tag; apart from `connected`, which loads nothing of AWS by itself."""

from __future__ import annotations

import pulumi_aws as aws


def taggable(kind: str) -> bool:
    """Whether AWS resources of a type, such as aws:eks/cluster:Cluster, have tags."""
    _, module, name = kind.split(":")
    return hasattr(getattr(getattr(aws, module.split("/")[0]), name), "tags")
