"""How clients from outside the cluster come in: a route a model, by the Gateway API or by Ingresses.

A model's base URL is https://HOST/MODEL/v1, which OpenAI's clients take as `base_url`, or https://HOST/v1 where it has
a host of its own. Nothing but /v1 is let through: no metrics, and none of the engine's own paths.
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components import gateway_routes, ingress
from components.engines import engine_of
from components.inference_server import InferenceServer
from components.pod import labels as pod_labels
from components.queue_scaler import QueueScaler
from components.settings import FrontDoor as Door
from components.settings import Gateway, Model, Settings


class FrontDoor(pulumi.ComponentResource):
    """A Gateway where none is there, and a route or an Ingress a model, each named like its model."""

    def __init__(
        self,
        name: str,
        door: Door,
        models: Mapping[str, Model],
        services: Mapping[str, pulumi.Input[str]],
        *,
        namespace: pulumi.Input[str],
        models_namespace: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Open it; `models_namespace` is what the settings call the namespace."""
        super().__init__("inference:index:FrontDoor", name, None, opts)
        below = pulumi.ResourceOptions(parent=self)
        if isinstance(door, Gateway):
            gateway_routes.gateway(name, door, models_namespace=models_namespace, opts=below)
        for key, model in models.items():
            backend = (services[key], engine_of(model).port)
            labels = {**model.labels, **pod_labels("front-door", key, "gateway")}
            if isinstance(door, Gateway):
                spec = gateway_routes.route_spec(name, key, door, backend, models_namespace)
                gateway_routes.route(key, spec, namespace=namespace, labels=labels, opts=below)
            else:
                notes = ingress.controller_annotations(key, model, door, models_namespace)
                ingress.ingress(key, door, backend, notes, namespace=namespace, labels=labels, opts=below)
        self.register_outputs({})


def endpoints(
    settings: Settings,
    servers: Mapping[str, InferenceServer],
    scalers: Mapping[str, QueueScaler],
    namespace: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> dict[str, dict[str, pulumi.Input[str]]]:
    """Where each model is reached: its Service and, where the settings want a front door, its URL outside.

    Inside the cluster, past what counts and holds the requests of a model nobody would wake it up.
    """
    door = settings.gateway
    if door is not None:
        services = {name: server.service for name, server in servers.items()}
        FrontDoor(
            "front-door",
            door,
            settings.models,
            services,
            namespace=namespace,
            models_namespace=settings.namespace,
            opts=opts,
        )
    held = {name: scaler.url for name, scaler in scalers.items() if scaler.url is not None}
    return {
        name: {
            "service": server.service,
            "url": held.get(name, server.url),
            "model": name,
            **({"publicUrl": base_url(name, door)} if door else {}),
        }
        for name, server in servers.items()
    }


def base_url(model: str, door: Door) -> str:
    """What a client outside of the cluster takes as `base_url`."""
    scheme = "https" if door.secure else "http"
    return f"{scheme}://{door.hosts[model]}/v1" if model in door.hosts else f"{scheme}://{door.host}/{model}/v1"
