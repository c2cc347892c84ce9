"""Self-hosted LLM inference: settings in, components wired, endpoints out."""

from __future__ import annotations

import gc

# Pulumi's SDKs are a million objects that live to the end: looking for garbage among them takes a tenth of a preview.
gc.disable()

import pulumi

from claims.check import check
from components.api_keys import key_extras
from components.cluster import connect, namespace
from components.front_door import endpoints
from components.gpu_daemons import gpu_daemons
from components.gpu_node_pool import gpu_pools
from components.helm_addons import helm_addons
from components.inference_server import InferenceServer
from components.model_weights import ModelWeights
from components.network_policies import network_policies
from components.observability import observability
from components.priority_classes import priority_classes
from components.queue_scaler import queue_scalers
from components.settings import api_keys, hub_token, load
from components.storage import storages, volume_of
from components.weight_cleaner import weight_cleaner

gc.freeze()
gc.enable()

config = pulumi.Config()
settings = load(config)
claims = check(settings)
token = hub_token(config)

connection = connect(settings)
on_cluster = pulumi.ResourceOptions(provider=connection.provider)
workloads = namespace(settings.namespace, "restricted", on_cluster).metadata.name

policies = network_policies(settings, workloads, on_cluster)
extras = key_extras(settings.models, api_keys(config), workloads, on_cluster)
pools = gpu_pools(settings, connection, on_cluster)
gpu_daemons(settings, [pool.placement for pool in pools.values()], on_cluster)
priorities = priority_classes(settings, on_cluster)
addons = helm_addons(settings, connection, on_cluster)
observability(settings, workloads, on_cluster, after=addons.prometheus)
stores = storages(settings, connection.eks, on_cluster)

weights, servers = {}, {}
for name, model in settings.models.items():
    weights[name] = ModelWeights(
        name,
        model,
        volume=volume_of(model, stores),
        image=settings.images.weight_seeder,
        pull_secrets=settings.images.pull_secrets,
        namespace=workloads,
        token=token,
        policies=policies,
        eks=connection.eks,
        opts=on_cluster,
    )
    servers[name] = InferenceServer(
        name,
        model,
        namespace=workloads,
        placement=pools[model.pool].placement,
        weights=weights[name],
        pull_secrets=settings.images.pull_secrets,
        priority_class=priorities[name],
        extras=extras[name],
        opts=on_cluster,
    )

scalers = queue_scalers(settings, servers, addons, workloads, on_cluster)
weight_cleaner(settings, weights, servers, workloads, policies, on_cluster)

pulumi.export("namespace", workloads)
pulumi.export("claims", claims)
pulumi.export("models", endpoints(settings, servers, scalers, workloads, on_cluster))
