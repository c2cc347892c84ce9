"""Self-hosted LLM inference: settings in, components wired, endpoints out."""

from __future__ import annotations

import pulumi

from components.cluster import connect, namespace
from components.device_plugin import NvidiaDevicePlugin
from components.gpu_node_pool import GpuNodePool
from components.inference_server import InferenceServer
from components.model_weights import ModelWeights
from components.settings import hub_token, load

config = pulumi.Config()
settings = load(config)
token = hub_token(config)

on_cluster = pulumi.ResourceOptions(provider=connect(settings.cluster))
workloads = namespace(settings.namespace, "restricted", on_cluster).metadata.name

pools = {name: GpuNodePool(name, pool, opts=on_cluster) for name, pool in settings.gpu_pools.items()}

if settings.device_plugin.enabled:
    NvidiaDevicePlugin(
        "nvidia-device-plugin",
        settings.device_plugin,
        image=settings.images.device_plugin,
        pull_secrets=settings.images.pull_secrets,
        placements=[pool.placement for pool in pools.values()],
        opts=on_cluster,
    )

servers = {}
for name, model in settings.models.items():
    weights = ModelWeights(
        name,
        model,
        image=settings.images.weight_seeder,
        pull_secrets=settings.images.pull_secrets,
        namespace=workloads,
        token=token,
        opts=on_cluster,
    )
    servers[name] = InferenceServer(
        name,
        model,
        namespace=workloads,
        placement=pools[model.pool].placement,
        weights=weights,
        pull_secrets=settings.images.pull_secrets,
        opts=on_cluster,
    )

pulumi.export("namespace", workloads)
pulumi.export(
    "models",
    {name: {"service": server.service, "url": server.url, "model": name} for name, server in servers.items()},
)
