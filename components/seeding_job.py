"""The Job that seeds a volume, and the snapshot of what it seeded."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s

from components import pod
from components.seeder_access import SeederAccess
from components.settings import Model
from components.timing import seeding_deadline
from components.volume import Place, Volume, digest
from components.weight_claim import snapshot
from components.weight_job import job_spec, weight_job, weight_pod
from components.weight_seeder import TMP


def seeding_job(
    name: str,
    model: Model,
    place: Place,
    seeder: k8s.core.v1.ContainerArgs,
    volumes: Sequence[k8s.core.v1.VolumeArgs],
    *,
    access: SeederAccess,
    policies: Sequence[pulumi.Resource],
    namespace: pulumi.Input[str],
    labels: dict[str, str],
    pull_secrets: Sequence[str],
    parent: pulumi.Resource,
) -> k8s.batch.v1.Job:
    """Make the Job and, where the settings name a class, the snapshot; `volumes` are those of the source."""
    tmp, _ = pod.scratch("tmp", TMP, model.weights.resources.limits.ephemeral_storage)
    spec = weight_pod(name, model, place, seeder, [tmp, *volumes], account=access.account, pull_secrets=pull_secrets)
    deadline, wanted = seeding_deadline(model), weights_digest(model, place.volume)
    seeded = weight_job(
        f"{name}-seed-{wanted}",
        job_spec(spec, labels | place.volume.labels, container="seed", deadline=deadline),
        namespace=namespace,
        labels=labels,
        deadline=deadline,
        after=(*access.after, *policies),
        parent=parent,
    )
    snapshot_class = model.weights.snapshot_class
    if snapshot_class is not None:
        snapshot(
            f"{name}-weights-{digest(wanted, snapshot_class)}",
            place.claim_name,
            snapshot_class=snapshot_class,
            namespace=namespace,
            labels=labels,
            seeded=seeded,
            parent=parent,
        )
    return seeded


def weights_digest(model: Model, volume: Volume) -> str:
    """Eight hexadecimal digits of what is seeded and where: another source, selection or volume is another Job."""
    weights = model.weights
    return digest(model.source, sorted(weights.include), sorted(weights.exclude), volume.name)
