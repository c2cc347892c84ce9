"""Stack configurations for tests, as plain values below `inference:`."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, Final

from components.settings import Model, Settings, parse

COMMIT: Final = "0e9e39f249a16976918f6564b8830bc894c89659"
SEEDER: Final = f"registry.example.com/weight-seeder:0.1@sha256:{'5d' * 32}"
DEVICE_PLUGIN: Final = f"registry.example.com/k8s-device-plugin:v0.18.0@sha256:{'d9' * 32}"
DCGM_EXPORTER: Final = f"registry.example.com/dcgm-exporter:4.6.0-4.8.3-distroless@sha256:{'dc' * 32}"

# Only what has no default; nodes for as many replicas as a model may have, and the one of a rollout's surge.
SMALLEST: Final[dict[str, Any]] = {
    "cluster": {"provider": "kubernetes", "name": "lab"},
    "images": {"weightSeeder": SEEDER},
    "gpuPools": {"l4": {"nodes": 1001, "gpu": {"product": "NVIDIA-L4", "memoryGiB": 24}}},
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
        "weightSeeder": SEEDER,
        "devicePlugin": DEVICE_PLUGIN,
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
            "nodes": 2,
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

# Only what has no default, on an EKS cluster that is there.
AWS_ATTACHED: Final[dict[str, Any]] = {
    "aws:region": "us-west-2",
    "cluster": {
        "provider": "aws",
        "name": "prod",
        "subnets": {"us-west-2a": "subnet-0a1b2c3d4e5f60001", "us-west-2b": "subnet-0a1b2c3d4e5f60002"},
    },
    "images": {"weightSeeder": SEEDER},
    "storage": {"shared": {"kind": "efs"}},
    "gpuPools": {"l40s": {"instanceType": "g6e.2xlarge", "max": 2, "zones": ["us-west-2a", "us-west-2b"]}},
    "models": {
        "chat": {
            "source": f"hf://meta-llama/Llama-3.1-8B-Instruct@{COMMIT}",
            "pool": "l40s",
            "contextLength": 8192,
            "weights": {"storage": "shared", "size": "20Gi"},
        }
    },
}

# A cluster to be created, and everything that can be overridden on AWS, overridden.
AWS_CREATED: Final[dict[str, Any]] = {
    "aws:region": "us-east-2",
    "aws:profile": "search",
    "cluster": {
        "provider": "aws",
        "name": "dev",
        "create": {
            "version": "1.34",
            "zones": ["us-east-2a", "us-east-2b", "us-east-2c"],
            "cidr": "10.20.0.0/18",
            "nat": "perZone",
            "interfaceEndpoints": ["ecr.api", "ecr.dkr", "sts"],
            "endpointCidrs": ["203.0.113.0/24"],
            "admins": ["arn:aws:iam::123456789012:role/admin"],
            "creatorIsAdmin": False,
            "logRetentionDays": 7,
            "addons": {"vpc-cni": "v1.20.4-eksbuild.1"},
            "system": {"instanceTypes": ["m7a.xlarge", "m7i.xlarge"], "min": 3, "max": 6, "diskGiB": 80},
        },
        "tags": {"team": "search", "cost-centre": 42},
    },
    "namespace": "llm",
    "images": {
        "weightSeeder": SEEDER,
        "devicePlugin": DEVICE_PLUGIN,
        "dcgmExporter": DCGM_EXPORTER,
        "pullSecrets": ["registry"],
    },
    "devicePlugin": {"dcgmExporter": True},
    "storage": {
        "disks": {"kind": "gp3", "iops": 6000, "throughputMBps": 1000},
        "shared": {"kind": "efs", "throughput": "provisioned", "provisionedMBps": 512, "protect": False},
        "lustre": {
            "kind": "fsx",
            "zone": "us-east-2b",
            "capacityGiB": 2400,
            "throughputPerTiB": 500,
            "s3": "s3://example-weights/llm",
            "securityGroups": ["sg-0a1b2c3d4e5f60001"],
        },
        "local": {"kind": "instanceStore", "path": "/mnt/k8s-disks/0/models", "readMBps": 4000},
    },
    "gpuPools": {
        "l4": {
            "instanceType": "g6.12xlarge",
            "alternatives": ["g6.24xlarge"],
            "max": 3,
            "zones": ["us-east-2b"],
            "capacity": "SPOT",
            "autoscaler": "karpenter",
            "disk": {"sizeGiB": 200, "iops": 6000, "throughputMBps": 500},
            "instanceStore": True,
            "labels": {"example.com/team": "search"},
            "tags": {"pool": "l4"},
        },
        "h100": {
            "instanceType": "p5.48xlarge",
            "min": 0,
            "max": 2,
            "zones": ["us-east-2b"],
            "ami": "bottlerocket",
            "amiRelease": "1.49.0-a1b2c3d4",
            "driver": 580,
            "capacity": "CAPACITY_BLOCK",
            "reservation": "cr-0a1b2c3d4e5f60001",
            "updates": "inPlace",
            "maxUnavailable": 1,
            "repair": False,
            "checkOffering": False,
        },
    },
    "models": {
        "chat": {
            "source": f"hf://meta-llama/Llama-3.1-8B-Instruct@{COMMIT}",
            "pool": "l4",
            "contextLength": 8192,
            "replicas": {"min": 2, "max": 3},
            "weights": {"storage": "disks", "size": "20Gi"},
        },
        "draft": {
            "source": f"hf://meta-llama/Llama-3.2-1B-Instruct@{COMMIT}",
            "pool": "l4",
            "contextLength": 8192,
            "weights": {"storage": "local", "size": "4Gi"},
        },
        "expert": {
            "source": f"hf://meta-llama/Llama-3.1-70B-Instruct@{COMMIT}",
            "pool": "h100",
            "gpus": 4,
            "contextLength": 32768,
            "replicas": {"min": 1, "max": 3},
            "weights": {"storage": "lustre", "size": "150Gi"},
            "resources": {"requests": {"memory": "96Gi"}, "limits": {"memory": "128Gi"}},
        },
        "summary": {
            "source": f"hf://mistralai/Mistral-7B-Instruct-v0.3@{COMMIT}",
            "pool": "l4",
            "contextLength": 32768,
            "weights": {"storage": "shared", "size": "20Gi"},
        },
    },
}


def of_source(source: str, weights: Mapping[str, Any], **model: Any) -> dict[str, Any]:
    """The smallest sample with weights from elsewhere."""
    config = copy.deepcopy(SMALLEST)
    config["models"]["chat"] |= {"source": source, "weights": weights, **model}
    return config


SUM: Final = "5e" * 32
# One for each kind of source but the hub, of which all other samples are.
SOURCES: Final[dict[str, dict[str, Any]]] = {
    "s3": of_source("s3://example-weights/llm/chat/v1", {"size": "20Gi", "credentials": "bucket-reader"}),
    "oci": of_source(
        f"oci://registry.example.com:5000/models/chat@sha256:{SUM}", {"size": "20Gi", "credentials": "registry"}
    ),
    "file on nodes": of_source(
        f"file:///srv/models/chat@sha256:{SUM}", {"size": "20Gi", "nodeSelector": {"example.com/models": "here"}}
    ),
    "file on a claim": of_source(f"file:///models/chat@sha256:{SUM}", {"size": "20Gi", "sourceClaim": "models"}),
    "image": of_source(
        "image:///models/chat",
        {},
        image=f"registry.example.com/vllm-chat@sha256:{'ab' * 32}",
        probes={"startupSeconds": 600},
    ),
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


def full(key: str) -> str:
    """A key as Pulumi has it: below `inference:` unless it is another package's."""
    return key if ":" in key else f"inference:{key}"


def settings(config: Mapping[str, Any] = SMALLEST) -> Settings:
    """The settings of a sample."""
    return parse(raw(config))


def chat(config: Mapping[str, Any] = SMALLEST) -> Model:
    """The one model of a sample."""
    return settings(config).models["chat"]
