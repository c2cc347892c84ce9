"""NVIDIA's GPUs: memory as programs see it, less than on the box by what ECC and the driver take; what old ones lack.

GiB by the start of the product's label, after which `-SHARED` or `-MIG-3g.40gb` may follow: the least that CUDA has
reported for it in public, "total_gpu_memory" and "Free memory on device" of vLLM's logs, "total capacity" of PyTorch's
out-of-memory errors.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

_USABLE_GIB: Final = MappingProxyType(
    {
        "Tesla-T4": 14.5,
        "Tesla-V100-SXM2-16GB": 15.7,
        "Tesla-V100-SXM2-32GB": 31.7,
        "Tesla-V100-PCIE-16GB": 15.7,
        "Tesla-V100-PCIE-32GB": 31.7,
        "NVIDIA-A10G": 21.9,
        "NVIDIA-L4": 21.9,
        "NVIDIA-L40S": 44.3,
        "NVIDIA-A100-SXM4-40GB": 39.3,
        "NVIDIA-A100-SXM4-80GB": 79.1,
        "NVIDIA-A100-PCIE-40GB": 39.3,
        "NVIDIA-A100-80GB-PCIe": 79.1,
        "NVIDIA-H100-80GB-HBM3": 79.1,
        "NVIDIA-H100-PCIe": 79.1,
        "NVIDIA-H100-NVL": 93.0,
        "NVIDIA-H200": 139.7,
        "NVIDIA-B200": 178.3,
        "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition": 94.9,
    }
)


def usable_gib(product: str, nominal: float) -> float:
    """GiB of one GPU that programs can have: at most `nominal`, which is all that is known of a product not listed."""
    known = (usable for start, usable in _USABLE_GIB.items() if f"{product}-".startswith(f"{start}-"))
    return min(nominal, next(known, nominal))


_OLD: Final = MappingProxyType(
    {"Tesla-P": "Pascal", "Tesla-V100": "Volta", "Tesla-T4": "Turing", "Quadro-RTX": "Turing"}
)


def old_generation(product: str) -> str | None:
    """The generation of a product that computes in no bfloat16, which came with Ampere; None for newer ones."""
    return next((name for start, name in _OLD.items() if product.startswith(start)), None)


def last_cuda(product: str) -> int | None:
    """The last major version of CUDA that knows the product, by the release notes of 13.0; None for newer ones."""
    return 12 if old_generation(product) in {"Pascal", "Volta"} else None


def is_slice(product: str) -> bool:
    """Whether a product is a part of a GPU (MIG): such do not work together, since NCCL connects none of them."""
    return "-MIG-" in product
