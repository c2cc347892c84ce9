"""What a change of inputs means for an object: what differs, and whether it must be replaced. Pure functions.

The rules are those of pulumi-kubernetes 4 (provider/pkg/provider/diff.go and provider.go there).
"""

import base64
import json
import re
from collections.abc import Iterable
from typing import Any

from rehearsal.plugins.properties import MISSING, at

Path = tuple[str | int, ...]

# What of an object can only be had by replacing it, beside its name and namespace.
FORCE_NEW = {
    "v1/ConfigMap": "data binaryData",
    "v1/PersistentVolumeClaim": "spec.accessModes spec.selector spec.storageClassName spec.volumeName",
    "v1/Secret": "type data stringData",
    "v1/Service": "spec.clusterIP",
    **dict.fromkeys(("apps/v1/DaemonSet", "apps/v1/Deployment"), "spec.selector"),
    "batch/v1/Job": "spec.selector spec.completions spec.parallelism spec.template",
}


def replaces(obj: dict[str, Any], path: Path) -> bool:
    """Whether a change at `path` touches a field that cannot change in place: it, a part of it, or what has it."""
    fields = FORCE_NEW.get(f"{obj['apiVersion']}/{obj['kind']}", "").split()
    return touches(("metadata.name", "metadata.namespace", *fields), path)


def touches(fields: Iterable[str], path: Path) -> bool:
    """Whether `path` is one of the fields, a part of one, or what has one."""
    changed = ".".join(map(str, path)) + "."
    return any(changed.startswith(f"{field}.") or f"{field}.".startswith(changed) for field in fields)


def readable(obj: dict[str, Any]) -> dict[str, Any]:
    """A live object as inputs may have been written: a Secret's `data` can also have been given as `stringData`."""
    if obj["kind"] != "Secret":
        return obj
    texts = {k: base64.b64decode(v).decode(errors="replace") for k, v in obj.get("data", {}).items()}
    return obj | {"stringData": texts}


def prune(live: Any, shape: Any) -> Any:
    """`live` reduced to the fields that `shape` has: what the server added is no difference."""
    if isinstance(live, dict) and isinstance(shape, dict):
        return {k: prune(v, shape[k]) for k, v in live.items() if k in shape}
    if isinstance(live, list) and isinstance(shape, list):
        return [prune(v, at(shape, i, default=v)) for i, v in enumerate(live)]
    return live


def changes(old: Any, new: Any, path: Path = ()) -> dict[Path, str]:
    """The smallest paths at which inputs differ, each with what happens there: ADD, UPDATE or DELETE."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys: Any = {*old, *new}
    elif isinstance(old, list) and isinstance(new, list):
        keys = range(max(len(old), len(new)))
    else:
        kind = "ADD" if old is MISSING else "DELETE" if new is MISSING else "UPDATE"
        return {} if old == new else {path: kind}
    parts = [changes(at(old, key), at(new, key), (*path, key)) for key in keys]
    return {changed: kind for part in parts for changed, kind in part.items()}


def confirmed(found: dict[Path, str], live: dict[str, Any], outcome: dict[str, Any]) -> dict[Path, str]:
    """Those of the changes `found` that the server would make, by the `outcome` of its dry run.

    An input that is given up is a change in any case: nobody would own it any more. So is a default made explicit.
    """
    before, after = readable(live), readable(outcome)
    kept = {path for path, kind in found.items() if kind == "DELETE" or at(before, *path) != at(after, *path)}
    kept |= {path for path, kind in found.items() if kind == "ADD" and at(before, *path) is not MISSING}
    return {path: kind for path, kind in found.items() if path in kept}


def leave(inputs: dict[str, Any], live: dict[str, Any], ignored: Iterable[str]) -> None:
    """Takes out what `ignoreChanges` names and somebody else has changed: to apply it would be a conflict.

    The official plugin asks whose the field is (handleSSAIgnoreFields in provider/pkg/await/await.go).
    """
    for *parents, last in (path.split(".") for path in ignored):
        if at(live, *parents, last) != at(inputs, *parents, last):
            at(inputs, *parents).pop(last, None)


def property_path(path: Path) -> str:
    """`path` as the engine writes it: `metadata.annotations["a.b/c"]`, `spec.ports[0].port`."""
    brackets = "".join(f"[{json.dumps(part)}]" for part in path)
    return re.sub(r'\["([A-Za-z]\w*)"\]', r".\1", brackets).removeprefix(".")
