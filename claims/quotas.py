"""Whether the account may run the nodes of a pool: quotas of EC2 count vCPUs, of a family and a purchase option.

https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html; the codes are those of Service Quotas.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from claims.parts import Part, setting
from components.facts import ec2
from components.settings import EksPool, Settings

# By the letter of the family, on demand and spot.
_CODES: Final = {
    ("g", False): ("Running On-Demand G and VT instances", "L-DB2E81BA"),
    ("g", True): ("All G and VT Spot Instance Requests", "L-3819A6DF"),
    ("p", False): ("Running On-Demand P instances", "L-417A185B"),
    ("p", True): ("All P4, P3 and P2 Spot Instance Requests", "L-7212CCBC"),
    ("p5", True): ("All P5 Spot Instance Requests", "L-C4BD4855"),
}


def quota(settings: Settings, name: str, pool: EksPool, least: int) -> Iterator[Part]:
    """The pool's nodes, with those of other pools under the same quota, against it; `least` nodes its pods need."""
    if pool.capacity == "CAPACITY_BLOCK":
        yield Part(line=f"quota: none on vCPUs, the capacity is bought ({pool.reservation})")
        return
    title, code = _quota_of(pool)
    alike = {
        key: each
        for key, each in settings.gpu_pools.items()
        if isinstance(each, EksPool) and each.capacity == pool.capacity and _quota_of(each) == (title, code)
    }
    terms = [f"{key} {each.max} x {_vcpus(each)}" for key, each in alike.items()]
    needed = sum(each.max * _vcpus(each) for each in alike.values())
    given = pool.quota_vcpus
    line = f"quota {code} ({title}): {' + '.join(terms)} = {needed:,} vCPUs"
    if given is None:
        ask = f"aws service-quotas get-service-quota --service-code ec2 --quota-code {code} --region {settings.region}"
        yield Part(
            line=f"{line}, of a quota that nobody has told",
            proof=f"{setting(f'gpuPools.{name}.quotaVcpus', 'N')}, with N of: {ask} --query Quota.Value",
        )
    elif needed > given:
        beside = needed - pool.max * _vcpus(pool)
        most = max(0, given - beside) // _vcpus(pool)
        fewer = f"{setting(f'gpuPools.{name}.max', most)}, or " if most >= max(least, pool.min, 1) else ""
        raised = f"a quota of {needed:,} vCPUs (aws service-quotas request-service-quota-increase)"
        yield Part(line=f"{line} > {given:,}", change=f"{fewer}{raised}")
    else:
        yield Part(line=f"{line} <= {given:,}")


def _quota_of(pool: EksPool) -> tuple[str, str]:
    letter, spot = pool.instance_type[0], pool.capacity == "SPOT"
    return _CODES.get((pool.instance_type[:2], spot)) or _CODES[letter, spot]


def _vcpus(pool: EksPool) -> int:
    """Virtual CPUs of a node, of the largest of the pool's types."""
    known = (ec2.instance_type(each) for each in pool.alternatives)
    return max(pool.facts_of_type.vcpus, *(facts.vcpus for facts in known if facts), 0)
