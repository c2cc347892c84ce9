"""Pods with GPUs go to GPU nodes, and no other pod does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from inference_policy.pods import Pod, pods
from inference_policy.resource import UNKNOWN, Resource, at, listed, mapping
from inference_policy.rule import Config, Rule, names

_TERMS: Final = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
_WANTS: Final = frozenset({"In", "Exists"})
_BYPASS: Final = "nodeName passes the scheduler by, and with it every taint; select nodes by their labels"


def placed(resource: Resource, _: Config) -> Iterator[str]:
    """A pod with GPUs names the taint that it tolerates, and selects nodes."""
    for pod in pods(resource):
        if not pod.gpus:
            continue
        keys = [at(each, "key") for each in listed(pod.spec, "tolerations")]
        if at(pod.spec, "tolerations") is not UNKNOWN and not any(keys):
            yield f"{pod.title}: asks for GPUs and tolerates no taint by its key; add that of the pool's nodes"
        if not _selects(pod):
            yield f"{pod.title}: asks for GPUs and selects no nodes; add the pool's label to its nodeSelector"
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
    selector, terms = at(pod.spec, "nodeSelector"), at(pod.spec, *_TERMS)
    return selector is UNKNOWN or terms is UNKNOWN or bool(selector) or bool(terms)


def _wanted(pod: Pod) -> set[str]:
    """Labels that the pod's nodes must have."""
    return set(mapping(pod.spec, "nodeSelector")) | {
        str(at(expression, "key"))
        for term in listed(pod.spec, *_TERMS)
        for expression in listed(term, "matchExpressions")
        if at(expression, "operator") in _WANTS
    }


def _tolerates(toleration: Any, taints: list[str]) -> bool:
    """Whether it covers one of the taints; without a key it covers all."""
    key = at(toleration, "key")
    return key in taints or (not key and at(toleration, "operator") == "Exists")


PLACED: Final = Rule(
    name="gpu-workloads-placed",
    description="Pods that ask for GPUs tolerate the taint of GPU nodes by its key, and select their pool.",
    check=placed,
)
RESERVED: Final = Rule(
    name="gpu-nodes-reserved",
    description="Nothing but pods that ask for GPUs, and daemons, lands on GPU nodes.",
    check=reserved,
    settings={
        "taints": names("Keys of the taints that GPU nodes have.", "nvidia.com/gpu"),
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
