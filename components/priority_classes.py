"""Priorities of the stack's own, by which the scheduler chooses who runs where not all can."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from components.pod import MANAGED_BY
from components.settings import PriorityClass, Settings
from components.volume import digest


class PriorityClasses(pulumi.ComponentResource):
    """A PriorityClass for each of `inference:priorityClasses`; `names` are those that pods give, by the settings' keys.

    A class cannot be changed, and is the whole cluster's: its name has the stack's namespace and a digest of what it
    says, so that another value is another class, which the replicas take by an ordinary rollout.
    """

    names: dict[str, pulumi.Output[str]]

    def __init__(
        self,
        name: str,
        classes: Mapping[str, PriorityClass],
        *,
        namespace: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make the classes; the names are known only when they are there, so that no pod asks for one before."""
        super().__init__("inference:index:PriorityClasses", name, None, opts)
        self.names = {}
        for key, each in classes.items():
            full = f"{namespace}-{key}-{digest(each.value, each.preempt)}"
            made = k8s.scheduling.v1.PriorityClass(
                full,
                metadata=k8s.meta.v1.ObjectMetaArgs(name=full, labels=MANAGED_BY),
                value=each.value,
                preemption_policy="PreemptLowerPriority" if each.preempt else "Never",
                description=f"Replicas of {namespace} with priority {key}.",
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.names[key] = made.metadata.name
        self.register_outputs({"names": self.names})


def priority_classes(settings: Settings, opts: pulumi.ResourceOptions) -> dict[str, pulumi.Input[str] | None]:
    """For each model the name of its PriorityClass: one that this makes, or one that the cluster has to have."""
    wanted = {name: model.priority_class for name, model in settings.models.items()}
    classes = settings.priority_classes
    names = (
        PriorityClasses("priority-classes", classes, namespace=settings.namespace, opts=opts).names if classes else {}
    )
    for name, key in wanted.items():
        if key is not None and key not in classes:
            pulumi.log.info(
                f"{name}: priority class {key} is none of inference:priorityClasses; the cluster has to have it"
            )
    return {name: key and names.get(key, key) for name, key in wanted.items()}
