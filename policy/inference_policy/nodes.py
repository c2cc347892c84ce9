"""GPU nodes keep away what does not ask for a GPU."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from inference_policy.resource import UNKNOWN, Resource, Stack, at, listed
from inference_policy.rule import Config, StackRule

_GPU_TYPE: Final = re.compile(r"(?:g|gr|p)\d")
"""Instance types of AWS with GPUs: https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html."""
_KEEPS_AWAY: Final = frozenset({"NO_SCHEDULE", "NO_EXECUTE", "NoSchedule", "NoExecute"})
"""As EKS says it, and as Kubernetes does."""
_GPU_LABEL: Final = "karpenter.k8s.aws/instance-gpu-"
_BY_VALUE: Final = frozenset(
    {
        "node.kubernetes.io/instance-type",
        *(f"{group}/instance-{what}" for group in ("karpenter.k8s.aws", "eks.amazonaws.com") for what in ("family",)),
    }
)
_CATEGORIES: Final = frozenset({"karpenter.k8s.aws/instance-category", "eks.amazonaws.com/instance-category"})


def tainted(stack: Stack, _: Config) -> Iterator[tuple[Resource, str]]:
    """A group of GPU nodes has a taint that pods must tolerate to be scheduled."""
    for resource in stack.resources.values():
        path = ("spec", "template", "spec", "taints") if resource.kind else ("taints",)
        taints = at(resource.inputs, *path)
        if taints is not UNKNOWN and _has_gpus(resource, stack) and not any(map(_keeps_away, listed(taints))):
            fix = "add nvidia.com/gpu=present with NoSchedule"
            yield resource, f"{resource.title}: its nodes have GPUs and no taint; {fix}"


def _keeps_away(taint: Any) -> bool:
    effect = at(taint, "effect")
    return taint is UNKNOWN or effect is UNKNOWN or str(effect) in _KEEPS_AWAY


def _has_gpus(resource: Resource, stack: Stack) -> bool:
    if resource.type == "aws:eks/nodeGroup:NodeGroup":
        # With a template the group says no type where the template does.
        types = [at(each.inputs, "instanceType") for each in _templates(resource, stack)]
        types += listed(resource.inputs, "instanceTypes")
        return "NVIDIA" in str(at(resource.inputs, "amiType")) or any(_GPU_TYPE.match(str(each)) for each in types)
    if resource.kind == "NodePool" and "karpenter.sh" in resource.type:
        return any(map(_requires_gpus, listed(resource.inputs, "spec", "template", "spec", "requirements")))
    return False


def _templates(group: Resource, stack: Stack) -> Iterator[Resource]:
    """The launch template of a node group, by what its id comes from, or by its name."""
    behind = stack.behind(group, "launchTemplate")
    name = at(group.inputs, "launchTemplate", "name")
    for each in stack.resources.values():
        if each.type == "aws:ec2/launchTemplate:LaunchTemplate":
            named = isinstance(name, str) and at(each.inputs, "name") == name
            if each in behind or named:
                yield each


def _requires_gpus(requirement: Any) -> bool:
    key, values = str(at(requirement, "key")), [str(each) for each in listed(requirement, "values")]
    if at(requirement, "operator") not in {"In", "Exists", "Gt"}:
        return False
    if key in _CATEGORIES:
        return bool({"g", "p"} & set(values))
    return key.startswith(_GPU_LABEL) or (key in _BY_VALUE and any(map(_GPU_TYPE.match, values)))


TAINTED: Final = StackRule(
    name="gpu-nodes-tainted",
    description="Nodes with GPUs have a taint, so that nothing else is scheduled on them.",
    check=tainted,
)
