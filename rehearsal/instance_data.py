"""Renews the facts of EC2's GPU instance types from moto's copy of AWS's answers: `python -m rehearsal.instance_data`.

Moto renews its copy from DescribeInstanceTypes and DescribeInstanceTypeOfferings with every release; which regions
there are comes from botocore. AWS does not tell the products, which are named as NVIDIA's feature discovery has them.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import botocore  # type: ignore[import-untyped]
import moto

from components.facts.ec2 import DATA

MOTO: Final = Path(moto.__file__).parent / "ec2" / "resources"
ENDPOINTS: Final = Path(botocore.__file__).parent / "data" / "endpoints.json"
PARTITIONS: Final = frozenset({"aws", "aws-cn", "aws-us-gov"})
# By AWS's name of the GPU and MiB of one: the product, as nvidia-smi names it, with hyphens for blanks.
PRODUCTS: Final = MappingProxyType(
    {
        ("A10G", 22888): "NVIDIA-A10G",
        ("A100", 40960): "NVIDIA-A100-SXM4-40GB",
        ("A100", 81920): "NVIDIA-A100-SXM4-80GB",
        ("B200", 183359): "NVIDIA-B200",
        ("B300", 275040): "NVIDIA-B300-SXM6-AC",
        ("H100", 81920): "NVIDIA-H100-80GB-HBM3",
        ("H200", 144384): "NVIDIA-H200",
        ("L4", 22888): "NVIDIA-L4",
        ("L40S", 45776): "NVIDIA-L40S",
        ("RTX PRO 4500", 32768): "NVIDIA-RTX-PRO-4500-Blackwell-Server-Edition",
        ("RTX PRO Server 6000", 98304): "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition",
        ("T4", 16384): "Tesla-T4",
        ("V100", 32768): "Tesla-V100-SXM2-32GB",
    }
)


def current() -> dict[str, Any]:
    """The data as it should ship. KeyError for a GPU without a product above."""
    types = {
        name: _facts(answer) for name, answer in sorted(_load(MOTO / "instance_types.json.gz").items()) if _fits(answer)
    }
    return {"types": types, "regions": {region: _region(region, types) for region in _regions()}}


def render(data: dict[str, Any]) -> str:
    """JSON with a line for each instance type and region."""
    parts = (
        f'"{part}": {{\n' + ",\n".join(f'"{key}": {json.dumps(value)}' for key, value in data[part].items()) + "\n}"
        for part in data
    )
    return "{" + ",\n".join(parts) + "}\n"


def _load(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()))


def _fits(answer: dict[str, Any]) -> bool:
    """Whether it is a type of x86-64 with at least one whole GPU of NVIDIA, which the EKS AMIs serve."""
    gpus = answer.get("GpuInfo", {}).get("Gpus", ())
    return answer["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"] and any(
        each["Manufacturer"] == "NVIDIA" and each["Count"] >= 1 for each in gpus
    )


def _facts(answer: dict[str, Any]) -> dict[str, Any]:
    (gpu,) = answer["GpuInfo"]["Gpus"]
    memory = gpu["MemoryInfo"]["SizeInMiB"]
    network = answer["NetworkInfo"]
    return {
        "product": PRODUCTS[gpu["Name"], memory],
        "gpus": gpu["Count"],
        "gpu_memory_mib": memory,
        "vcpus": answer["VCpuInfo"]["DefaultVCpus"],
        "memory_mib": answer["MemoryInfo"]["SizeInMiB"],
        "nvme_gb": answer.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0),
        "network_gbps": sum(card["BaselineBandwidthInGbps"] for card in network["NetworkCards"]),
        **_efa(network),
    }


def _efa(network: dict[str, Any]) -> dict[str, int]:
    """Number of EFAs and the card of the first. ValueError unless each has a card of its own next to the last one's."""
    count = network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0)
    cards = [each["NetworkCardIndex"] for each in network["NetworkCards"] if "efa-only" in each["InterfaceTypes"]]
    first = min(cards, default=0)
    if cards != list(range(first, first + count)):
        raise ValueError(f"{count} EFAs on the network cards {cards}")
    return {"efa_interfaces": count, "efa_card": first}


def _regions() -> list[str]:
    partitions = json.loads(ENDPOINTS.read_text())["partitions"]
    return sorted(region for each in partitions if each["partition"] in PARTITIONS for region in each["regions"])


def _region(region: str, types: dict[str, Any]) -> dict[str, Any]:
    """Letters of its zones, and of those that offer each type; neither where moto has no answer of the region."""
    path = MOTO / "instance_type_offerings" / "availability-zone" / f"{region}.json.gz"
    answer = _load(path) if path.exists() else []
    offers: dict[str, str] = {}
    for each in sorted(answer, key=lambda each: (each["InstanceType"], each["Location"])):
        if each["InstanceType"] in types:
            offers[each["InstanceType"]] = offers.get(each["InstanceType"], "") + each["Location"][-1]
    return {"zones": "".join(sorted({each["Location"][-1] for each in answer})), "offers": offers}


if __name__ == "__main__":
    DATA.write_text(render(current()))
    sys.stdout.write(f"renewed {DATA.name}: moto {moto.__version__}, botocore {botocore.__version__}\n")
