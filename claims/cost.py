"""What a stack's nodes cost an hour, at least and at most, and what a million tokens of a model cost.

    at least   as many nodes as the pool keeps, or as replicas.min need
    at most    as many as the pool may have
    a million  dollars an hour of a replica's share of its nodes' GPUs / (tokensPerSecond x 3,600) x 1,000,000

A price is that of inference:prices, of the pool before that of the type; else the on-demand price that ships. What has
no price is told by its name, never counted as nothing; so is what is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from claims import node_price
from claims.node_room import for_pods, pods_of
from components.facts import prices
from components.packing import Amount, nodes_for
from components.settings import EksCluster, EksPool, GpuPool, Model, Settings
from components.settings.eks import CreateCluster

SECONDS: Final = 3600
MILLION: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Line:
    """Some nodes of one price, or something else that is paid by the hour; `price` in dollars, None where unknown."""

    key: str
    what: str
    least: int
    most: int
    price: float | None
    source: str
    """Where the price comes from, or what would give one."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Dollars for a million output tokens of one model's full replicas; None as `missing` says."""

    model: str
    dollars: float | None
    arithmetic: str
    """The computation, or what it lacks."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one stack."""

    lines: tuple[Line, ...]
    tokens: tuple[Tokens, ...]
    left_out: tuple[str, ...]

    @property
    def least(self) -> float:
        """Dollars an hour of what has a price, with as few nodes as can be."""
        return sum(line.least * line.price for line in self.lines if line.price is not None)

    @property
    def most(self) -> float:
        """Dollars an hour of what has a price, with all nodes."""
        return sum(line.most * line.price for line in self.lines if line.price is not None)

    @property
    def unknown(self) -> tuple[Line, ...]:
        """What has no price: with any of it, least and most are not all."""
        return tuple(line for line in self.lines if line.price is None)


def cost(settings: Settings) -> Cost:
    """What the stack costs with these settings."""
    lines = (*_pools(settings), *_cluster(settings))
    return Cost(
        lines=lines,
        tokens=tuple(_tokens(settings, name, model) for name, model in settings.models.items()),
        left_out=tuple(_left_out(settings)),
    )


def _pools(settings: Settings) -> Iterator[Line]:
    for name, pool in settings.gpu_pools.items():
        price = node_price.of_pool(settings, name)
        pods = _pods(settings, name)
        needed = nodes_for(pods, for_pods(settings, pool))
        # One that no node holds is refused; until then it is counted as a node.
        needed = len(pods) if needed is None else needed
        least = max(pool.min, needed) if isinstance(pool, EksPool) else pool.nodes
        gpus = f"nodes with {pool.gpu.count} x {pool.gpu.product}"
        yield Line(
            key=f"gpuPools.{name}",
            what=pool.instance_type if isinstance(pool, EksPool) else gpus,
            least=min(least, pool.nodes),
            most=pool.nodes,
            price=price.dollars,
            source=price.source,
        )


def _pods(settings: Settings, pool: str) -> list[Amount]:
    """Each pod that replicas.min of the pool's models are."""
    here = (model for model in settings.models.values() if model.pool == pool)
    return [pod for model in here for pod in pods_of(model, model.replicas.min)]


def _announced(settings: Settings, pool: GpuPool) -> int:
    """GPUs of a node as the device plugin announces them: each once for every pod that may share it."""
    return pool.gpu.count * settings.device_plugin.time_slicing


def _cluster(settings: Settings) -> Iterator[Line]:
    """What a cluster of the program's own costs beside its GPU nodes."""
    create = _created(settings)
    if create is None:
        return
    system = create.system
    price = node_price.of_types(settings, system.instance_types)
    yield Line(
        key="cluster.create.system",
        what=system.instance_types[0],
        least=system.min,
        most=system.max,
        price=price.dollars,
        source=price.source if price.dollars is not None else f"{price.source}; set inference:prices.instanceTypes",
    )
    yield Line(
        key="cluster", what="EKS control plane", least=1, most=1, price=prices.CONTROL_PLANE, source="standard support"
    )


def _tokens(settings: Settings, name: str, model: Model) -> Tokens:
    pool, rate = settings.gpu_pools[model.pool], model.tokens_per_second
    price = node_price.of_pool(settings, model.pool).dollars
    if rate is None:
        asked = f"set inference:models.{name}.tokensPerSecond to what a full replica was measured at"
        return Tokens(model=name, dollars=None, arithmetic=asked)
    if price is None:
        return Tokens(model=name, dollars=None, arithmetic=f"a node of pool {model.pool} has no price")
    gpus, announced = model.gpus * model.nodes_per_replica, _announced(settings, pool)
    hourly = price * gpus / announced
    dollars = hourly / (rate * SECONDS) * MILLION
    return Tokens(
        model=name,
        dollars=dollars,
        arithmetic=f"${price:,.2f} x {gpus}/{announced} GPUs = ${hourly:,.2f} an hour / ({rate:,} tokens/s x 3,600 s) "
        f"x 1,000,000 = ${dollars:,.2f}",
    )


def _left_out(settings: Settings) -> Iterator[str]:
    """What is paid for and not counted, by name."""
    if not isinstance(settings.cluster, EksCluster):
        yield "the cluster that is there"
        yield "volumes"
        return
    create = _created(settings)
    if create is None:
        yield f"control plane and other nodes of cluster {settings.cluster.name}"
    else:
        yield f"NAT gateways ({create.nat})"
        yield "the control plane's logs"
    if settings.cluster.auto_mode:
        yield "the fee of EKS Auto Mode on every instance that it starts"
    yield "root volumes of the nodes"
    for name in settings.storage:
        yield f"storage {name}"
    if settings.gateway is not None:
        yield "load balancer of the gateway"
    if any(isinstance(pool, EksPool) and pool.reservation for pool in settings.gpu_pools.values()):
        yield "reserved instances that no node uses"
    yield "data transfer and taxes"


def _created(settings: Settings) -> CreateCluster | None:
    """How the program makes its cluster; None where it attaches to one."""
    return settings.cluster.create if isinstance(settings.cluster, EksCluster) else None
