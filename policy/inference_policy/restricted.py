"""Pod Security's restricted level, for pods of every kind, which a namespace refuses only once they are made.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from inference_policy.controls import CONTAINER_CONTROLS, POD_CONTROLS
from inference_policy.pods import TEMPLATES, pods
from inference_policy.resource import Resource, at, listed
from inference_policy.rule import Config, Rule, by_name

_DAEMON: Final = ["runs-as-root", "user", "volumes", "capabilities", "escalation"]
"""The kubelet's sockets belong to root; slicing GPUs and measuring them is an administrator's."""


def restricted(resource: Resource, config: Config) -> Iterator[str]:
    """Each control that a pod or one of its containers does not meet, unless the settings let that resource off it."""
    let_off = config["except"].get(f"{resource.kind}/{resource.name}", ())
    for pod in pods(resource):
        for control, problems in POD_CONTROLS.items():
            if control not in let_off:
                yield from (f"{pod.title}: {each} ({control})" for each in problems(pod.spec))
        for container in pod.containers:
            for control, found in CONTAINER_CONTROLS.items():
                if control not in let_off:
                    yield from (f"{container.title}: {each} ({control})" for each in found(container.spec, pod.spec))


def restrict(kind: str, inputs: dict[str, Any], config: Config) -> bool:
    """Give pods what they say nothing of; what one says, allowed or not, is left to whoever wrote it."""
    resource = Resource(type=kind, name="", inputs=inputs)
    if not any(True for _ in pods(resource)) or f"{resource.kind}/{at(inputs, 'metadata', 'name')}" in config["except"]:
        return False
    before = repr(inputs)
    for path in TEMPLATES.get(resource.kind, (("spec", "template"),)):
        if not listed(inputs, *path, "spec", "containers"):
            continue  # a leader's template that is not there is the workers' own
        spec = _inside(inputs, *path, "spec")
        security = _inside(spec, "securityContext")
        security.setdefault("seccompProfile", {"type": "RuntimeDefault"})
        security.setdefault("runAsNonRoot", True)
        for container in [*listed(spec, "initContainers"), *listed(spec, "containers")]:
            own = _inside(container, "securityContext")
            own.setdefault("allowPrivilegeEscalation", False)
            _inside(own, "capabilities").setdefault("drop", ["ALL"])
    return repr(inputs) != before


def _inside(tree: Any, *path: str) -> dict[str, Any]:
    """The map at the path, made where there is none; where it is not known, one that goes nowhere."""
    found = tree if isinstance(tree, dict) else {}
    for step in path:
        below = found.setdefault(step, {})
        found = below if isinstance(below, dict) else {}
    return found


RESTRICTED: Final = Rule(
    name="pods-restricted",
    description="Pods meet Pod Security's restricted level.",
    check=restricted,
    settings={
        "except": by_name(
            "Controls that a resource, KIND/NAME, is let off.",
            dict.fromkeys(("DaemonSet/nvidia-device-plugin", "DaemonSet/dcgm-exporter"), _DAEMON),
        )
    },
    remedy=restrict,
)
