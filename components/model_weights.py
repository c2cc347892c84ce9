"""The weights of a model: a volume, and what fills it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pulumi
import pulumi_kubernetes as k8s

from components import pod
from components.engine_seeding import engine_container
from components.mounted_weights import FOLDER_ANNOTATION, MountedWeights
from components.seeder_access import SeederAccess, seeder_access
from components.seeding_job import seeding_job
from components.settings import Model, parse_source
from components.settings.source_forms import ENGINES
from components.source_volume import source_volume
from components.volume import Place, Volume, digest
from components.weight_access import token_mount, token_volume
from components.weight_claim import weight_claim
from components.weight_seeder import check_container, readers, root, seeder_command, seeder_container

if TYPE_CHECKING:  # stacks without AWS load nothing of it
    from components.aws.connection import EksConnection

REVISION_LENGTH: Final = 12


class ModelWeights(pulumi.ComponentResource):
    """A claim, and the Job that seeds its volume from the source and verifies every checksum.

    Where every node has its own copy there is no Job: replicas seed their node before they start. Where the engine's
    image has the weights there is nothing to make.
    """

    mounted: MountedWeights
    seeded: k8s.batch.v1.Job | None
    """Complete when the weights are whole."""

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
        policies: Sequence[pulumi.Resource] = (),
        eks: EksConnection | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Create the claim and seed it; `mounted` is what replicas take, and no pod starts before the `policies`."""
        super().__init__("inference:index:ModelWeights", name, None, opts)
        self.seeded = None
        source = parse_source(model.source)
        if source.scheme == "image":
            self.mounted = MountedWeights(path=source.location, after=tuple(policies))
            self.register_outputs({"path": self.mounted.path})
            return
        labels = {**model.labels, **pod.labels("weight-seeder", name, "weights")}
        claim_name = weight_claim(name, model, volume, namespace=namespace, labels=labels, parent=self)
        folder = weights_folder(model.source, model.weights.include, model.weights.exclude)
        place = Place(volume=volume, claim_name=claim_name, root=root(volume, name), folder=folder)
        access = seeder_access(
            name, model, volume, namespace=namespace, labels=labels, token=token, eks=eks, parent=self
        )
        origin = source_volume(name, model, namespace=namespace, labels=labels, parent=self)
        seeder = (
            engine_container(name, model, place, env=access.env)
            if source.scheme in ENGINES
            else seeder_container(
                model,
                image,
                command=seeder_command(model, place, readers(name, namespace) if volume.per_node else None),
                env=access.env,
                mounts=[
                    *([origin.mount] if origin else []),
                    # No other container of the pod has it.
                    *([token_mount()] if volume.per_node else []),
                ],
            )
        )
        volumes = [origin.volume] if origin else []
        if volume.per_node:
            self.mounted = MountedWeights(
                path=place.path,
                place=place,
                init_containers=(seeder,),
                volumes=(token_volume(), *volumes),
                annotations={FOLDER_ANNOTATION: folder, **left_out(access)},
                service_account=model.weights.service_account,
                after=(*access.after, *policies),
            )
        else:
            self.seeded = seeding_job(
                name,
                model,
                place,
                seeder,
                volumes,
                access=access,
                policies=policies,
                namespace=namespace,
                labels=labels,
                pull_secrets=pull_secrets,
                parent=self,
            )
            self.mounted = MountedWeights(
                path=place.path,
                place=place,
                init_containers=(check_container(model, image, place),),
                annotations={FOLDER_ANNOTATION: folder},
                after=(self.seeded,),
            )
        self.register_outputs({"claimName": claim_name, "path": self.mounted.path})


def weights_folder(source: str, include: Sequence[str], exclude: Sequence[str]) -> str:
    """Folder of a revision and selection on the volume: `OWNER--NAME/COMMIT12-SELECTION8`, and alike for every source.

    The first step is for who looks around; what tells apart is in the second.
    """
    parts = parse_source(source)
    slug = re.sub(r"[^A-Za-z0-9._-]", "-", parts.location.strip("/").replace("/", "--"))
    # Hidden folders on the volume are the seeder's own.
    slug = re.sub(r"^\.+", "_", slug)
    selection = digest(source, sorted(include), sorted(exclude))
    return f"{slug}/{parts.revision[:REVISION_LENGTH] or 'unpinned'}-{selection}"


def left_out(access: SeederAccess) -> dict[str, str]:
    """Annotations of replicas that seed: EKS hands credentials to every container, and the engine needs none.

    https://github.com/aws/amazon-eks-pod-identity-webhook#pod-annotations.
    """
    return {"eks.amazonaws.com/skip-containers": "engine"} if access.pod_identity else {}
