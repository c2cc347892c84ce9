"""Nothing is open to the internet that does not ask for a key: an engine answers, and bills, whoever asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from inference_policy.addresses import Door, doors, near, notes_of
from inference_policy.pods import Pod, pods
from inference_policy.resource import UNKNOWN, Resource, Stack, at, listed, mapping, may_be
from inference_policy.rule import Config, StackRule, names

_KEY: Final = re.compile(r"(?:api|master)[-_]?keys?$", re.IGNORECASE)
_OUTGOING: Final = re.compile(
    r"(?:^|[-_/])(?:ngc|nvidia|nim|hf|hugging[-_]?face|aws|azure|google|gemini|openai|anthropic|cohere|mistral|groq"
    r"|together|openrouter|wandb|datadog|dd|langfuse|langsmith|sentry|tavily)[-_](?:\w+[-_])*api[-_]?keys?$",
    re.IGNORECASE,
)
"""Keys that a pod shows to others, as every NIM does to NVIDIA's registry: they keep nobody out."""
_ASKS_AT_THE_DOOR: Final = re.compile(r"/auth-(?:url|secret|tls-secret|type)$")
"""Annotations of an Ingress whose controller asks who comes."""


def keyed(stack: Stack, config: Config) -> Iterator[tuple[Resource, str]]:
    """What is behind a public address asks for keys; AWS's own balancers are internal."""
    for door in doors(stack, config["private"]):
        kind_and_name = f"{door.resource.kind}/{door.resource.name}"
        if not {door.resource.name, kind_and_name} & set(config["open"]) and not _guarded(door):
            yield from ((door.resource, message) for message in _unkeyed(stack, door))


def _unkeyed(stack: Stack, door: Door) -> Iterator[str]:
    behind = [pod for each in door.backends for pod in _behind(stack, each)]
    if not door.resource.kind:
        yield f"{door.resource.title}: is open to the internet, and asks for no key; {door.fix}"
    elif door.certain and not behind:
        yield f"{door.resource.title}: is open to the internet, to pods that the stack does not know; {door.fix}"
    said = "is open to the internet" if door.certain else "may be open to the internet"
    for title in dict.fromkeys(pod.title for pod in behind if not _asks_for_a_key(pod)):
        yield f"{door.resource.title}: {said}, and {title} asks for no key; {door.fix}"


def _guarded(door: Door) -> bool:
    notes = mapping(notes_of(door.resource))
    return door.resource.kind == "Ingress" and any(
        _ASKS_AT_THE_DOOR.search(key) and value != "none" for key, value in notes.items()
    )


def _behind(stack: Stack, service: Resource) -> Iterator[Pod]:
    """The pods that a Service, or a pool of the inference extension, selects."""
    selector = mapping(service.inputs, "spec", "selector")
    wanted = mapping(selector, "matchLabels") or selector
    for resource in stack.resources.values():
        if wanted and resource.kind and near(resource, service):
            yield from (
                pod
                for pod in pods(resource)
                if all(key in pod.labels and may_be(pod.labels[key], value) for key, value in wanted.items())
            )


def _asks_for_a_key(pod: Pod) -> bool:
    """Whether keys that clients show come into it from a Secret: as a variable, or as a volume that is mounted."""
    variables = [at(each.spec, "env") for each in pod.containers]
    if UNKNOWN in (at(pod.spec, "volumes"), *variables):
        return True
    secrets = [
        [at(each, "name")]
        for container in pod.containers
        for each in listed(container.spec, "env")
        if at(each, "valueFrom", "secretKeyRef") is not None
    ]
    secrets += [
        [at(each, "name"), at(each, "secret", "secretName")]
        for each in listed(pod.spec, "volumes")
        if at(each, "secret") is not None
    ]
    return any(map(_lets_in, secrets))


def _lets_in(names_of_secret: list[Any]) -> bool:
    said = [str(each) for each in names_of_secret]
    return any(map(_KEY.search, said)) and not any(map(_OUTGOING.search, said))


KEYED: Final = StackRule(
    name="public-doors-keyed",
    description=(
        "What the internet may reach (a balancer, a Service, an Ingress, a Gateway's route) leads to engines that ask "
        "for a key; NodePorts, and kinds of a controller's own, are not seen."
    ),
    check=keyed,
    settings={
        "open": names("Names of resources, or KIND/NAME, that may be open without a key."),
        "private": names("Classes of Ingresses and Gateways, and names of Gateways, that the internet does not reach."),
    },
)
