"""Every object of Kubernetes that the program asks for, as manifests for tools that judge such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from rehearsal import stack
from tests.components.program import plain, run_program

STACKS = ("local", "dev", "prod")


def objects(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the program registers at the API server for a configuration."""
    found = [_whole(plain(each.inputs)) for each in run_program(config).registrations if _is_object(each.type)]
    # The API server would fill it in.
    for each in found:
        each["metadata"].setdefault("namespace", "default")
    return found


def of_stack(name: str) -> list[dict[str, Any]]:
    """The objects of a stack that this project ships."""
    return objects(stack.configuration(name))


def pod_specs(document: Any) -> Iterator[dict[str, Any]]:
    """Every pod's specification in an object, whatever its kind calls the place."""
    if isinstance(document, dict):
        if isinstance(document.get("containers"), list):
            yield document
        else:
            for value in document.values():
                yield from pod_specs(value)
    elif isinstance(document, list):
        for value in document:
            yield from pod_specs(value)


def title(document: Mapping[str, Any]) -> str:
    """The object's kind and name."""
    return f"{document['kind']}/{document['metadata']['name']}"


def as_yaml(documents: list[dict[str, Any]]) -> str:
    """The objects as one stream of documents."""
    return yaml.safe_dump_all(documents, sort_keys=False)


def _is_object(kind: str) -> bool:
    package, module, _ = (*kind.split(":"), "", "")[:3]
    return package == "kubernetes" and not module.startswith(("yaml", "helm", "kustomize"))


def _whole(value: Any) -> Any:
    """The value as it was before protobuf, which knows no integers."""
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def role(kind: str, name: str) -> str:
    """What an object is there for, whatever its model is named: the key of the tables of reasons."""
    if kind == "Job":
        return "cleaning" if "-clean-" in name else "seeding"
    return {"Deployment": "engine", "DaemonSet": name}.get(kind, kind)
