"""Weights that only an engine's own tool can fetch, in the same Job as all others: Ollama's models, and NIM's profiles.

The tool fills a work folder on the volume. A script around it, which the shell of the engine's image runs, decides what
"whole" means as the seeder does: every file is hashed on the volume, what is pinned has to be among them, the manifest
is written last, and one rename publishes the folder. So a replica's check, cleaning and rolling back are those of every
other source. A tool that fails leaves its work, from which the next pod goes on, and no manifest.

Ollama pulls by a tag and keeps files under their digests: a tag that means another manifest by now is refused. A NIM
image has a list of profiles, by ids that are hashes of their files: what it downloads is pinned by the id.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

import pulumi_kubernetes as k8s

from components import pod
from components.engines import image_of
from components.settings import Model, parse_source
from components.settings.source_forms import ENGINES as TOOL_OF
from components.volume import Place
from components.weight_seeder import MOUNT, TMP

SCRIPT: Final = files("components").joinpath("engine_seeding.sh").read_text()


def command(name: str, model: Model, place: Place) -> list[str]:
    """The script with its arguments, none of which is part of its text."""
    source = parse_source(model.source)
    deep = "checksums" if model.weights.check == "checksums" else "sizes"
    # Ollama serves under the name that the store has; the settings' key is what all engines answer to.
    words = (
        TOOL_OF[source.scheme],
        place.root,
        place.folder,
        model.source,
        source.revision,
        deep,
        source.location,
        name,
    )
    return ["/bin/sh", "-c", SCRIPT, "seed", *words]


def engine_container(
    name: str,
    model: Model,
    place: Place,
    *,
    env: Sequence[k8s.core.v1.EnvVarArgs],
) -> k8s.core.v1.ContainerArgs:
    """The engine's image as the seeder of its own source, for a pod with the volumes `weights` and `tmp`."""
    return k8s.core.v1.ContainerArgs(
        name="seed",
        image=image_of(model),
        image_pull_policy="IfNotPresent",
        command=command(name, model, place),
        env=env,
        resources=pod.resources(model.weights.resources),
        security_context=pod.container_security(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=[
            k8s.core.v1.VolumeMountArgs(name="weights", mount_path=MOUNT),
            k8s.core.v1.VolumeMountArgs(name="tmp", mount_path=TMP),
        ],
    )
