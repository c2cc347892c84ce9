"""How long a node that goes lets its pods end, by who takes it away.

    Karpenter            as long as they need: the NodePools of this program have no terminationGracePeriod
    EKS Auto Mode        24 h, its default
    cluster autoscaler   what this program sets, or 600 s, its default (--max-graceful-termination-sec)
    EKS, in place        15 min, after which the update fails with PodEvictionFailure
    spot interruption    120 s after the notice, whoever provides the node
    capacity block       a time of its end that only its contract knows
    nodes that are there kubectl drain waits for the grace period

Sources: https://karpenter.sh/docs/concepts/disruption/, https://docs.aws.amazon.com/eks/latest/userguide/ (Auto Mode
NodePools; "managed node update behavior"), https://github.com/kubernetes/autoscaler (FAQ), and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from claims.parts import Part, setting
from components.drain import grace_seconds
from components.settings import EksCluster, EksPool, Model, Settings
from components.timing import timing

AUTO_MODE: Final = 24 * 3600
AUTOSCALER: Final = 600
IN_PLACE: Final = 15 * 60
SPOT: Final = 120


def node_end(settings: Settings, name: str, model: Model) -> Iterator[Part]:
    """The grace period of the model's replicas against every end that a node of their pool may have."""
    pool, grace = settings.gpu_pools[model.pool], grace_seconds(model)
    if not isinstance(pool, EksPool):
        yield Part(line=f"nodes: whoever drains one that is there waits for the {grace} s (kubectl drain's default)")
        if model.rollout.node_seconds:
            yield _by_an_autoscaler(grace, "the pool's autoscaler")
        return
    path = f"gpuPools.{model.pool}"
    if pool.capacity == "SPOT":
        change = f"{setting(f'{path}.capacity', 'ON_DEMAND')}{_or_less(name, model, SPOT)}"
        yield _within(grace, SPOT, "a spot interruption", change)
    if pool.capacity == "CAPACITY_BLOCK":
        yield Part(
            line=f"nodes: the capacity block ends at a time that nobody has told, {grace} s of grace period before it",
            proof=f"a schedule of yours that scales {model.pool} to 0 nodes before the block ends",
        )
    yield _scale_down(settings, pool, grace)
    if pool.updates == "inPlace" and pool.autoscaler == "cluster-autoscaler":
        change = f"{setting(f'{path}.updates', 'replace')}{_or_less(name, model, IN_PLACE)}"
        yield _within(grace, IN_PLACE, "an update of the node group in place", change)


def _scale_down(settings: Settings, pool: EksPool, grace: int) -> Part:
    cluster = settings.cluster
    if isinstance(cluster, EksCluster) and cluster.auto_mode:
        return _within(grace, AUTO_MODE, "EKS Auto Mode (its default)", "")
    if pool.autoscaler == "karpenter":
        return Part(line=f"nodes: Karpenter waits for the {grace} s, since the pool has no terminationGracePeriod")
    if isinstance(cluster, EksCluster) and cluster.create is not None:
        given = max(AUTOSCALER, *(timing(each).grace for each in settings.models.values()))
        return _within(grace, given, "the cluster autoscaler of this program", "")
    return _by_an_autoscaler(grace, "the cluster's autoscaler")


def _by_an_autoscaler(grace: int, who: str) -> Part:
    line = f"nodes: {grace} s grace period {'<=' if grace <= AUTOSCALER else '>'} {AUTOSCALER} s of {who} by default"
    if grace <= AUTOSCALER:
        return Part(line=line)
    return Part(line=line, proof=f"the cluster autoscaler's own --max-graceful-termination-sec={grace}")


def _within(grace: int, most: int, who: str, change: str) -> Part:
    holds = grace <= most
    line = f"nodes: {grace} s grace period {'<=' if holds else '>'} {most:,} s of {who}"
    return Part(line=line, change=None if holds else change)


def _or_less(name: str, model: Model, most: int) -> str:
    """The drain that would do, where there is one."""
    drain = most - (grace_seconds(model) - model.drain_seconds)
    return f" (or {setting(f'models.{name}.drainSeconds', drain)}, with outputTokens to match)" if drain > 0 else ""
