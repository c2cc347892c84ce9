"""The weight seeder's containers: one brings weights onto a volume, one looks whether they are whole, one cleans up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components import pod
from components.settings import Model, Resources, parse_source, size_bytes
from components.settings.source_forms import ENGINES as TOOL_OF
from components.timing import cleaning_wait
from components.volume import Place, Volume

MOUNT: Final = "/weights"
SOURCE_MOUNT: Final = "/source"
TMP: Final = "/tmp"  # noqa: S108 - the pod's own emptyDir
METRICS_PORT: Final = 9110
PATIENCE: Final = 300
"""Seconds without a byte after which the seeder ends and says why; well before a deadline, which says nothing."""
TOKEN_FIELD: Final = "token"  # noqa: S105 - the field's name, not a token
ENDPOINTS: Final = {"hf": "HF_ENDPOINT", "s3": "AWS_ENDPOINT_URL_S3", "oci": "OCI_ENDPOINT"}
CREDENTIALS: Final[Mapping[str, Mapping[str, str]]] = {
    "hf": {"HF_TOKEN": TOKEN_FIELD},
    "s3": {name: name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
    "oci": {"REGISTRY_AUTH": ".dockerconfigjson"},
    "ngc": {"NGC_API_KEY": "NGC_API_KEY"},
}
"""Environment variables of a source's credentials, each with its key in the Secret."""
SMALL: Final = Resources.model_validate(
    {
        "requests": {"cpu": "50m", "memory": "64Mi", "ephemeralStorage": "16Mi"},
        "limits": {"cpu": "2", "memory": "256Mi", "ephemeralStorage": "64Mi"},
    }
)
"""For what reads and removes files; the limit of CPUs is what computing checksums at the rate of a disk takes."""


def root(volume: Volume, name: str) -> str:
    """Folder of a model's weights in every container that mounts the volume.

    What no driver provisions, models share: each has a folder of its own there, so that none cleans away another's.
    """
    return f"{MOUNT}/{name}" if volume.static else MOUNT


def seeder_command(model: Model, place: Place, in_use: pulumi.Input[str] | None = None) -> list[pulumi.Input[str]]:
    """Brings the weights; with `in_use` it first removes what no pod of that selector reads."""
    weights = model.weights
    source = ["--read-from", SOURCE_MOUNT] if parse_source(model.source).scheme == "file" else []
    # A claim that was told to grow does so when it is mounted, which takes a while.
    asked = ["--volume-size", str(size_bytes(weights.size))] if weights.size and place.volume.sized else []
    cleaning = [] if in_use is None else ["--keep", str(weights.keep_revisions), "--in-use", in_use]
    return [
        *("weight-seeder", "seed", *_wanted(model, place), *_deep(model), *source, *asked),
        *("--workers", str(weights.max_workers), "--patience", str(PATIENCE)),
        *("--metrics-port", str(METRICS_PORT)),
        *cleaning,
    ]


def check_command(model: Model, place: Place) -> list[str]:
    """Ends with 0 only where the folder is published and whole."""
    return ["weight-seeder", "check", *_wanted(model, place), *_deep(model)]


def clean_command(model: Model, place: Place, in_use: pulumi.Input[str]) -> list[pulumi.Input[str]]:
    """Removes all revisions but this one, the last ones before it, and what a pod of the selector reads.

    Replicas of the rollout that has just ended may still drain: they are waited for.
    """
    keep = ("--keep", str(model.weights.keep_revisions), "--wait", str(cleaning_wait(model)))
    return ["weight-seeder", "clean", *_where(place), *keep, "--in-use", in_use]


def seeder_labels(name: str) -> dict[str, str]:
    """Labels that the model's seeding pods have and no others."""
    return {"app.kubernetes.io/name": "weight-seeder", "app.kubernetes.io/instance": name}


def reader_labels(name: str) -> dict[str, str]:
    """Labels that the model's replicas have and no others, whatever their engine."""
    return {"app.kubernetes.io/instance": name, "app.kubernetes.io/component": "engine"}


def readers(name: str, namespace: pulumi.Input[str]) -> pulumi.Output[str]:
    """`NAMESPACE/SELECTOR` of the model's replicas, each of which names its folder in an annotation."""
    labels = ",".join(f"{key}={value}" for key, value in reader_labels(name).items())
    return pulumi.Output.concat(namespace, "/", labels)


