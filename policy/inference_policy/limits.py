"""Containers say what they need at most: one without a limit takes its node's memory from the engine beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from inference_policy.pods import pods
from inference_policy.resource import Resource, at
from inference_policy.rule import Config, Rule, names


def limited(resource: Resource, config: Config) -> Iterator[str]:
    """Requests and limits of each container, those that run first included."""
    for pod in pods(resource):
        for container in pod.containers:
            for key, amounts in (("requests", config["requests"]), ("limits", config["limits"])):
                missing = [each for each in amounts if at(container.spec, "resources", key, each) is None]
                # A limit without a request is the request as well.
                if key == "requests":
                    missing = [each for each in missing if at(container.spec, "resources", "limits", each) is None]
                if missing:
                    yield f"{container.title}: resources.{key} has no {', '.join(missing)}; set what it needs"


LIMITED: Final = Rule(
    name="containers-limited",
    description="Every container has requests and limits.",
    check=limited,
    settings={
        "requests": names("Resources that must be requested.", "cpu", "memory"),
        "limits": names("Resources that must be limited.", "cpu", "memory"),
    },
)
