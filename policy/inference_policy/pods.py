"""The pods that a resource of Kubernetes makes, whatever kind it is of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from inference_policy.resource import Resource, at, listed, mapping

_TEMPLATE: Final = (("spec", "template"),)
_LEADER: Final = ("spec", "leaderWorkerTemplate", "leaderTemplate")
_WORKER: Final = ("spec", "leaderWorkerTemplate", "workerTemplate")
TEMPLATES: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "Pod": ((),),
    "PodTemplate": (("template",),),
    "CronJob": (("spec", "jobTemplate", "spec", "template"),),
    "LeaderWorkerSet": (_LEADER, _WORKER),
}
"""Where the pods of a kind are described; of every other kind, operators' included, where a Deployment has them."""
SERVES: Final = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "LeaderWorkerSet", "DaemonSet"})
"""Kinds whose pods are to run for ever."""
_GPUS: Final = ("nvidia.com/gpu", "nvidia.com/mig-", "amd.com/gpu", "gpu.intel.com/")


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container, and how messages name it."""

    title: str
    spec: Mapping[str, Any]
    starts: bool
    """Whether it is one of those that run before the others."""

    @property
    def gpus(self) -> bool:
        """Whether it asks for a GPU, or a part of one."""
        amounts = {**mapping(self.spec, "resources", "requests"), **mapping(self.spec, "resources", "limits")}
        return any(name.startswith(_GPUS) and str(amount) != "0" for name, amount in amounts.items())


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod as its template describes it."""

    title: str
    kind: str
    labels: Mapping[str, Any]
    spec: Mapping[str, Any]
    worker: bool
    """Whether it is one of several of a replica, and requests go to another."""

    @property
    def containers(self) -> list[Container]:
        """All of them, those that run first included."""
        return [
            Container(title=f"{self.title}, container {at(each, 'name')}", spec=each, starts=key == "initContainers")
            for key in ("initContainers", "containers")
            for each in listed(self.spec, key)
        ]

    @property
    def gpus(self) -> bool:
        """Whether any of them asks for a GPU."""
        return any(each.gpus for each in self.containers)


def pods(resource: Resource) -> Iterator[Pod]:
    """The kinds of pod that a resource makes; none where it makes none."""
    if not resource.kind:
        return
    for path in TEMPLATES.get(resource.kind, _TEMPLATE):
        template = at(resource.inputs, *path)
        if listed(template, "spec", "containers"):
            several = path in {_LEADER, _WORKER} and at(resource.inputs, *_LEADER) is not None
            yield Pod(
                title=resource.title + (f", {path[-1]}" if several else ""),
                kind=resource.kind,
                labels=mapping(template, "metadata", "labels"),
                spec=mapping(template, "spec"),
                worker=several and path == _WORKER,
            )
