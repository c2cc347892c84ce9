"""What a change of inputs means for an object: what differs, and whether it must be replaced. Pure functions.

The rules are those of pulumi-kubernetes 4 (provider/pkg/provider/diff.go and provider.go there).
"""

from __future__ import annotations

import base64
from typing import Any

Path = tuple[str | int, ...]
MISSING = object()

# What of an object's spec, or of the object, can only be had by replacing it.
VOLUME = """awsElasticBlockStore azureDisk azureFile cephfs cinder csi fc flexVolume flocker gcePersistentDisk glusterfs
    hostPath iscsi local nfs photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos vsphereVolume"""
POD = """affinity automountServiceAccountToken containers dnsConfig dnsPolicy enableServiceLinks hostAliases hostIPC
    hostNetwork hostPID hostname imagePullSecrets initContainers nodeName nodeSelector overhead preemptionPolicy
    priority priorityClassName readinessGates restartPolicy runtimeClassName schedulerName securityContext
    serviceAccount serviceAccountName shareProcessNamespace subdomain terminationGracePeriodSeconds volumes"""
IN_SPEC = {
    "apps/DaemonSet": "selector",
    "apps/Deployment": "selector",
    "apps/StatefulSet": "selector podManagementPolicy revisionHistoryLimit serviceName volumeClaimTemplates",
    "batch/Job": "selector completions parallelism template",
    "PersistentVolume": VOLUME,
    "PersistentVolumeClaim": "accessModes selector storageClassName volumeName",
    "Pod": POD,
    "ResourceQuota": "scopes",
    "Service": "clusterIP",
}
AT_TOP = {
    "rbac.authorization.k8s.io/ClusterRoleBinding": "roleRef",
    "rbac.authorization.k8s.io/RoleBinding": "roleRef",
    "storage.k8s.io/StorageClass": "parameters provisioner",
    "Secret": "type",
}


def force_new(obj: dict[str, Any], *, mutable: bool) -> set[str]:
    """The fields of `obj` whose change replaces it; `mutable`: a ConfigMap's or Secret's data may change."""
    group = obj["apiVersion"].partition("/")[0] + "/" if "/" in obj["apiVersion"] else ""
    kind = group + obj["kind"]
    fields = {"metadata.name", "metadata.namespace", *AT_TOP.get(kind, "").split()}
    if kind in ("ConfigMap", "Secret") and (not mutable or obj.get("immutable")):
        fields |= {"data", "binaryData", "stringData"}
    return fields | {f"spec.{field}" for field in IN_SPEC.get(kind, "").split()}


def replaces(path: Path, fields: set[str]) -> bool:
    """Whether a change at `path` touches one of `fields`: the field, a part of it, or what it is part of."""
    dotted = ".".join(map(str, path)) + "."
    return any(dotted.startswith(f"{field}.") or f"{field}.".startswith(dotted) for field in fields)


def readable(obj: dict[str, Any]) -> dict[str, Any]:
    """A live object as inputs may have been written: a Secret's `data` can also have been given as `stringData`."""
    if obj.get("kind") != "Secret":
        return obj
    return obj | {
        "stringData": {k: base64.b64decode(v).decode(errors="replace") for k, v in obj.get("data", {}).items()}
    }


def prune(live: Any, shape: Any) -> Any:
    """`live` reduced to the fields that `shape` has: what the server added is no difference."""
    if isinstance(live, dict) and isinstance(shape, dict):
        return {k: prune(v, shape[k]) for k, v in live.items() if k in shape}
    if isinstance(live, list) and isinstance(shape, list):
        return [prune(v, shape[i]) if i < len(shape) else v for i, v in enumerate(live)]
    return live


def at(value: Any, path: Path) -> Any:
    """What lies at `path`, or MISSING."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return value


def changes(old: Any, new: Any, path: Path = ()) -> dict[Path, str]:
    """The smallest paths that differ, each with what happens there: ADD, UPDATE or DELETE."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys: Any = {*old, *new}
    elif isinstance(old, list) and isinstance(new, list):
        keys = range(max(len(old), len(new)))
    else:
        kind = "ADD" if old is MISSING else "DELETE" if new is MISSING else "UPDATE"
        return {} if old == new else {path: kind}
    parts = [changes(at(old, (key,)), at(new, (key,)), (*path, key)) for key in keys]
    return {changed: kind for part in parts for changed, kind in part.items()}


def against_state(live: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[Path, str]:
    """What `new` inputs change, from the state alone: the `old` inputs and the `live` object that they led to.

    An input that is as it was is no change, even where the server keeps another form of it (`1000m` as `1`).
    """
    found = changes(prune(readable(live), old), new)
    return {path: kind for path, kind in found.items() if at(old, path) != at(new, path)}


def confirmed(found: dict[Path, str], live: dict[str, Any], outcome: dict[str, Any]) -> dict[Path, str]:
    """Those of the changes `found` that the server would make, by the `outcome` of its dry run.

    An input that is given up is a change in any case: nobody would own it any more. So is a default made explicit.
    """
    before, after = readable(live), readable(outcome)
    left = {path for path, kind in found.items() if kind != "DELETE" and at(before, path) == at(after, path)}
    return {p: k for p, k in found.items() if p not in left or (k == "ADD" and at(before, p) is not MISSING)}


def property_path(path: Path) -> str:
    """`path` as the engine writes it: `metadata.annotations["a.b/c"]`, `spec.ports[0].port`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif any(sign in part for sign in '."[]'):
            text += f"[{part!r}]".replace("'", '"')
        else:
            text += f".{part}" if text else part
    return text
