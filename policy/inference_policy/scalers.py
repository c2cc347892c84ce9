"""A scaler has the number of replicas to itself: a program that sets it undoes at every `up` what demand has made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from inference_policy.resource import UNKNOWN, Resource, Stack, at, may_be
from inference_policy.rule import Config, StackRule

_KINDS: Final = ("ScaledObject", "HorizontalPodAutoscaler")


def own_replicas(stack: Stack, _: Config) -> Iterator[tuple[Resource, str]]:
    """What a scaler scales says no number, or one that is for its first day; and no two scalers scale it."""
    scaled: dict[str, Resource] = {}
    for scaler in stack.of(*_KINDS):
        for target in targets(stack, scaler):
            number = at(target.inputs, "spec", "replicas")
            if number is not None and not {"spec", "spec.replicas"} & set(target.ignored):
                fix = 'leave it out, or ignore its changes: ignore_changes=["spec.replicas"]'
                yield target, f"{target.title}: sets spec.replicas, which {scaler.title} scales; {fix}"
            if target.urn in scaled:
                other = scaled[target.urn].title
                yield scaler, f"{scaler.title}: {target.title} is scaled by {other} too; keep one of them"
            scaled[target.urn] = scaler


def targets(stack: Stack, scaler: Resource) -> list[Resource]:
    """What it scales; where its name is not known yet, what the name will come from."""
    kind = at(scaler.inputs, "spec", "scaleTargetRef", "kind") or "Deployment"
    name = at(scaler.inputs, "spec", "scaleTargetRef", "name")
    if kind is UNKNOWN or name is UNKNOWN:
        return [each for each in stack.behind(scaler, "spec") if may_be(each.kind, kind)]
    return [
        each
        for each in stack.of(str(kind))
        if at(each.inputs, "metadata", "name") == name and may_be(_namespace(each), _namespace(scaler))
    ]


def _namespace(resource: Resource) -> object:
    return at(resource.inputs, "metadata", "namespace") or "default"


OWN_REPLICAS: Final = StackRule(
    name="scalers-own-replicas",
    description="What a scaler scales has its number of replicas from that scaler alone.",
    check=own_replicas,
)
