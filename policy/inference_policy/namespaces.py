"""Namespaces enforce Pod Security: https://kubernetes.io/docs/concepts/security/pod-security-admission/."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from inference_policy.resource import UNKNOWN, Resource, at
from inference_policy.rule import Config, Rule, by_name

_LABEL: Final = "pod-security.kubernetes.io/"
_NAMESPACE: Final = "kubernetes:core/v1:Namespace"


def restricted(resource: Resource, config: Config) -> Iterator[str]:
    """The level that a namespace enforces is `restricted`, or the one that the settings give it."""
    if resource.type != _NAMESPACE:
        return
    level = at(resource.inputs, "metadata", "labels", f"{_LABEL}enforce")
    name = at(resource.inputs, "metadata", "name")
    allowed = ("restricted", config["levels"].get(resource.name if name is UNKNOWN else name, "restricted"))
    if level is not UNKNOWN and level not in allowed:
        said = f"enforces {level}" if level else "enforces no Pod Security"
        yield f"{resource.title}: {said}; label it {_LABEL}enforce: restricted, or give it a level in policy/STACK.json"


def restrict(kind: str, inputs: dict[str, Any], config: Config) -> bool:
    """Restrict a namespace that says nothing; one that says otherwise is left to whoever wrote it."""
    if kind != _NAMESPACE:
        return False
    metadata = inputs.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        return False
    labels = metadata.setdefault("labels", {})
    if not isinstance(labels, dict) or f"{_LABEL}enforce" in labels:
        return False
    level = config["levels"].get(metadata.get("name"), "restricted")
    labels |= {f"{_LABEL}{mode}": level for mode in ("enforce", "warn", "audit")}
    return True


RESTRICTED: Final = Rule(
    name="namespaces-restricted",
    description="Every namespace enforces Pod Security's restricted level, or the one that was agreed for it.",
    check=restricted,
    settings={
        "levels": by_name(
            "Lower levels by namespace: daemons that need the node, and charts that cannot do with less.",
            {
                "nvidia-device-plugin": "privileged",
                "dcgm-exporter": "privileged",
                "monitoring": "privileged",
                "keda": "baseline",
            },
        )
    },
    remedy=restrict,
)