def environment(model: Model, *, region: str | None, secret: pulumi.Input[str] | None) -> list[k8s.core.v1.EnvVarArgs]:
    """What the seeder asks its source with; what signs in is in `secret` alone, where there is one.

    `region` is the stack's, in which a bucket is unless the settings say another.
    """
    scheme, endpoint = parse_source(model.source).scheme, model.weights.endpoint
    own = {"HOME": TMP, "USER": "inference"}
    if scheme == "hf":
        own |= {"HF_HOME": f"{TMP}/huggingface", "HF_HUB_DISABLE_TELEMETRY": "1"}
    if scheme == "s3":
        # The role of the node is not the seeder's, and asking for it takes seconds where nobody answers.
        own |= {"AWS_EC2_METADATA_DISABLED": "true"}
        bucket_region = model.weights.region or region
        # Not AWS_REGION, which botocore does not read.
        own |= {} if bucket_region is None else {"AWS_DEFAULT_REGION": bucket_region}
    if scheme == "ollama":
        # Its start would remove what an earlier pod has begun.
        own |= {"OLLAMA_HOST": "127.0.0.1:11434", "OLLAMA_NOPRUNE": "1"}
    if scheme == "ngc":
        own |= {"XDG_CACHE_HOME": f"{TMP}/.cache", "XDG_CONFIG_HOME": f"{TMP}/.config"}
    if endpoint is not None and scheme in ENDPOINTS:
        own |= {ENDPOINTS[scheme]: endpoint}
    if secret is None:
        return pod.environment(own)
    return [
        *pod.environment(own),
        *(pod.secret_variable(name, secret, key) for name, key in CREDENTIALS.get(scheme, {}).items()),
    ]


def seeder_container(
    model: Model,
    image: str,
    *,
    command: Sequence[pulumi.Input[str]],
    env: Sequence[k8s.core.v1.EnvVarArgs],
    mounts: Sequence[k8s.core.v1.VolumeMountArgs] = (),
) -> k8s.core.v1.ContainerArgs:
    """The seeder, for a pod with the volumes `weights` and `tmp`, and those of `mounts`."""
    return k8s.core.v1.ContainerArgs(
        name="seed",
        image=image,
        image_pull_policy="IfNotPresent",
        command=command,
        env=env,
        ports=[k8s.core.v1.ContainerPortArgs(name="metrics", container_port=METRICS_PORT, protocol="TCP")],
        resources=pod.resources(model.weights.resources),
        security_context=pod.container_security(),
        # Its one line of error is what Pulumi shows of a pod that failed.
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=[
            k8s.core.v1.VolumeMountArgs(name="weights", mount_path=MOUNT),
            k8s.core.v1.VolumeMountArgs(name="tmp", mount_path=TMP),
            *mounts,
        ],
    )


def check_container(model: Model, image: str, place: Place) -> k8s.core.v1.ContainerArgs:
    """Keeps a replica from starting with weights that are not whole; it asks no source, and changes nothing."""
    mount = k8s.core.v1.VolumeMountArgs(name="weights", mount_path=MOUNT, read_only=True)
    return _small("check", image, check_command(model, place), mount)


def clean_container(image: str, command: Sequence[pulumi.Input[str]]) -> k8s.core.v1.ContainerArgs:
    """Removes what nobody reads; the pod's account may list the pods of its namespace."""
    return _small("clean", image, command, k8s.core.v1.VolumeMountArgs(name="weights", mount_path=MOUNT))


def _small(
    name: str, image: str, command: Sequence[pulumi.Input[str]], mount: k8s.core.v1.VolumeMountArgs
) -> k8s.core.v1.ContainerArgs:
    return k8s.core.v1.ContainerArgs(
        name=name,
        image=image,
        image_pull_policy="IfNotPresent",
        command=command,
        resources=pod.resources(SMALL),
        security_context=pod.container_security(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=[mount],
    )


def _wanted(model: Model, place: Place) -> list[str]:
    """The revision and the selection of its files, alike for seeding and checking; an engine's tool takes all."""
    if parse_source(model.source).scheme in TOOL_OF:
        return ["--source", model.source, *_where(place)]
    # In one word each: a pattern may begin with a hyphen.
    include = [f"--include={pattern}" for pattern in model.weights.include]
    exclude = [f"--exclude={pattern}" for pattern in model.weights.exclude]
    return ["--source", model.source, *_where(place), *include, *exclude]


def _where(place: Place) -> list[str]:
    return ["--volume", place.root, "--folder", place.folder]


def _deep(model: Model) -> list[str]:
    """Whether every byte is read: by who seeds as well, since it alone can mend what a replica refuses."""
    return ["--checksums"] if model.weights.check == "checksums" else []
