"""What a change of inputs means for an object: the diff, and whether the object must be replaced. Pure functions.

The rules are those of pulumi-kubernetes 4 (provider/pkg/provider/diff.go and provider.go there).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

Path = tuple[str | int, ...]
MISSING = object()

_WORKLOAD = "spec.selector"
_VOLUME_SOURCES = "awsElasticBlockStore azureDisk azureFile cephfs cinder csi fc flexVolume flocker gcePersistentDisk " \
    "glusterfs hostPath iscsi local nfs photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos vsphereVolume"
_POD = "affinity automountServiceAccountToken containers dnsConfig dnsPolicy enableServiceLinks hostAliases hostIPC " \
    "hostNetwork hostPID hostname imagePullSecrets initContainers nodeName nodeSelector overhead preemptionPolicy " \
    "priority priorityClassName readinessGates restartPolicy runtimeClassName schedulerName securityContext " \
    "serviceAccount serviceAccountName shareProcessNamespace subdomain terminationGracePeriodSeconds volumes"
_FORCE_NEW = {
    ("apps", "DaemonSet"): _WORKLOAD,
    ("apps", "Deployment"): _WORKLOAD,
    ("apps", "StatefulSet"): f"{_WORKLOAD} spec.podManagementPolicy spec.revisionHistoryLimit spec.serviceName "
                             "spec.volumeClaimTemplates",
    ("batch", "Job"): f"{_WORKLOAD} spec.completions spec.parallelism spec.template",
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): "roleRef",
    ("rbac.authorization.k8s.io", "RoleBinding"): "roleRef",
    ("storage.k8s.io", "StorageClass"): "parameters provisioner",
    ("", "PersistentVolume"): " ".join(f"spec.{source}" for source in _VOLUME_SOURCES.split()),
    ("", "PersistentVolumeClaim"): "spec.accessModes spec.selector spec.storageClassName spec.volumeName",
    ("", "Pod"): " ".join(f"spec.{field}" for field in _POD.split()),
    ("", "ResourceQuota"): "spec.scopes",
    ("", "Secret"): "type",
    ("", "Service"): "spec.clusterIP",
}


def force_new(obj: Mapping[str, Any], mutable: bool) -> set[str]:
    """The fields of `obj` whose change replaces it; `mutable`: ConfigMaps or Secrets may change in place."""
    kind, api_version = obj.get("kind"), str(obj.get("apiVersion", ""))
    group = api_version.partition("/")[0] if "/" in api_version else ""
    fields = {"metadata.name", "metadata.namespace", *_FORCE_NEW.get((group, str(kind)), "").split()}
    if kind in ("ConfigMap", "Secret") and not group and (not mutable or obj.get("immutable")):
        fields |= {"data", "binaryData", "stringData"}
    return fields


def replaces(path: Path, fields: set[str]) -> bool:
    """Whether a change at `path` touches one of `fields` (the field, something in it, or something around it)."""
    dotted = ".".join(str(part) for part in path)
    return any(f"{dotted}.".startswith(f"{field}.") or field.startswith(f"{dotted}.") for field in fields)


def readable(obj: dict[str, Any]) -> dict[str, Any]:
    """A live object as its inputs were written: a Secret's `data` can also have been given as `stringData`."""
    if obj.get("kind") != "Secret" or obj.get("apiVersion") != "v1":
        return obj
    text = {k: base64.b64decode(v).decode(errors="replace") for k, v in (obj.get("data") or {}).items()}
    return obj | {"stringData": text}


def prune(live: Any, shape: Any) -> Any:
    """`live` reduced to the fields that `shape` has, so that what the server added does not count as a difference."""
    if isinstance(live, dict) and isinstance(shape, dict):
        return {k: prune(v, shape[k]) for k, v in live.items() if k in shape}
    if isinstance(live, list) and isinstance(shape, list):
        return [prune(v, shape[i] if i < len(shape) else v) for i, v in enumerate(live)]
    return live


def at(value: Any, path: Path) -> Any:
    """What lies at `path`, or a marker that equals only itself where nothing does."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return value


def changes(old: Any, new: Any, path: Path = ()) -> dict[Path, str]:
    """The smallest paths that differ, each with what happened there: ADD, UPDATE or DELETE."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys: list[str | int] = sorted({*old, *new})
    elif isinstance(old, list) and isinstance(new, list):
        keys = list(range(max(len(old), len(new))))
    else:
        return {} if old == new else {path: "UPDATE"}
    found: dict[Path, str] = {}
    for key in keys:
        before, after = at(old, (key,)), at(new, (key,))
        if before is MISSING or after is MISSING:
            found[(*path, key)] = "ADD" if before is MISSING else "DELETE"
        else:
            found |= changes(before, after, (*path, key))
    return found


def against_state(live: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[Path, str]:
    """What `new` inputs change, from the state alone: the `old` inputs and the `live` object that they led to.

    An input that stays as it was is no change, even where the server keeps another form of it (1000m is 1, {} is nothing).
    """
    found = changes(prune(readable(live), old), new)
    return {p: kind for p, kind in found.items() if kind == "DELETE" or at(old, p) != at(new, p)}


def confirmed(found: dict[Path, str], live: dict[str, Any], outcome: dict[str, Any]) -> dict[Path, str]:
    """Those of the changes `found` that the server would make, by the `outcome` of its dry run.

    A field that the inputs give up is a change in any case: nobody would own it any more. So is a default made explicit.
    """
    live, outcome = readable(live), readable(outcome)

    def stays(path: Path, kind: str) -> bool:
        before, after = at(live, path), at(outcome, path)
        return (before is MISSING and after is MISSING) if kind == "ADD" else kind == "UPDATE" and before == after

    return {p: kind for p, kind in found.items() if not stays(p, kind)}


def property_path(path: Path) -> str:
    """`path` as the engine writes it: `metadata.annotations["a.b/c"]`, `spec.ports[0].port`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif any(c in part for c in '."[]'):
            text += '["' + part.replace('"', '\\"') + '"]'
        else:
            text += f".{part}" if text else part
    return text
