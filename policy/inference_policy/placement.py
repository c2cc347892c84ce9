"""Pods with GPUs go to GPU nodes, and no other pod does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from inference_policy.pods import Pod, pods
from inference_policy.resource import UNKNOWN, Resource, at, listed, mapping
from inference_policy.rule import Config, Rule, names

_TERMS: Final = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
_WANTS: Final = frozenset({"In", "Exists"})
_OF_EVERY_NODE: Final = re.compile(
    r"(?:beta\.)?kubernetes\.io/(?:os|arch)$|(?:topology|failure-domain\.beta)\.kubernetes\.io/"
)
"""Labels that choose no pool."""
_NO_SCHEDULE: Final = (None, "", "NoSchedule")
"""Effects of a toleration that covers the taint of GPU nodes."""
_TAINTS: Final = ("nvidia.com/gpu", "amd.com/gpu")
_BYPASS: Final = "nodeName passes the scheduler by, and with it every taint; select nodes by their labels"


def placed(resource: Resource, config: Config) -> Iterator[str]:
    """A pod with GPUs names the taint that it tolerates, and selects nodes of a pool."""
    for pod in pods(resource):
        if not pod.gpus:
            continue
        named = [each for each in listed(pod.spec, "tolerations") if at(each, "key") in (*config["taints"], UNKNOWN)]
        if at(pod.spec, "tolerations") is not UNKNOWN and not any(map(_lets_in, named)):
            taints = ", ".join(config["taints"])
            yield f"{pod.title}: asks for GPUs and does not tolerate GPU nodes' taint by its key ({taints}); add that"
        if not _selects(pod):
            yield f"{pod.title}: asks for GPUs and selects no pool of nodes; add the pool's label to its nodeSelector"
        if at(pod.spec, "nodeName"):
            yield f"{pod.title}: {_BYPASS}"


def reserved(resource: Resource, config: Config) -> Iterator[str]:
    """A pod without GPUs neither tolerates a GPU node's taint nor selects such nodes."""
    for pod in pods(resource):
        component = pod.labels.get("app.kubernetes.io/component")
        if pod.gpus or pod.kind == "DaemonSet" or component in config["components"]:
            continue
        if any(_tolerates(each, config["taints"]) for each in listed(pod.spec, "tolerations")):
            yield f"{pod.title}: asks for no GPU and tolerates the taint of GPU nodes; take the toleration out"
        if wanted := sorted(_wanted(pod) & set(config["labels"])):
            yield f"{pod.title}: asks for no GPU and selects GPU nodes by {', '.join(wanted)}; take that out"
        if at(pod.spec, "nodeName"):
            yield f"{pod.title}: {_BYPASS}"


def _selects(pod: Pod) -> bool:
    """Whether labels that not every node has choose its nodes: of several terms of an affinity each, as one will do."""
    if UNKNOWN in (at(pod.spec, "nodeSelector"), at(pod.spec, *_TERMS)):
        return True
    terms = [_keys(term) for term in listed(pod.spec, *_TERMS)]
    return _choose(mapping(pod.spec, "nodeSelector")) or (bool(terms) and all(map(_choose, terms)))


def _choose(labels: Iterable[str]) -> bool:
    return any(not _OF_EVERY_NODE.match(label) for label in labels)


def _wanted(pod: Pod) -> set[str]:
    """Labels that the pod's nodes must have."""
    return set(mapping(pod.spec, "nodeSelector")).union(*map(_keys, listed(pod.spec, *_TERMS)))


def _keys(term: Any) -> set[str]:
    wanted = (each for each in listed(term, "matchExpressions") if at(each, "operator") in (*_WANTS, UNKNOWN))
    return {str(at(each, "key")) for each in wanted}


def _tolerates(toleration: Any, taints: list[str]) -> bool:
    """Whether it covers one of the taints; without a key it covers all that have its effect."""
    key = at(toleration, "key")
    if not key:
        return at(toleration, "operator") == "Exists" and at(toleration, "effect") in _NO_SCHEDULE
    return key in taints and _lets_in(toleration)


def _lets_in(toleration: Any) -> bool:
    """Whether it covers more than a taint that is a wish."""
    return str(at(toleration, "effect")) != "PreferNoSchedule"


PLACED: Final = Rule(
    name="gpu-workloads-placed",
    description="Pods that ask for GPUs tolerate the taint of GPU nodes by its key, and select their pool.",
    check=placed,
    settings={"taints": names("Keys of the taints that GPU nodes have; one of them will do.", *_TAINTS)},
)
RESERVED: Final = Rule(
    name="gpu-nodes-reserved",
    description="Nothing but pods that ask for GPUs, and daemons, lands on GPU nodes.",
    check=reserved,
    settings={
        "taints": names("Keys of the taints that GPU nodes have.", *_TAINTS),
        "labels": names(
            "Labels that GPU nodes alone have.",
            "inference/gpu-pool",
            "inference/gpu-generation",
            "k8s.amazonaws.com/accelerator",
            "nvidia.com/gpu.present",
            "nvidia.com/gpu.product",
        ),
        "components": names(
            "Values of app.kubernetes.io/component that may: Jobs on a volume that one GPU node mounts.", "weights"
        ),
    },
)
