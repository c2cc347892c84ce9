"""Runs what lies on a cluster that is told of: storage, weights, servers, and what cleans up after them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s
import pytest
from pulumi.runtime.stack import Stack

from components.aws.connection import EksConnection
from components.gpu_node_pool import placement
from components.inference_server import InferenceServer
from components.model_weights import ModelWeights
from components.network_policies import network_policies
from components.settings import ExistingPool
from components.storage import storages, volume_of
from components.weight_cleaner import weight_cleaner
from tests.components import program
from tests.components.program import Recorder, Registration
from tests.components.samples import SMALLEST, settings

CLUSTER_GROUP: Final = "sg-0c1b2c3d4e5f60001"


def stored(config: Mapping[str, Any], *, token: str | None = None, auto_mode: bool = False) -> Recorder:
    """What storage, weights and servers register; the nodes' labels and taints are an existing pool's."""
    parsed = settings(config)
    pool = settings(SMALLEST).gpu_pools["l4"]
    assert isinstance(pool, ExistingPool)

    def storing() -> None:
        subnets = {zone: f"subnet-{zone}" for zone in ("us-east-2b", "us-east-2a", "us-west-2a", "us-west-2b")}
        eks = EksConnection(
            name="lab",
            region="us-east-2",
            version=pulumi.Output.from_input("1.34"),
            vpc_id=pulumi.Output.from_input("vpc-0a1b2c3d4e5f60001"),
            security_group_id=pulumi.Output.from_input(CLUSTER_GROUP),
            subnets={zone: subnet for zone, subnet in subnets.items() if zone.startswith(str(parsed.region))},
            tags={"inference/cluster": "lab", "managed-by": "pulumi"},
            auto_mode=auto_mode,
            created=False,
        )
        opts = pulumi.ResourceOptions(provider=k8s.Provider("cluster"))
        stores = storages(parsed, eks, opts)
        policies = network_policies(parsed, parsed.namespace, opts)
        weights, servers = {}, {}
        for name, model in parsed.models.items():
            weights[name] = ModelWeights(
                name,
                model,
                volume=volume_of(model, stores),
                image=parsed.images.weight_seeder,
                pull_secrets=(),
                namespace=parsed.namespace,
                token=None if token is None else pulumi.Output.secret(token),
                policies=policies,
                eks=eks,
                opts=opts,
            )
            servers[name] = InferenceServer(
                name,
                model,
                namespace=parsed.namespace,
                placement=placement(model.pool, pool),
                weights=weights[name],
                pull_secrets=(),
                opts=opts,
            )
        weight_cleaner(parsed, weights, servers, parsed.namespace, policies, opts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "_main", lambda: Stack(storing))
        return program.run_program(config)


def named(recorder: Recorder, kind: str, name: str) -> Registration:
    """The registration of a type that ends with `:kind` and a name that begins so."""
    (found,) = [each for each in recorder.of(kind) if each.name.startswith(name)]
    return found
