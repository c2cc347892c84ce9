"""When an object is ready, and what keeps it from being so. Pure but for `ask`, which gets what is related to it.

The rules for a kind, or for the annotation `pulumi.com/waitFor`, are those of the official plugin.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rehearsal.plugins.properties import annotation, at

Obj = dict[str, Any]
Ask = Callable[..., Any]  # ask(path, **query): what is served there, or {}
Verdict = tuple[bool | None, str]  # whether the object is ready (None: it failed for good), and what is still to come


def judge(obj: Obj, ask: Ask) -> Verdict:
    """Whether `obj` is ready, and what is still to come."""
    wanted = annotation(obj, "waitFor") or CONDITIONS.get(obj["kind"], "")
    if not wanted:
        return RULES[obj["kind"]](obj, ask) if obj["kind"] in RULES else (True, "")
    unmet = [each for each in (json.loads(wanted) if wanted.startswith("[") else [wanted]) if not _met(each, obj)]
    return not unmet, f"waiting for {', '.join(unmet)}"


def _conditions(obj: Obj) -> Obj:
    return {c["type"]: c for c in at(obj, "status", "conditions", default=[])}


def _met(expression: str, obj: Obj) -> bool:
    # As kubectl writes it: condition=Ready, condition=Ready=False, jsonpath={.status.phase}=Running
    form, name, value, *_ = [*expression.split("=", 2), ""]
    if form == "condition":
        return str(at(_conditions(obj), name, "status")).lower() == (value or "true").lower()
    found = at(obj, *name.strip("{}").lstrip(".").split("."), default=None)
    return found is not None and value in ("", str(found))


def _rollout(obj: Obj, ask: Ask) -> Verdict:
    status = {"replicas": 0, "want": at(obj, "spec", "replicas", default=1)} | obj.get("status", {})
    if status.get("observedGeneration", 0) < obj["metadata"]["generation"]:
        return False, "waiting for the controller to see the change"
    names = ("want", "updatedReplicas", "availableReplicas")
    if obj["kind"] == "DaemonSet":
        names = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    want, updated, up = (status.get(name, 0) for name in names)
    old = max(status["replicas"] - updated, 0)
    message = f"{updated} of {want} replicas are updated, {up} available, {old} of the old are left"
    wrong = {"ReplicaFailure": "True", "Progressing": "False"}
    said = [f"; [{c['reason']}] {c['message']}" for c in _conditions(obj).values() if c["status"] == wrong.get(c["type"])]
    return updated >= want and up >= want and not old, message + "".join(said)


def _job(obj: Obj, ask: Ask) -> Verdict:
    failed = _conditions(obj).get("Failed", {})
    if failed.get("status") == "True":
        return None, f"[{failed.get('reason')}] {failed.get('message')}"
    counts = [f"{name}: {at(obj, 'status', name.lower(), default=0)}" for name in ("Active", "Succeeded", "Failed")]
    return _met("condition=Complete", obj), f"waiting for the Job to succeed ({' | '.join(counts)})"


def _claim(obj: Obj, ask: Ask) -> Verdict:
    storage = ask(f"/apis/storage.k8s.io/v1/storageclasses/{obj['spec'].get('storageClassName')}")
    late = storage.get("volumeBindingMode") == "WaitForFirstConsumer"
    ready = ("Bound", "Pending") if late else ("Bound",)
    return at(obj, "status", "phase") in ready, "waiting for the claim to be bound"


def _service(obj: Obj, ask: Ask) -> Verdict:
    spec, metadata = obj["spec"], obj["metadata"]
    if spec.get("type") == "LoadBalancer" and not at(obj, "status", "loadBalancer", "ingress", default=[]):
        return False, "waiting for an address of the load balancer"
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return True, ""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{metadata['namespace']}/endpointslices"
    slices = ask(path, labelSelector=f"kubernetes.io/service-name={metadata['name']}").get("items", [])
    ready = [each for found in slices for each in found.get("endpoints") or [] if at(each, "conditions", "ready") is True]
    return bool(ready), "no ready Pod matches the Service's selector"


CONDITIONS = {"CustomResourceDefinition": "condition=Established"}
WORKLOADS: dict[str, Callable[[Obj, Ask], Verdict]] = {"Deployment": _rollout, "DaemonSet": _rollout, "Job": _job}
RULES = WORKLOADS | {"PersistentVolumeClaim": _claim, "Service": _service}


def troubles(obj: Obj, ask: Ask, lines: int = 15) -> list[str]:
    """What keeps a workload's pods from being ready, or from being created.

    The scheduler's word, image pulls, crashes with the last `lines` of the container's own log, probes, mounts.
    """
    if obj["kind"] not in WORKLOADS:
        return []
    name, home = obj["metadata"]["name"], f"/api/v1/namespaces/{obj['metadata']['namespace']}"
    labels = at(obj, "spec", "selector", "matchLabels", default={})
    pods = ask(f"{home}/pods", labelSelector=",".join(f"{k}={v}" for k, v in labels.items())).get("items", [])
    unready = {
        pod["metadata"]["name"]: pod
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        if "deletionTimestamp" not in pod["metadata"]
        and not _met("condition=Ready", pod)
        and at(pod, "status", "phase") != "Succeeded"
    }
    newest = list(unready)[-2:]
    found = [trouble for pod in newest for trouble in _of_pod(unready[pod], ask, f"{home}/pods/{pod}/log", lines)]
    for event in ask(f"{home}/events", fieldSelector="type=Warning").get("items", []):
        about, reason = event["involvedObject"].get("name", ""), event.get("reason")
        probe_or_mount = reason in ("Unhealthy", "FailedMount") and about in newest
        if probe_or_mount or (reason == "FailedCreate" and about.startswith(name)):
            found.append(f"[{reason}] {about}: {event.get('message')}")
    return list(dict.fromkeys(found))


def _of_pod(pod: Obj, ask: Ask, log: str, lines: int) -> list[str]:
    status, found = pod["status"], []
    scheduled = _conditions(pod).get("PodScheduled", {})
    if scheduled.get("status") == "False":
        found.append(f"[{scheduled.get('reason')}] {scheduled.get('message')}")
    for container in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        waiting = at(container, "state", "waiting", default={})
        if waiting.get("reason", "ContainerCreating") not in ("ContainerCreating", "PodInitializing"):
            found.append(f"[{waiting['reason']}] container {container['name']}: {waiting.get('message', '')}")
        now = at(container, "state", "terminated", default={})
        last = now or at(container, "lastState", "terminated", default={})
        if last.get("exitCode"):
            said = ask(log, container=container["name"], tailLines=lines, previous=str(not now).lower())
            end = f"container {container['name']} of {pod['metadata']['name']} ended with {last['exitCode']}"
            text = str(said or last.get("message") or "(nothing)").rstrip()
            found.append(f"{end} ({last.get('reason')}); its last lines:\n{text}")
    return found
