"""The weights of a model: a volume, and what fills it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s

from components import pod
from components.settings import Model, repository, revision
from components.timing import seeding_timeout
from components.volume import NO_SIZE, Volume, persistent_volume_spec
from components.weight_seeder import MOUNT, TOKEN_FIELD, job_spec, seeder_container


class ModelWeights(pulumi.ComponentResource):
    """A claim, and the Job that seeds its volume from the hub and verifies every checksum.

    Where every node has its own copy there is no Job: `seeder` is the init container by which replicas seed their node.
    """

    claim_name: pulumi.Output[str]
    path: str
    digest: str
    volume: Volume
    seeded: k8s.batch.v1.Job | None
    seeder: k8s.core.v1.ContainerArgs | None

    def __init__(
        self,
        name: str,
        model: Model,
        *,
        volume: Volume,
        image: str,
        pull_secrets: Sequence[str],
        namespace: pulumi.Input[str],
        token: pulumi.Output[str] | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Create the claim and seed it; `seeded` completes when the weights are whole."""
        super().__init__("inference:index:ModelWeights", name, None, opts)
        self.volume = volume
        self.path, self.digest = weights_path(model.source), weights_digest(model, volume)
        labels = {**model.labels, **pod.labels("weight-seeder", name, "weights")}
        self.claim_name = self._claim(name, model, namespace, labels)
        seeder = seeder_container(model, image, token_secret=self._token_secret(name, namespace, labels, token))
        self.seeder = seeder if volume.per_node else None
        self.seeded = None
        if not volume.per_node:
            spec = job_spec(
                name, model, seeder, labels, volume=volume, claim_name=self.claim_name, pull_secrets=pull_secrets
            )
            self.seeded = self._job(f"{name}-seed-{self.digest}", model, namespace, labels, spec)
        self.register_outputs({"claimName": self.claim_name, "path": self.path})

    def _claim(
        self, name: str, model: Model, namespace: pulumi.Input[str], labels: dict[str, str]
    ) -> pulumi.Output[str]:
        volume, claim_name = self.volume, weights_claim(name, self.volume)
        volume_name = None
        if volume.static:
            spec = persistent_volume_spec(volume, namespace=namespace, claim=claim_name, size=model.weights.size)
            # No namespace holds it, hence one in its name.
            physical = pulumi.Output.concat(namespace, "-", claim_name)
            volume_name = k8s.core.v1.PersistentVolume(
                claim_name,
                metadata=k8s.meta.v1.ObjectMetaArgs(name=physical, labels=labels),
                spec=spec,
                opts=pulumi.ResourceOptions(parent=self, depends_on=volume.depends_on),
            ).metadata.name
        claim = k8s.core.v1.PersistentVolumeClaim(
            claim_name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=claim_name, namespace=namespace, labels=labels),
            spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
                # Replicas on several nodes, and the new one of a rollout beside the old one, mount it at the same time,
                # or else all of them run on one node.
                access_modes=[volume.access_mode],
                storage_class_name=volume.storage_class,
                volume_name=volume_name,
                resources=k8s.core.v1.VolumeResourceRequirementsArgs(
                    requests={"storage": model.weights.size if volume.sized else NO_SIZE}
                ),
            ),
            # A node's own copy is a cache, and goes with its node anyway.
            opts=pulumi.ResourceOptions(parent=self, protect=model.weights.protect and not volume.per_node),
        )
        return claim.metadata.name

    def _job(
        self,
        name: str,
        model: Model,
        namespace: pulumi.Input[str],
        labels: dict[str, str],
        spec: k8s.batch.v1.JobSpecArgs,
    ) -> k8s.batch.v1.Job:
        return k8s.batch.v1.Job(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=name,
                namespace=namespace,
                labels=labels,
                # A Job that failed for a reason outside (the hub was down) is made anew by the next `pulumi up`.
                annotations={"pulumi.com/replaceUnready": "true"},
            ),
            spec=spec,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Most of a Job's spec is immutable, and its name is given: one that changes makes way for the next.
                replace_on_changes=["spec"],
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(create=f"{seeding_timeout(model.weights)}s"),
            ),
        )

    def _token_secret(
        self, name: str, namespace: pulumi.Input[str], labels: dict[str, str], token: pulumi.Output[str] | None
    ) -> pulumi.Output[str] | None:
        if token is None:
            return None
        secret = k8s.core.v1.Secret(
            f"{name}-hub-token",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=f"{name}-hub-token", namespace=namespace, labels=labels),
            string_data={TOKEN_FIELD: token},
            opts=pulumi.ResourceOptions(parent=self),
        )
        return secret.metadata.name


def weights_path(source: str) -> str:
    """Folder of the weights in every pod: `/weights/OWNER--NAME/COMMIT`."""
    return f"{MOUNT}/{repository(source).replace('/', '--')}/{revision(source)}"


def weights_claim(name: str, volume: Volume) -> str:
    """Name of the claim, by its storage class or storage, which no claim can change.

    Another one is another claim beside the old one, which goes when the replicas have moved. Under one name the old
    one would have to go first, which Kubernetes puts off as long as a replica mounts it.
    """
    return "-".join(filter(None, (name, "weights", volume.name)))


def weights_digest(model: Model, volume: Volume) -> str:
    """Eight hexadecimal digits of what is seeded and where: another source, selection or volume is another Job."""
    weights = model.weights
    content = json.dumps([model.source, sorted(weights.include), sorted(weights.exclude), volume.name])
    return hashlib.sha256(content.encode()).hexdigest()[:8]
