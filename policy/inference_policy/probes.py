"""Containers that serve have probes, and none that restarts a busy or a loading engine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from inference_policy.pods import SERVES, Container, Pod, pods
from inference_policy.resource import Resource, at, listed
from inference_policy.rule import Config, Rule, names

_ASKS_THE_MODEL: Final = re.compile(r"completions|generate|embeddings|/infer\b")


def probed(resource: Resource, config: Config) -> Iterator[str]:
    """Those with a port or a GPU in pods that are to run for ever, but not the workers of a replica."""
    if resource.kind not in SERVES or resource.name in config["exempt"]:
        return
    for pod in pods(resource):
        for container in pod.containers:
            if _serves(pod, container):
                yield from _problems(container)


def _serves(pod: Pod, container: Container) -> bool:
    return not container.starts and not pod.worker and bool(listed(container.spec, "ports") or container.gpus)


def _problems(container: Container) -> Iterator[str]:
    needed = {"readinessProbe": "clients are sent to it before it answers"}
    needed["livenessProbe"] = "one that hangs stays so"
    if container.gpus:
        needed["startupProbe"] = "its liveness probe ends it while it loads"
    for key, consequence in needed.items():
        if at(container.spec, key) is None:
            yield f"{container.title}: has no {key}: {consequence}; add one"
    if _ASKS_THE_MODEL.search(json.dumps(at(container.spec, "livenessProbe"), default=str)):
        yield (
            f"{container.title}: its livenessProbe asks the model: under load it fails, and restarts a healthy engine; "
            "probe the process only"
        )


PROBED: Final = Rule(
    name="servers-probed",
    description="What serves has probes: of readiness, of the process alone, and of the start where it loads a model.",
    check=probed,
    settings={"exempt": names("Names of resources whose pods serve nobody, with or without ports.")},
)
