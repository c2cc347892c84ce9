"""When an object is ready, and what keeps it from being so. Pure but for `ask`, which gets what is related to it.

The rules for a kind are those of the official plugin, which has more of them, as it has of `pulumi.com/waitFor`: here a
condition, not a path. Of a kind that it has no rule for, neither waits unless told to.
"""

from collections.abc import Callable
from typing import Any

from rehearsal.plugins.properties import annotation, at

Obj = dict[str, Any]
Ask = Callable[..., Any]  # ask(path, **query): what is served there, or {}
Verdict = tuple[bool | None, str]  # whether the object is ready (None: it failed for good), and what is still to come


def judge(obj: Obj, ask: Ask) -> Verdict:
    """Whether `obj` is ready, and what is still to come."""
    if wanted := annotation(obj, "waitFor"):
        condition, _, value = wanted.removeprefix("condition=").partition("=")
        return at(_conditions(obj), condition, "status") == (value or "True"), f"waiting for {wanted}"
    return RULES[obj["kind"]](obj, ask) if obj["kind"] in RULES else (True, "")


def _conditions(obj: Obj) -> Obj:
    return {c["type"]: c for c in at(obj, "status", "conditions", default=[])}


def _met(obj: Obj, condition: str) -> bool:
    return bool(at(_conditions(obj), condition, "status") == "True")


def _rollout(obj: Obj, _: Ask) -> Verdict:
    status = {"replicas": 0, "want": at(obj, "spec", "replicas", default=1)} | obj.get("status", {})
    if status.get("observedGeneration", 0) < obj["metadata"]["generation"]:
        return False, "waiting for the controller to see the change"
    names = ("want", "updatedReplicas", "availableReplicas")
    if obj["kind"] == "DaemonSet":
        names = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    want, updated, up = (status.get(name, 0) for name in names)
    old = max(status["replicas"] - updated, 0)
    done = updated >= want and up >= want and not old
    return done, f"{updated} of {want} replicas are updated, {up} available, {old} of the old are left"


def _job(obj: Obj, _: Ask) -> Verdict:
    failed = _conditions(obj).get("Failed", {})
    # For another reason, such as a podFailurePolicy's, the official plugin waits on.
    if failed.get("status") == "True" and failed.get("reason") in ("BackoffLimitExceeded", "DeadlineExceeded"):
        return None, f"[{failed.get('reason')}] {failed.get('message')}"
    unsuccessful = at(obj, "status", "failed", default=0)
    return _met(obj, "Complete"), f"waiting for the Job to succeed ({unsuccessful} of its Pods failed)"


def _claim(obj: Obj, ask: Ask) -> Verdict:
    storage = ask(f"/apis/storage.k8s.io/v1/storageclasses/{obj['spec'].get('storageClassName')}")
    bound, later = at(obj, "status", "phase") == "Bound", storage.get("volumeBindingMode") == "WaitForFirstConsumer"
    return bound or later, "waiting for the claim to be bound"


def _service(obj: Obj, ask: Ask) -> Verdict:
    spec, metadata = obj["spec"], obj["metadata"]
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return True, ""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{metadata['namespace']}/endpointslices"
    slices = ask(path, labelSelector=f"kubernetes.io/service-name={metadata['name']}").get("items", [])
    ready = [each for found in slices for each in found.get("endpoints") or [] if at(each, "conditions", "ready")]
    return bool(ready), "no ready Pod matches the Service's selector"


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
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and not _met(pod, "Ready")]
    newest = sorted(alive, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))[-2:]
    names = [pod["metadata"]["name"] for pod in newest]
    found = [trouble for pod in newest for trouble in _of_pod(pod, ask, f"{home}/pods", lines)]
    if obj["kind"] == "Job":  # how far it is, in its own words; the official plugin leaves that to `kubectl logs`
        running = [pod["metadata"]["name"] for pod in pods if at(pod, "status", "phase") == "Running"]
        found += [str(ask(f"{home}/pods/{each}/log", tailLines=1) or "").strip() for each in running]
    for event in ask(f"{home}/events", fieldSelector="type=Warning").get("items", []):
        who, why = event["involvedObject"].get("name", ""), event.get("reason")
        if (who in names and why in ("Unhealthy", "FailedMount")) or (why == "FailedCreate" and who.startswith(name)):
            found.append(f"[{why}] {who}: {event.get('message')}")
    return list(dict.fromkeys(filter(None, found)))


def _of_pod(pod: Obj, ask: Ask, pods: str, lines: int) -> list[str]:
    name, status, found = pod["metadata"]["name"], pod["status"], []
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
            query = {"container": container["name"], "tailLines": lines, "previous": str(not now).lower()}
            said = str(ask(f"{pods}/{name}/log", **query) or last.get("message") or "(nothing)").rstrip()
            end = f"ended with {last['exitCode']} ({last.get('reason')})"
            found.append(f"container {container['name']} of {name} {end}; its last lines:\n{said}")
    return found
