"""What removes the revisions of weights that nobody wants any more, after the replicas have left them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components import pod
from components.inference_server import InferenceServer
from components.model_weights import ModelWeights
from components.settings import Model, Settings
from components.timing import cleaning_wait
from components.volume import Place, digest
from components.weight_access import list_pods
from components.weight_job import job_spec, weight_job, weight_pod
from components.weight_seeder import clean_command, clean_container, readers

APPLICATION: Final = "weight-cleaner"
DEADLINE: Final = 900
"""Seconds for a node to pull the image, and for a network file system to give up some hundred files; beside the wait
for replicas that drain.
"""


class WeightCleaner(pulumi.ComponentResource):
    """A Job for every volume that replicas share, and one account for all of them that may list the models' pods.

    Where every node has its own copy the seeder cleans, and an image is never cleaned.
    """

    def __init__(
        self,
        name: str,
        models: Mapping[str, Model],
        *,
        places: Mapping[str, Place],
        rollouts: Mapping[str, pulumi.Resource],
        image: str,
        pull_secrets: Sequence[str],
        namespace: pulumi.Input[str],
        policies: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Clean each place after the rollout of its model: one that fails keeps the earlier revision for going back."""
        super().__init__("inference:index:WeightCleaner", name, None, opts)
        account, rights = self._account(name, namespace)
        for key, place in places.items():
            model = models[key]
            labels = {**model.labels, **pod.labels(APPLICATION, key, "weights")}
            container = clean_container(image, clean_command(model, place, readers(key, namespace)))
            spec = weight_pod(
                key, model, place, container, [], account=account, api_token=True, pull_secrets=pull_secrets
            )
            deadline = DEADLINE + cleaning_wait(model)
            weight_job(
                f"{key}-clean-{cleaning_digest(model, place)}",
                job_spec(spec, labels | place.volume.labels, container="clean", deadline=deadline),
                namespace=namespace,
                labels=labels,
                deadline=deadline,
                # No input says so, but replicas of the revision before are reading it until the rollout has ended.
                after=[rollouts[key], rights, *policies],
                parent=self,
            )
        self.register_outputs({})

    def _account(self, name: str, namespace: pulumi.Input[str]) -> tuple[pulumi.Output[str], pulumi.Resource]:
        """The account of the cleaning pods, and its rights, which no input of a pod names."""
        labels = {"app.kubernetes.io/name": APPLICATION, **pod.MANAGED_BY}
        account = k8s.core.v1.ServiceAccount(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels),
            # Its pods ask for the token themselves.
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        rights = list_pods(name, account.metadata.name, namespace=namespace, labels=labels, parent=self)
        return account.metadata.name, rights


def weight_cleaner(
    settings: Settings,
    weights: Mapping[str, ModelWeights],
    servers: Mapping[str, InferenceServer],
    namespace: pulumi.Input[str],
    policies: Sequence[pulumi.Resource],
    opts: pulumi.ResourceOptions,
) -> None:
    """Clean the volumes that a Job has seeded, where there are any."""
    places = {name: place for name, each in weights.items() if each.seeded and (place := each.mounted.place)}
    if places:
        WeightCleaner(
            APPLICATION,
            settings.models,
            places=places,
            rollouts={name: server.rolled_out for name, server in servers.items()},
            image=settings.images.weight_seeder,
            pull_secrets=settings.images.pull_secrets,
            namespace=namespace,
            policies=policies,
            opts=opts,
        )


def cleaning_digest(model: Model, place: Place) -> str:
    """Eight hexadecimal digits of what stays and where: another revision, number or volume is cleaned once more."""
    return digest(place.folder, model.weights.keep_revisions, place.volume.name)
