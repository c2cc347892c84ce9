"""An understudy of a model's Deployment: its live spec under another name, without GPUs, to be hurt or timed.

It plays beside the model and touches nothing of it: neither its Service nor Pulumi's state knows of it. It runs the
simulator, which needs no GPU where it is told so.
"""

from __future__ import annotations

import copy
from typing import Any

GPU = "nvidia.com/gpu"
INSTANCE = "app.kubernetes.io/instance"


def deployment_of(
    live: dict[str, Any], name: str, *, replicas: int, env: dict[str, str] | None = None
) -> dict[str, Any]:
    """A Deployment `name` with the spec of the one that is `live`; `env` goes over the engine's variables."""
    spec = copy.deepcopy(live["spec"])
    spec["replicas"] = replicas
    template = spec["template"]
    for labels in (spec["selector"]["matchLabels"], template["metadata"]["labels"]):
        labels[INSTANCE] = name
    container = engine(spec)
    for amounts in container.get("resources", {}).values():
        if isinstance(amounts, dict):
            amounts.pop(GPU, None)
    set_env(spec, {"SIMULATOR_WITHOUT_GPU": "1", **(env or {})})
    # Preferred places are the model's, to be kept apart from it and not from each other.
    template["spec"].pop("affinity", None)
    template["spec"].pop("topologySpreadConstraints", None)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(live, name),
        "spec": spec,
    }


def service_of(live: dict[str, Any], name: str) -> dict[str, Any]:
    """A Service `name` for the understudy, with the ports of the model's Service, which is `live`."""
    spec = {"selector": live["spec"]["selector"] | {INSTANCE: name}, "ports": _ports(live["spec"]["ports"])}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(live, name), "spec": spec}


def policy_of(live: dict[str, Any], name: str) -> dict[str, Any]:
    """A NetworkPolicy that opens the understudy to all: the model's own does not know of it."""
    spec = {
        "podSelector": {"matchLabels": {INSTANCE: name}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{}],
        "egress": [{}],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(live, name),
        "spec": spec,
    }


def engine(spec: dict[str, Any]) -> dict[str, Any]:
    """The engine's container in a Deployment's spec."""
    found: dict[str, Any] = next(each for each in spec["template"]["spec"]["containers"] if each["name"] == "engine")
    return found


def set_env(spec: dict[str, Any], variables: dict[str, str]) -> None:
    """Set variables of the engine in a Deployment's spec."""
    container = engine(spec)
    others = [each for each in container.get("env", []) if each["name"] not in variables]
    container["env"] = [*others, *({"name": key, "value": value} for key, value in variables.items())]


def _metadata(live: dict[str, Any], name: str) -> dict[str, Any]:
    return {"name": name, "namespace": live["metadata"]["namespace"], "labels": {INSTANCE: name}}


def _ports(ports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in port.items() if key != "nodePort"} for port in ports]
