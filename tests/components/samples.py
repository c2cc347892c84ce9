"""Stack configurations for tests, as plain values below `inference:`."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, Final

from components.settings import Model, Settings, parse

COMMIT: Final = "0e9e39f249a16976918f6564b8830bc894c89659"

# Only what has no default.
SMALLEST: Final[dict[str, Any]] = {
    "cluster": {"provider": "kubernetes", "name": "lab"},
    "images": {"weightSeeder": "registry.example.com/weight-seeder:0.1"},
    "gpuPools": {"l4": {"nodes": 2, "gpu": {"product": "NVIDIA-L4", "memoryGiB": 24}}},
    "models": {
        "chat": {
            "source": f"hf://meta-llama/Llama-3.1-8B-Instruct@{COMMIT}",
            "pool": "l4",
            "contextLength": 8192,
            "weights": {"size": "20Gi"},
        }
    },
}

# Everything that can be overridden, overridden.
CUSTOM: Final[dict[str, Any]] = {
    "cluster": {"provider": "kubernetes", "name": "lab", "kubeconfig": "/etc/lab/kubeconfig", "context": "admin"},
    "namespace": "llm",
    "images": {
        "weightSeeder": "registry.example.com/weight-seeder:0.1",
        "devicePlugin": "registry.example.com/k8s-device-plugin:v0.18.0",
        "pullSecrets": ["registry", "registry.mirror"],
    },
    "devicePlugin": {
        "namespace": "gpu-system",
        "runtimeClass": "nvidia",
        "migStrategy": "mixed",
        "env": {"FAIL_ON_INIT_ERROR": False},
        "resources": {"limits": {"memory": "512Mi"}},
    },
    "gpuPools": {
        "l4": {"nodes": 2, "gpu": {"product": "NVIDIA-L4", "memoryGiB": 24}},
        "h100": {
            "nodes": 1,
            "gpu": {"product": "NVIDIA-H100-80GB-HBM3", "memoryGiB": 80, "count": 8},
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "example.com/rack": 7},
            "taint": "example.com/reserved:NoExecute",
            "runtimeClass": "nvidia",
        },
    },
    "models": {
        "chat": {
            "engine": "vllm",
            "image": f"registry.example.com/vllm@sha256:{'ab' * 32}",
            "source": f"hf://meta-llama/Llama-3.1-70B-Instruct@{COMMIT}",
            "pool": "h100",
            "gpus": 4,
            "contextLength": 32768,
            "concurrency": 64,
            "gpuMemoryUtilization": "0.85",
            "replicas": {"min": 2, "max": 4},
            "weights": {
                "size": "200Gi",
                "storageClass": "efs",
                "bandwidthMBps": 1500,
                "endpoint": "https://hub.example.com",
                "include": ["*.safetensors", "*.json"],
                "exclude": ["consolidated*"],
                "nodeSelector": {"example.com/network": "hub"},
                "tolerations": ["example.com/reserved=seeding:NoSchedule"],
                "protect": False,
                "maxWorkers": 4,
            },
            "drainSeconds": 600,
            "preStopSeconds": 20,
            "probes": {"startupSeconds": 902, "readiness": {"timeoutSeconds": 9}, "liveness": {"periodSeconds": 20}},
            "rollout": {"minReadySeconds": 30, "imagePullSeconds": 900},
            "engineArgs": ["--enable-prefix-caching", "--kv-cache-dtype=fp8"],
            "env": {"VLLM_LOGGING_LEVEL": "DEBUG", "HF_HUB_OFFLINE": 0},
            "resources": {"requests": {"memory": "96Gi"}, "limits": {"memory": "128Gi"}},
            "sharedMemory": "32Gi",
            "readOnlyRoot": False,
            "labels": {"example.com/team": "search"},
            "annotations": {"example.com/owner": "search@example.com"},
        }
    },
}


def changed(config: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `config` with the value at a dotted path set."""
    copied = copy.deepcopy(dict(config))
    *parents, last = path.split(".")
    node = copied
    for step in parents:
        node = node.setdefault(step, {})
    node[last] = value
    return copied


def without(config: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A copy of `config` without the value at a dotted path."""
    copied = copy.deepcopy(dict(config))
    *parents, last = path.split(".")
    node = copied
    for step in parents:
        node = node[step]
    del node[last]
    return copied


def raw(config: Mapping[str, Any]) -> dict[str, str]:
    """Values as Pulumi hands them to a program: text, and JSON for maps and lists."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}


def settings(config: Mapping[str, Any] = SMALLEST) -> Settings:
    """The settings of a sample."""
    return parse(raw(config))


def chat(config: Mapping[str, Any] = SMALLEST) -> Model:
    """The one model of a sample."""
    return settings(config).models["chat"]
