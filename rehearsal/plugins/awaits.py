"""When an object is ready, and what keeps it from being so. Pure but for `ask`, which gets what is related to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Obj = dict[str, Any]
Ask = Callable[..., Any]  # ask(path, **query): what is served there, or {}
PODS_OF = ("Deployment", "StatefulSet", "DaemonSet", "Job", "Pod")


def judge(obj: Obj, ask: Ask) -> tuple[bool | None, str]:  # noqa: PLR0911 - one for each kind
    """Whether `obj` is ready (None: it failed for good), and what is still to come.

    The rules for its kind, or its annotation `pulumi.com/waitFor`, are those of the official plugin.
    """
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    is_true = {kind for kind, c in conditions.items() if c.get("status") == "True"}
    kind, phase = obj["kind"], status.get("phase")
    if wanted := (obj["metadata"].get("annotations") or {}).get("pulumi.com/waitFor"):
        each = json.loads(wanted) if wanted.startswith("[") else [wanted]
        unmet = [expression for expression in each if not _met(expression, obj, conditions)]
        return not unmet, f"waiting for {', '.join(unmet)}"
    if kind in ("Deployment", "StatefulSet", "DaemonSet"):
        return _rollout(obj, spec, status, conditions)
    if kind == "Service":
        return _service(obj, spec, status, ask)
    if kind == "Job" and "Failed" in is_true:
        return None, f"[{conditions['Failed'].get('reason')}] {conditions['Failed'].get('message')}"
    if kind == "Job":
        counts = " | ".join(f"{name}: {status.get(name.lower(), 0)}" for name in ("Active", "Succeeded", "Failed"))
        return "Complete" in is_true, f"waiting for the Job to succeed ({counts})"
    if kind == "Pod":
        return None if phase == "Failed" else phase == "Succeeded" or "Ready" in is_true, f"the Pod is {phase}"
    if kind == "PersistentVolumeClaim":
        storage = ask(f"/apis/storage.k8s.io/v1/storageclasses/{spec.get('storageClassName')}")
        late = storage.get("volumeBindingMode") == "WaitForFirstConsumer" and phase == "Pending"
        return phase == "Bound" or late, "waiting for the claim to be bound"
    if kind == "CustomResourceDefinition":
        return "Established" in is_true, "waiting for the CRD to be established"
    return True, ""


def _met(expression: str, obj: Obj, conditions: Obj) -> bool:
    # As kubectl writes it: condition=Ready, condition=Ready=False, jsonpath={.status.phase}=Running
    form, _, rest = expression.partition("=")
    name, _, value = rest.partition("=")
    if form == "condition":
        return str(conditions.get(name, {}).get("status")).lower() == (value or "true").lower()
    found: Any = obj
    for part in name.strip("{}").lstrip(".").split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found is not None and value in ("", str(found))


def _rollout(obj: Obj, spec: Obj, status: Obj, conditions: Obj) -> tuple[bool, str]:
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return False, "waiting for the controller to see the change"
    if obj["kind"] == "DaemonSet":
        names = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    else:
        status = {"want": spec.get("replicas", 1)} | status
        names = ("want", "updatedReplicas", "availableReplicas")
    want, updated, up = (status.get(name, 0) for name in names)
    old = max(status.get("replicas", 0) - updated, 0)
    wrong = {"ReplicaFailure": "True", "Progressing": "False"}
    said = [f"[{c['reason']}] {c['message']}" for kind, c in conditions.items() if c["status"] == wrong.get(kind)]
    message = f"{updated} of {want} replicas are updated, {up} available, {old} of the old are left"
    return updated >= want and up >= want and not old, "; ".join([message, *said])


def _service(obj: Obj, spec: Obj, status: Obj, ask: Ask) -> tuple[bool, str]:
    if spec.get("type") == "LoadBalancer" and not (status.get("loadBalancer") or {}).get("ingress"):
        return False, "waiting for an address of the load balancer"
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return True, ""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{obj['metadata']['namespace']}/endpointslices"
    slices = ask(path, labelSelector=f"kubernetes.io/service-name={obj['metadata']['name']}").get("items", ())
    ready = [e for s in slices for e in s.get("endpoints") or () if e["conditions"].get("ready")]
    return bool(ready), "no ready Pod matches the Service's selector"


def troubles(obj: Obj, ask: Ask, lines: int = 15) -> list[str]:
    """What keeps a workload's pods from being ready, or from being created.

    The scheduler's word, image pulls, crashes with the last `lines` of the container's own log, probes, mounts.
    """
    if obj["kind"] not in PODS_OF:
        return []
    name, home = obj["metadata"]["name"], f"/api/v1/namespaces/{obj['metadata']['namespace']}"
    labels = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{k}={v}" for k, v in labels.items())
    pods = [obj] if obj["kind"] == "Pod" else ask(f"{home}/pods", labelSelector=selector).get("items", ())
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    unready = [pod for pod in alive if not judge(pod | {"kind": "Pod"}, ask)[0]]
    newest = sorted(unready, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))[-2:]
    found = [trouble for pod in newest for trouble in _pod_troubles(pod, ask, f"{home}/pods", lines)]
    concerned = {pod["metadata"]["name"] for pod in newest}
    for event in ask(f"{home}/events", fieldSelector="type=Warning").get("items", ()):
        about, reason = event["involvedObject"].get("name", ""), event.get("reason")
        probe_or_mount = reason in ("Unhealthy", "FailedMount") and about in concerned
        if probe_or_mount or (reason == "FailedCreate" and about.startswith(name)):
            found.append(f"[{reason}] {about}: {event.get('message')}")
    return list(dict.fromkeys(found))


def _pod_troubles(pod: Obj, ask: Ask, pods: str, lines: int) -> list[str]:
    name, status, found = pod["metadata"]["name"], pod.get("status") or {}, []
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    if conditions.get("PodScheduled", {}).get("status") == "False":
        found.append(f"[{conditions['PodScheduled'].get('reason')}] {conditions['PodScheduled'].get('message')}")
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        state, waiting = container.get("state") or {}, (container.get("state") or {}).get("waiting") or {}
        last = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
        if waiting.get("reason", "ContainerCreating") not in ("ContainerCreating", "PodInitializing"):
            found.append(f"[{waiting['reason']}] container {container['name']}: {waiting.get('message', '')}")
        if last.get("exitCode"):
            previous = {} if "terminated" in state else {"previous": "true"}
            log = ask(f"{pods}/{name}/log", container=container["name"], tailLines=lines, **previous)
            said = str(log or last.get("message") or "(nothing)").rstrip()
            status_text = f"ended with {last['exitCode']} ({last.get('reason')})"
            found.append(f"container {container['name']} of {name} {status_text}; its last lines:\n{said}")
    return found
