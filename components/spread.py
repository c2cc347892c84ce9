"""Where the replicas of a model run: apart from each other where that is possible."""

from __future__ import annotations

from typing import Final

import pulumi_kubernetes as k8s

# Each alone, so that two zones with one node each and one zone with two are both used to the full.
TOPOLOGIES: Final = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
POD_HASH: Final = "pod-template-hash"
"""The label by which a Deployment tells the pods of one revision from those of another."""


def spread(
    selector: dict[str, str], revision: str = POD_HASH, group: str | None = None
) -> list[k8s.core.v1.TopologySpreadConstraintArgs]:
    """Over nodes and over zones, each revision by itself: the replicas of the revision before are about to go.

    A preference, so that a pool of one node still takes them all, and one with a single node left the surge. Not so for
    the pods of one replica, which the label `group` tells: each has a node of its own.
    """
    wished = [_constraint(topology, selector, revision, "ScheduleAnyway") for topology in TOPOLOGIES]
    return wished if group is None else [_constraint(TOPOLOGIES[0], selector, group, "DoNotSchedule"), *wished]


def _constraint(
    topology: str, selector: dict[str, str], key: str, otherwise: str
) -> k8s.core.v1.TopologySpreadConstraintArgs:
    return k8s.core.v1.TopologySpreadConstraintArgs(
        topology_key=topology,
        max_skew=1,
        when_unsatisfiable=otherwise,
        label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector),
        match_label_keys=[key],
    )
