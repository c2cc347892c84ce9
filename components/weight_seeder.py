"""The weight seeder: the container that brings weights onto a volume, and the Job that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components import pod
from components.settings import Model
from components.timing import seeding_deadline
from components.volume import Volume, beside_the_volume

MOUNT: Final = "/weights"
TMP: Final = "/tmp"  # noqa: S108 - the pod's own emptyDir
TOKEN_FIELD: Final = "token"  # noqa: S105 - the field's name, not a token
HOPELESS_EXIT_CODE: Final = 2
"""weight-seeder ends with it where trying again cannot help; a Job would try for minutes."""


def seeder_command(model: Model) -> list[str]:
    """The weight seeder's command line, in exec form so that it gets the signals itself."""
    include = [part for pattern in model.weights.include for part in ("--include", pattern)]
    exclude = [part for pattern in model.weights.exclude for part in ("--exclude", pattern)]
    workers = ["--max-workers", str(model.weights.max_workers)]
    return ["weight-seeder", "--source", model.source, "--target", MOUNT, *include, *exclude, *workers]


def seeder_container(model: Model, image: str, *, token_secret: pulumi.Input[str] | None) -> k8s.core.v1.ContainerArgs:
    """The seeder, for a pod with the volumes `weights` and `tmp`."""
    endpoint = {} if model.weights.endpoint is None else {"HF_ENDPOINT": model.weights.endpoint}
    environment = {
        "HOME": TMP,
        "HF_HOME": f"{TMP}/huggingface",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "USER": "inference",
    }
    token = [] if token_secret is None else [_token_variable(token_secret)]
    return k8s.core.v1.ContainerArgs(
        name="seed",
        image=image,
        image_pull_policy="IfNotPresent",
        command=seeder_command(model),
        env=[*pod.environment(environment, endpoint), *token],
        resources=pod.resources(model.weights.resources),
        security_context=pod.container_security(),
        volume_mounts=[
            k8s.core.v1.VolumeMountArgs(name="weights", mount_path=MOUNT),
            k8s.core.v1.VolumeMountArgs(name="tmp", mount_path=TMP),
        ],
    )


def job_spec(
    name: str,
    model: Model,
    seeder: k8s.core.v1.ContainerArgs,
    labels: dict[str, str],
    *,
    volume: Volume,
    claim_name: pulumi.Input[str],
    pull_secrets: Sequence[str],
) -> k8s.batch.v1.JobSpecArgs:
    """One pod at a time until one succeeds. No ttlSecondsAfterFinished: the Job that is gone would show as drift."""
    taints = (*model.weights.tolerations, *volume.taints)
    tmp, _ = pod.scratch("tmp", TMP, model.weights.resources.limits.ephemeral_storage)
    return k8s.batch.v1.JobSpecArgs(
        backoff_limit=3,
        pod_failure_policy=k8s.batch.v1.PodFailurePolicyArgs(
            # The first rule that matches decides.
            rules=[
                # A drained node says nothing about the seeding: the next pod resumes it, and none is counted.
                k8s.batch.v1.PodFailurePolicyRuleArgs(
                    action="Ignore",
                    on_pod_conditions=[
                        k8s.batch.v1.PodFailurePolicyOnPodConditionsPatternArgs(type="DisruptionTarget", status="True")
                    ],
                ),
                k8s.batch.v1.PodFailurePolicyRuleArgs(
                    action="FailJob",
                    on_exit_codes=k8s.batch.v1.PodFailurePolicyOnExitCodesRequirementArgs(
                        container_name="seed", operator="In", values=[HOPELESS_EXIT_CODE]
                    ),
                ),
            ],
        ),
        active_deadline_seconds=seeding_deadline(model.weights),
        template=k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(labels={**labels, **volume.labels}),
            spec=k8s.core.v1.PodSpecArgs(
                restart_policy="Never",
                automount_service_account_token=False,
                enable_service_links=False,
                image_pull_secrets=pod.pull_secrets(pull_secrets),
                node_selector={**model.weights.node_selector, **volume.node_selector} or None,
                tolerations=[pod.toleration(taint) for taint in taints] or None,
                # A replica of an earlier revision may have the volume.
                affinity=k8s.core.v1.AffinityArgs(pod_affinity=beside_the_volume(name, volume))
                if volume.one_node
                else None,
                security_context=pod.pod_security(),
                containers=[seeder],
                volumes=[weights_volume(claim_name), tmp],
            ),
        ),
    )


def weights_volume(claim_name: pulumi.Input[str]) -> k8s.core.v1.VolumeArgs:
    """The claim as a pod's volume `weights`."""
    claim = k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim_name)
    return k8s.core.v1.VolumeArgs(name="weights", persistent_volume_claim=claim)


def _token_variable(secret: pulumi.Input[str]) -> k8s.core.v1.EnvVarArgs:
    selector = k8s.core.v1.SecretKeySelectorArgs(name=secret, key=TOKEN_FIELD)
    return k8s.core.v1.EnvVarArgs(name="HF_TOKEN", value_from=k8s.core.v1.EnvVarSourceArgs(secret_key_ref=selector))
