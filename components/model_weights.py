"""The weights of a model: a volume, and the Job that fills it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components import pod
from components.settings import Model, repository, revision
from components.timing import seeding_deadline, seeding_timeout

MOUNT: Final = "/weights"
TOKEN_FIELD: Final = "token"  # noqa: S105 - the field's name, not a token
HOPELESS_EXIT_CODE: Final = 2
"""weight-seeder ends with it where trying again cannot help; a Job would try for minutes."""


class ModelWeights(pulumi.ComponentResource):
    """A volume that many nodes can mount, and the Job that seeds it from the hub and verifies every checksum."""

    claim_name: pulumi.Output[str]
    path: str
    digest: str
    seeded: k8s.batch.v1.Job

    def __init__(
        self,
        name: str,
        model: Model,
        *,
        image: str,
        pull_secrets: Sequence[str],
        namespace: pulumi.Input[str],
        token: pulumi.Output[str] | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Create the claim and seed it; `seeded` completes when the weights are whole."""
        super().__init__("inference:index:ModelWeights", name, None, opts)
        self.path, self.digest = weights_path(model.source), weights_digest(model)
        labels = {**model.labels, **pod.labels("weight-seeder", name, "weights")}
        claim_name = weights_claim(name, model)
        claim = k8s.core.v1.PersistentVolumeClaim(
            claim_name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=claim_name, namespace=namespace, labels=labels),
            spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
                # Replicas on several nodes, and the new one of a rollout beside the old one, mount it at the same time.
                access_modes=["ReadWriteMany"],
                storage_class_name=model.weights.storage_class,
                resources=k8s.core.v1.VolumeResourceRequirementsArgs(requests={"storage": model.weights.size}),
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=model.weights.protect),
        )
        self.claim_name = claim.metadata.name
        job_name = f"{name}-seed-{self.digest}"
        self.seeded = k8s.batch.v1.Job(
            job_name,
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=job_name,
                namespace=namespace,
                labels=labels,
                # A Job that failed for a reason outside (the hub was down) is made anew by the next `pulumi up`.
                annotations={"pulumi.com/replaceUnready": "true"},
            ),
            spec=job_spec(
                model,
                image,
                labels,
                claim_name=self.claim_name,
                token_secret=self._token_secret(name, namespace, labels, token),
                pull_secrets=pull_secrets,
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                # Most of a Job's spec is immutable, and its name is given: one that changes makes way for the next.
                replace_on_changes=["spec"],
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(create=f"{seeding_timeout(model.weights)}s"),
            ),
        )
        self.register_outputs({"claimName": self.claim_name, "path": self.path})

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


def weights_claim(name: str, model: Model) -> str:
    """Name of the claim, by its storage class, which no claim can change.

    Another class is another claim beside the old one, which goes when the replicas have moved. Under one name the old
    one would have to go first, which Kubernetes puts off as long as a replica mounts it.
    """
    return "-".join(filter(None, (name, "weights", model.weights.storage_class)))


def weights_digest(model: Model) -> str:
    """Eight hexadecimal digits of what is seeded and where: another source, selection or volume is another Job."""
    weights = model.weights
    content = json.dumps([model.source, sorted(weights.include), sorted(weights.exclude), weights.storage_class])
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def seeder_command(model: Model) -> list[str]:
    """The weight seeder's command line, in exec form so that it gets the signals itself."""
    include = [part for pattern in model.weights.include for part in ("--include", pattern)]
    exclude = [part for pattern in model.weights.exclude for part in ("--exclude", pattern)]
    workers = ["--max-workers", str(model.weights.max_workers)]
    return ["weight-seeder", "--source", model.source, "--target", MOUNT, *include, *exclude, *workers]


def job_spec(
    model: Model,
    image: str,
    labels: dict[str, str],
    *,
    claim_name: pulumi.Input[str],
    token_secret: pulumi.Input[str] | None,
    pull_secrets: Sequence[str],
) -> k8s.batch.v1.JobSpecArgs:
    """One pod at a time until one succeeds. No ttlSecondsAfterFinished: the Job that is gone would show as drift."""
    endpoint = {} if model.weights.endpoint is None else {"HF_ENDPOINT": model.weights.endpoint}
    environment = {
        "HOME": "/tmp",  # noqa: S108 - the pod's own emptyDir
        "HF_HOME": "/tmp/huggingface",  # noqa: S108
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "USER": "inference",
    }
    token = [] if token_secret is None else [_token_variable(token_secret)]
    tmp, tmp_mount = pod.scratch("tmp", "/tmp", model.weights.resources.limits.ephemeral_storage)  # noqa: S108
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
            metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels),
            spec=k8s.core.v1.PodSpecArgs(
                restart_policy="Never",
                automount_service_account_token=False,
                enable_service_links=False,
                image_pull_secrets=pod.pull_secrets(pull_secrets),
                node_selector=dict(model.weights.node_selector) or None,
                tolerations=[pod.toleration(taint) for taint in model.weights.tolerations] or None,
                security_context=pod.pod_security(),
                containers=[
                    k8s.core.v1.ContainerArgs(
                        name="seed",
                        image=image,
                        image_pull_policy="IfNotPresent",
                        command=seeder_command(model),
                        env=[*pod.environment(environment, endpoint), *token],
                        resources=pod.resources(model.weights.resources),
                        security_context=pod.container_security(),
                        volume_mounts=[k8s.core.v1.VolumeMountArgs(name="weights", mount_path=MOUNT), tmp_mount],
                    )
                ],
                volumes=[
                    k8s.core.v1.VolumeArgs(
                        name="weights",
                        persistent_volume_claim=k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(
                            claim_name=claim_name
                        ),
                    ),
                    tmp,
                ],
            ),
        ),
    )


def _token_variable(secret: pulumi.Input[str]) -> k8s.core.v1.EnvVarArgs:
    selector = k8s.core.v1.SecretKeySelectorArgs(name=secret, key=TOKEN_FIELD)
    return k8s.core.v1.EnvVarArgs(name="HF_TOKEN", value_from=k8s.core.v1.EnvVarSourceArgs(secret_key_ref=selector))
