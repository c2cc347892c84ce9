"""A Job on a volume with weights: what seeding and cleaning have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components import pod
from components.settings import Model
from components.timing import WAIT_MARGIN
from components.volume import Place, beside_the_volume

HOPELESS_EXIT_CODE: Final = 2
"""weight-seeder ends with it where trying again cannot help."""


def weight_pod(
    name: str,
    model: Model,
    place: Place,
    container: k8s.core.v1.ContainerArgs,
    volumes: Sequence[k8s.core.v1.VolumeArgs],
    *,
    account: pulumi.Input[str] | None,
    api_token: bool = False,
    pull_secrets: Sequence[str],
) -> k8s.core.v1.PodSpecArgs:
    """One container on the nodes that can mount the volume; `volumes` are those beside it."""
    volume = place.volume
    taints = (*model.weights.tolerations, *volume.taints)
    return k8s.core.v1.PodSpecArgs(
        restart_policy="Never",
        service_account_name=account,
        automount_service_account_token=api_token,
        enable_service_links=False,
        image_pull_secrets=pod.pull_secrets(pull_secrets),
        node_selector={**model.weights.node_selector, **volume.node_selector} or None,
        tolerations=[pod.toleration(taint) for taint in taints] or None,
        # A replica may have the volume.
        affinity=k8s.core.v1.AffinityArgs(pod_affinity=beside_the_volume(name, volume)) if volume.one_node else None,
        security_context=pod.pod_security(),
        containers=[container],
        volumes=[weights_volume(place.claim_name), *volumes],
    )


def job_spec(
    spec: k8s.core.v1.PodSpecArgs, labels: dict[str, str], *, container: str, deadline: int
) -> k8s.batch.v1.JobSpecArgs:
    """One pod at a time until one succeeds. No ttlSecondsAfterFinished: the Job that is gone would show as drift.

    Trying again goes on to the deadline: what was downloaded stays, and hubs are down for longer than a count of pods
    lasts. What is hopeless counts, and one is too many: a rule that fails the Job would end it as well, but with a
    reason that Pulumi does not take for a failure, so that it would wait for the deadline.
    """
    policy = k8s.batch.v1.PodFailurePolicyArgs(
        # The first rule that matches decides.
        rules=[
            k8s.batch.v1.PodFailurePolicyRuleArgs(
                # A drained node says nothing about the Job's work.
                action="Ignore",
                on_pod_conditions=[
                    k8s.batch.v1.PodFailurePolicyOnPodConditionsPatternArgs(type="DisruptionTarget", status="True")
                ],
            ),
            k8s.batch.v1.PodFailurePolicyRuleArgs(
                action="Ignore",
                on_exit_codes=k8s.batch.v1.PodFailurePolicyOnExitCodesRequirementArgs(
                    container_name=container, operator="NotIn", values=[HOPELESS_EXIT_CODE]
                ),
            ),
        ],
    )
    return k8s.batch.v1.JobSpecArgs(
        backoff_limit=0,
        pod_failure_policy=policy,
        active_deadline_seconds=deadline,
        template=k8s.core.v1.PodTemplateSpecArgs(metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels), spec=spec),
    )


def weight_job(
    name: str,
    spec: k8s.batch.v1.JobSpecArgs,
    *,
    namespace: pulumi.Input[str],
    labels: dict[str, str],
    deadline: int,
    after: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> k8s.batch.v1.Job:
    """The Job, whose name holds a digest of what it does: other work is another Job."""
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
            parent=parent,
            depends_on=list(after),
            # Most of a Job's spec is immutable, and its name is given: one that changes makes way for the next.
            replace_on_changes=["spec"],
            delete_before_replace=True,
            # The Job reports its own deadline first.
            custom_timeouts=pulumi.CustomTimeouts(create=f"{deadline + WAIT_MARGIN}s"),
        ),
    )


def weights_volume(claim_name: pulumi.Input[str]) -> k8s.core.v1.VolumeArgs:
    """The claim as a pod's volume `weights`."""
    claim = k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim_name)
    return k8s.core.v1.VolumeArgs(name="weights", persistent_volume_claim=claim)
