"""Stacks of one model on one pool, for tests of claims."""

from __future__ import annotations

from typing import Any

from claims.claim import Claim
from claims.fits import claims
from components.settings import Settings
from tests.components.samples import COMMIT, SMALLEST, changed, settings

LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"
L40S = {"product": "NVIDIA-L40S", "memoryGiB": 44}
H100 = {"product": "NVIDIA-H100-80GB-HBM3", "memoryGiB": 80}


def stack(name: str = LLAMA_8B, gpu: dict[str, Any] | None = None, **model: Any) -> Settings:
    """The smallest stack with another model of the hub, or of elsewhere, on nodes of so many such GPUs."""
    source = name if "://" in name else f"hf://{name}@{COMMIT}"
    one = {"source": source, "pool": "gpus", "contextLength": 8192, "sharedMemory": "8Gi"}
    one |= {"weights": {"size": "200Gi"}, **model}
    config = changed(SMALLEST, "gpuPools", {"gpus": {"nodes": 4000, "gpu": gpu or L40S}})
    return settings(changed(config, "models", {"chat": one}))


def fits(*given: Any, **model: Any) -> Claim:
    """The one claim that it fits."""
    (found,) = claims(stack(*given, **model))
    return found
