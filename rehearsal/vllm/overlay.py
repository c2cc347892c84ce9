"""A stack of the rehearsal with the real vLLM in the simulator's place: what its settings are then."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from rehearsal import vllm
from rehearsal.images import VLLM_CPU, VLLM_SIMULATOR

MODELS: Final = "inference:models"
SIMULATORS_OWN: Final = "SIMULATOR_"
RESOURCES: Final = {
    "requests": {"cpu": "500m", "memory": "3Gi", "ephemeralStorage": "64Mi"},
    "limits": {"cpu": "2", "memory": "6Gi", "ephemeralStorage": "1Gi"},
}
"""Of one engine with 1 GiB of KV cache: 2.5 GiB are resident."""
STARTUP_SECONDS: Final = 600
"""It starts in 40 to 120 s with two cores to itself, and in 4 minutes where it has to share them."""


def overlay(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a stack (keys as `inference:models`), with every simulator replaced; the rest is as it was.

    One replica each, so that two of them fit on a laptop during a rollout.
    """
    changed = copy.deepcopy(dict(configuration))
    models = changed.get(MODELS)
    for model in models.values() if isinstance(models, dict) else ():
        if isinstance(model, dict) and model.get("image") == VLLM_SIMULATOR:
            model.update(_real(model))
    return changed


def _real(model: Mapping[str, Any]) -> dict[str, Any]:
    """What of a model's settings is another with the real engine."""
    kept = {name: value for name, value in (model.get("env") or {}).items() if not name.startswith(SIMULATORS_OWN)}
    return {
        "image": VLLM_CPU,
        "dtype": vllm.DTYPE,
        "engineArgs": [*(model.get("engineArgs") or ()), *vllm.ARGUMENTS],
        "env": {**kept, **vllm.ENVIRONMENT},
        "replicas": {"min": 1, "max": 1},
        "probes": {**(model.get("probes") or {}), "startupSeconds": STARTUP_SECONDS},
        "resources": RESOURCES,
    }
