"""NetworkPolicies of the models' namespace: nothing in or out but what follows from the settings.

By default no pod is connected to and connects to nothing; then engines are let be asked by the gateway, by Prometheus
and by the clients of the settings, and pods that seed reach their source. The rules of all policies that select a pod
add up, and alike ones of several models are one policy. What asks from the pod's own node, the kubelet with its probes
and `kubectl port-forward`, gets through in every implementation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components import egress
from components.engines import engine_of
from components.network_rules import Peer, Policy, Rule, policy_spec
from components.pod import MANAGED_BY
from components.scaling_target import counted_in_front
from components.settings import EksCluster, Model, Settings, parse_source
from components.volume import digest
from components.weight_seeder import METRICS_PORT

ENGINES: Final = {"app.kubernetes.io/component": "engine"}
SEEDERS: Final = {"app.kubernetes.io/name": "weight-seeder"}
CLEANERS: Final = {"app.kubernetes.io/name": "weight-cleaner"}


class NetworkPolicies(pulumi.ComponentResource):
    """The policies, each named by what it is about."""

    made: tuple[pulumi.Resource, ...]

    def __init__(
        self,
        name: str,
        wanted: Mapping[str, Policy],
        *,
        namespace: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make them by their names."""
        super().__init__("inference:index:NetworkPolicies", name, None, opts)
        self.made = tuple(
            k8s.networking.v1.NetworkPolicy(
                key,
                metadata=k8s.meta.v1.ObjectMetaArgs(name=key, namespace=namespace, labels=MANAGED_BY),
                spec=policy_spec(policy),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for key, policy in wanted.items()
        )
        self.register_outputs({})


def network_policies(
    settings: Settings, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> tuple[pulumi.Resource, ...]:
    """Make the policies, where the settings want any; a pod that starts before them is open, so that all wait."""
    wanted = policies(settings)
    return NetworkPolicies("network-policies", wanted, namespace=namespace, opts=opts).made if wanted else ()


def policies(settings: Settings) -> dict[str, Policy]:
    """Every policy by its name."""
    if not settings.network_policy.enabled:
        return {}
    return {
        "default-deny": Policy(labels={}),
        "engines": _of_engines(settings),
        **_of_nodes(settings),
        **_of_seeding(settings),
    }


def _of_engines(settings: Settings) -> Policy:
    """Who asks the engines, and at which of their ports; they themselves look up names, and connect to nothing."""
    wanted, engines = settings.network_policy, [engine_of(model) for model in settings.models.values()]
    clients = tuple(Peer(cidr=each) for each in wanted.clients)
    gateway = (Peer(namespace=wanted.gateway_namespace),) if wanted.gateway_namespace else ()
    prometheus = (Peer(namespace=wanted.prometheus_namespace),) if wanted.prometheus_namespace else ()
    holder = settings.holder
    held = (
        (Peer(namespace=holder.namespace),) if holder and any(map(counted_in_front, settings.models.values())) else ()
    )
    ports = tuple(sorted({engine.port for engine in engines}))
    metrics = tuple(sorted({engine.metrics.port for engine in engines if engine.metrics}))
    inward = (
        Rule(peers=(*gateway, *held, *clients), ports=ports),
        Rule(peers=prometheus, ports=metrics),
    )
    return Policy(
        labels=ENGINES,
        # Without a peer a rule would let everybody in, and without a port to every port.
        inward=tuple(rule for rule in inward if rule.peers and rule.ports),
        outward=(egress.DNS,),
    )


def _of_nodes(settings: Settings) -> dict[str, Policy]:
    """The pods of a replica on several nodes reach each other, at ports that nobody knows beforehand."""
    found = {}
    for name, model in settings.models.items():
        if model.nodes_per_replica > 1:
            pods = ENGINES | {"app.kubernetes.io/instance": name}
            among = (Rule(peers=(Peer(pods=tuple(pods.items())),)),)
            found[f"{name}-nodes"] = Policy(labels=pods, inward=among, outward=among)
    return found


def _of_seeding(settings: Settings) -> dict[str, Policy]:
    """What seeding pods reach: one policy for all with the same rules; the cleaner, where a Job seeds."""
    alike: dict[tuple[bool, tuple[Rule, ...]], list[str]] = defaultdict(list)
    for name, model in settings.models.items():
        if parse_source(model.source).scheme != "image":
            per_node = settings.seeds_nodes(model)
            alike[per_node, _to_seed(settings, model, per_node=per_node)].append(name)
    prometheus = settings.network_policy.prometheus_namespace
    metrics = (Rule(peers=(Peer(namespace=prometheus),), ports=(METRICS_PORT,)),) if prometheus else ()
    found = {}
    for (per_node, rules), names in alike.items():
        key, labels = ("node-seeding", ENGINES) if per_node else ("seeding", SEEDERS)
        found[f"{key}-{digest(repr(rules))}"] = Policy(
            # In the order of their names, so that a model that moves in the stack file changes nothing.
            labels=labels,
            instances=tuple(sorted(names)),
            inward=() if per_node else metrics,
            outward=rules,
        )
    if any(not per_node for per_node, _ in alike):
        found["cleaning"] = Policy(labels=CLEANERS, outward=egress.rules(None, api_server=True))
    return found


def _to_seed(settings: Settings, model: Model, *, per_node: bool) -> tuple[Rule, ...]:
    """The source, and nothing beside it; who seeds a node's disk cleans it as well, and asks the API server for that.

    https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html for the agent with the credentials.
    """
    source, weights = parse_source(model.source), model.weights
    agent = isinstance(settings.cluster, EksCluster) and source.scheme == "s3" and weights.credentials is None
    where = egress.destination(source, weights.endpoint)
    return egress.rules(where, cidrs=weights.egress, pod_identity=agent, api_server=per_node)
