"""What an hour of a node costs, and who says so: the settings, or the on-demand price list that ships."""

from __future__ import annotations

from dataclasses import dataclass

from components.facts import prices
from components.settings import EksPool, Settings


@dataclass(frozen=True, kw_only=True)
class NodePrice:
    """Dollars an hour, None where nobody knows; `source` says who does, or what would give one."""

    dollars: float | None
    source: str


def of_pool(settings: Settings, name: str) -> NodePrice:
    """The price of a node of a GPU pool: of several types, of the dearest."""
    pool = settings.gpu_pools[name]
    own, asked = settings.prices.pools.get(name), f"set inference:prices.pools.{name}"
    if own is not None:
        return NodePrice(dollars=own, source=f"inference:prices.pools.{name}")
    if not isinstance(pool, EksPool):
        return NodePrice(dollars=None, source=f"{asked}: these nodes are not the program's")
    if pool.capacity == "CAPACITY_BLOCK":
        return NodePrice(dollars=None, source=f"{asked}: a capacity block is paid ahead")
    found = of_types(settings, pool.instance_types)
    if found.dollars is None:
        return NodePrice(dollars=None, source=f"{asked}: {found.source}")
    spot = "; spot costs less" if pool.capacity == "SPOT" else ""
    return NodePrice(dollars=found.dollars, source=f"{found.source}{spot}")


def of_types(settings: Settings, names: tuple[str, ...]) -> NodePrice:
    """The price of the dearest of some instance types, all of which have to have one."""
    given, region = settings.prices.instance_types, settings.region or ""
    found = {name: given.get(name) or prices.hourly(name, region) for name in names}
    known = {name: price for name, price in found.items() if price is not None}
    if missing := [name for name in names if name not in known]:
        return NodePrice(dollars=None, source=f"no price of {', '.join(missing)} in {region} is known")
    dearest = max(known, key=lambda name: known[name])
    listed = f"on demand, {prices.dated(region)}"
    source = f'inference:prices.instanceTypes["{dearest}"]' if dearest in given else listed
    return NodePrice(dollars=known[dearest], source=source)
