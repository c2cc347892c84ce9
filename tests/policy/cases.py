"""For every policy: resources that say the wrong thing, that say nothing, and of which a preview cannot know."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tests.policy.analyzer import UNKNOWN, Asked
from tests.policy.resources import (
    BALANCER,
    CLAIM,
    CRON_JOB,
    DIGEST,
    ENGINE,
    FILES,
    GPU,
    GROUP,
    INGRESS,
    JOB,
    NAMESPACE,
    NODE_POOL,
    NODES,
    POD,
    SCALER,
    SERVICE,
    WEB,
    kubernetes,
)

Resources = tuple[Asked, ...]
Case = tuple[Resources, str]
"""Resources of a stack, and what is said of it."""

CRON_POD: Final = "spec/jobTemplate/spec/template/spec"
UNTYPED: Final = Asked(type="aws:ec2/vpc:Vpc", inputs={})
KEYLESS: Final = GPU.without(f"{ENGINE}/env")
BASELINE: Final = {"pod-security.kubernetes.io/enforce": "baseline"}
PLAIN_NODES: Final = NODES.edited("amiType", "AL2023").edited("instanceTypes", ["m7i.large"]).without("taints")
NO_GPU: Final = {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "0"}
ENV: Final = [{"name": "HF_TOKEN", "value": "hf_abc"}]
AFFINITY: Final = "affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution"
TERMS: Final = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "nvidia.com/gpu.present", "operator": "Exists"}]}]}

VIOLATING: Final[dict[str, tuple[Case, ...]]] = {
    "gpu-workloads-placed": (
        ((GPU.edited(f"{POD}/tolerations", [{"operator": "Exists"}]),), "tolerates no taint by its key"),
        ((GPU.edited(f"{POD}/nodeName", "node-1"),), "nodeName passes the scheduler by"),
        ((GROUP.edited("spec/leaderWorkerTemplate/workerTemplate/spec/nodeSelector", {}),), "workerTemplate: asks for"),
    ),
    "gpu-nodes-reserved": (
        ((WEB.edited(f"{POD}/tolerations", [{"key": "nvidia.com/gpu"}]),), "tolerates the taint of GPU nodes"),
        ((WEB.edited(f"{POD}/tolerations", [{"operator": "Exists"}]),), "tolerates the taint of GPU nodes"),
        ((JOB.edited(f"{POD}/nodeSelector", {"inference/gpu-pool": "l4"}),), "selects GPU nodes by inference/gpu-pool"),
        ((WEB.edited(f"{POD}/{AFFINITY}", TERMS),), "selects GPU nodes by nvidia.com/gpu.present"),
        ((CRON_JOB.edited(f"{CRON_POD}/nodeName", "node-1"),), "nodeName passes the scheduler by"),
    ),
    "gpu-nodes-tainted": (
        ((NODES.edited("taints", [{"key": "x", "effect": "PREFER_NO_SCHEDULE"}]),), "its nodes have GPUs and no taint"),
        (
            (NODES.edited("amiType", "CUSTOM").without("taints"),),
            "NodeGroup l40s: its nodes have GPUs and no taint",
        ),
        ((NODES.without("instanceTypes").without("taints"),), "its nodes have GPUs and no taint"),
        ((NODE_POOL.edited("spec/template/spec/taints", []),), "NodePool l4: its nodes have GPUs and no taint"),
    ),
    "images-by-digest": (
        (
            (GPU.edited(f"{ENGINE}/image", "vllm/vllm-openai:v0.31.0"),),
            "has no digest; find it with: oras resolve vllm",
        ),
        ((GPU.edited(f"{ENGINE}/image", "vllm/vllm-openai:latest"),), "neither digest nor version"),
        ((GPU.edited(f"{ENGINE}/image", "localhost:5000/vllm"),), "neither digest nor version"),
        (
            (JOB.edited(f"{POD}/initContainers", [{"name": "first", "image": "busybox:1"}]),),
            "container first: busybox:1",
        ),
        (
            (JOB.edited(f"{POD}/volumes", [{"name": "m", "image": {"reference": "models/chat:1"}}]),),
            "volume m: models/chat:1 has no digest",
        ),
    ),
    "pods-restricted": (
        ((WEB.edited(f"{POD}/hostNetwork", True),), "hostNetwork is on"),  # noqa: FBT003 - what Kubernetes has there
        ((CRON_JOB.edited(f"{CRON_POD}/containers/0/securityContext/privileged", True),), "is privileged"),  # noqa: FBT003
    ),
    "namespaces-restricted": (
        (
            (NAMESPACE.edited("metadata/labels", BASELINE),),
            "Namespace mine: enforces baseline",
        ),
    ),
    "containers-limited": (
        ((GPU.edited(f"{ENGINE}/resources", {"limits": {"cpu": "1"}}),), "resources.limits has no memory"),
    ),
    "servers-probed": (
        (
            (GPU.edited(f"{ENGINE}/livenessProbe", {"httpGet": {"path": "/v1/completions"}}),),
            "its livenessProbe asks the model",
        ),
        (
            (GPU.edited(f"{ENGINE}/livenessProbe", {"exec": {"command": ["curl", "x/health_generate"]}}),),
            "its livenessProbe asks the model",
        ),
    ),
    "secrets-by-reference": (
        ((GPU.edited(f"{ENGINE}/env", ENV),), "HF_TOKEN is written out"),
        ((GPU.edited(f"{ENGINE}/args", ["--api-key", "sk-abc"]),), "--api-key is written out"),
        ((GPU.edited(f"{ENGINE}/args", ["--api-key=sk-abc"]),), "--api-key is written out"),
    ),
    "scalers-own-replicas": (
        (
            (GPU.edited("spec/replicas", 3), SCALER),
            "Deployment chat: sets spec.replicas, which ScaledObject chat scales",
        ),
        (
            (GPU, SCALER, kubernetes("autoscaling/v2:HorizontalPodAutoscaler", "h", SCALER.inputs["spec"])),
            "HorizontalPodAutoscaler h: Deployment chat is scaled by ScaledObject chat too",
        ),
        (
            (
                deployment := GPU.edited("spec/replicas", 3),
                replace(SCALER.edited("spec/scaleTargetRef/name", UNKNOWN), behind={"spec": (deployment,)}),
            ),
            "sets spec.replicas",
        ),
    ),
    "public-doors-keyed": (
        ((KEYLESS, SERVICE), "Service chat: is open to the internet, and Deployment chat asks for no key"),
        (
            (KEYLESS, SERVICE.edited("spec/loadBalancerSourceRanges", ["0.0.0.0/0"])),
            "Service chat: is open to the internet",
        ),
        (
            (KEYLESS, SERVICE.edited("spec/type", "ClusterIP"), INGRESS),
            "Ingress chat: is open to the internet, and Deployment chat asks for no key",
        ),
        ((BALANCER.edited("internal", False),), "LoadBalancer lb: is open to the internet"),  # noqa: FBT003
    ),
    "weights-protected": (
        ((GPU, replace(CLAIM, protect=False)), "PersistentVolumeClaim chat-weights: holds weights"),
        ((replace(FILES, protect=False),), "FileSystem shared: holds weights"),
        (
            (
                claim := replace(CLAIM, protect=False),
                replace(
                    GPU.edited(f"{POD}/volumes/0/persistentVolumeClaim/claimName", UNKNOWN), behind={"spec": (claim,)}
                ),
            ),
            "PersistentVolumeClaim chat-weights: holds weights",
        ),
    ),
    "aws-tagged": (((FILES.edited("tags", {"managed-by": ""}),), "FileSystem shared: has no tag managed-by"),),
}
"""What says the wrong thing."""

MISSING: Final[dict[str, tuple[Case, ...]]] = {
    "gpu-workloads-placed": (
        ((GPU.without(f"{POD}/tolerations"),), "tolerates no taint by its key"),
        ((GPU.without(f"{POD}/nodeSelector"),), "selects no nodes"),
    ),
    "gpu-nodes-tainted": (((NODES.without("taints"),), "its nodes have GPUs and no taint"),),
    "images-by-digest": (((GPU.without(f"{ENGINE}/image"),), "container engine: has no image"),),
    "pods-restricted": (
        ((WEB.without(f"{POD}/securityContext"),), "may run as root"),
        ((WEB.without(f"{POD}/securityContext"),), "has no seccomp profile"),
        (
            (GROUP.without("spec/leaderWorkerTemplate/leaderTemplate/spec/securityContext"),),
            "leaderTemplate, ",
        ),
    ),
    "namespaces-restricted": (((NAMESPACE.without("metadata/labels"),), "Namespace mine: enforces no Pod Security"),),
    "containers-limited": (
        ((WEB.without(f"{ENGINE}/resources"),), "resources.requests has no cpu, memory"),
        ((WEB.without(f"{ENGINE}/resources/limits/cpu"),), "resources.limits has no cpu"),
    ),
    "servers-probed": (
        ((GPU.without(f"{ENGINE}/startupProbe"),), "has no startupProbe: its liveness probe ends it while it loads"),
        ((GPU.without(f"{ENGINE}/readinessProbe"),), "has no readinessProbe"),
        ((WEB.without(f"{ENGINE}/livenessProbe"),), "has no livenessProbe"),
        ((GPU.without(f"{ENGINE}/ports").without(f"{ENGINE}/startupProbe"),), "has no startupProbe"),
    ),
    "public-doors-keyed": (
        ((SERVICE,), "to pods that the stack does not know"),
        ((BALANCER.without("internal"),), "LoadBalancer lb: is open to the internet"),
    ),
    "aws-tagged": (((FILES.without("tags"),), "FileSystem shared: has no tag managed-by"), ((UNTYPED,), "Vpc it: has")),
}
"""What says nothing; where a policy is not here, nothing is what it wants."""

UNKNOWNS: Final[dict[str, tuple[Resources, ...]]] = {
    "gpu-workloads-placed": (
        (GPU.edited(f"{POD}/tolerations", UNKNOWN),),
        (GPU.edited(f"{POD}/nodeSelector", UNKNOWN),),
    ),
    "gpu-nodes-reserved": ((WEB.edited(f"{POD}/tolerations", UNKNOWN).edited(f"{POD}/nodeSelector", UNKNOWN),),),
    "gpu-nodes-tainted": ((NODES.edited("taints", UNKNOWN),), (NODES.edited("taints/0/effect", UNKNOWN),)),
    "images-by-digest": ((GPU.edited(f"{ENGINE}/image", UNKNOWN),),),
    "pods-restricted": (
        (WEB.edited(f"{POD}/securityContext", UNKNOWN),),
        (WEB.edited(f"{ENGINE}/securityContext", UNKNOWN),),
        (WEB.edited(f"{ENGINE}/securityContext/capabilities", UNKNOWN),),
    ),
    "namespaces-restricted": ((NAMESPACE.edited("metadata/labels", UNKNOWN),),),
    "containers-limited": ((WEB.edited(f"{ENGINE}/resources", UNKNOWN),),),
    "servers-probed": ((WEB.edited(f"{ENGINE}/livenessProbe", UNKNOWN),),),
    "secrets-by-reference": ((WEB.edited(f"{ENGINE}/env", UNKNOWN),),),
    "scalers-own-replicas": ((WEB, SCALER.edited("spec/scaleTargetRef", UNKNOWN)),),
    "public-doors-keyed": (
        (GPU, SERVICE.edited("spec/loadBalancerSourceRanges", UNKNOWN)),
        (GPU, SERVICE.edited("metadata/namespace", UNKNOWN)),
        (BALANCER.edited("internal", UNKNOWN),),
    ),
    "weights-protected": ((CLAIM, GPU.edited("metadata/namespace", UNKNOWN)),),
    "aws-tagged": ((FILES.edited("tags", UNKNOWN),),),
}
"""What a preview cannot know is no violation; the `up` itself is looked at again."""

COMPLIANT: Final[dict[str, tuple[Resources, ...]]] = {
    "gpu-workloads-placed": ((WEB.edited(f"{ENGINE}/resources/limits", NO_GPU),),),
    "gpu-nodes-reserved": (
        (replace(WEB.edited(f"{POD}/tolerations", [{"operator": "Exists"}]), type="kubernetes:apps/v1:DaemonSet"),),
        (
            JOB.edited("spec/template/metadata/labels", {"app.kubernetes.io/component": "weights"}).edited(
                f"{POD}/tolerations", [{"key": "nvidia.com/gpu"}]
            ),
        ),
    ),
    "gpu-nodes-tainted": (
        (NODES.edited("amiType", "AL2023").edited("instanceTypes", ["m7i.large"]).without("taints"),),
    ),
    "images-by-digest": ((WEB.edited(f"{ENGINE}/image", f"vllm/vllm-openai{DIGEST}"),),),
    "namespaces-restricted": ((replace(NAMESPACE.edited("metadata", {"name": "keda", "labels": BASELINE})),),),
    "containers-limited": ((WEB.without(f"{ENGINE}/resources/requests"),),),
    "secrets-by-reference": (
        (GPU.edited(f"{ENGINE}/args", ["--api-key", "$(VLLM_API_KEY)", "--token"]),),
        (
            GPU.edited(
                f"{ENGINE}/env",
                [{"name": "MAX_TOKENS", "value": "1"}, {"name": "TOKENIZERS_PARALLELISM", "value": "0"}],
            ),
        ),
    ),
    "scalers-own-replicas": (
        (replace(GPU.edited("spec/replicas", 3), ignored=("spec.replicas",)), SCALER),
        (replace(GPU, outputs=GPU.edited("spec/replicas", 3).inputs), SCALER),
        (GPU.edited("spec/replicas", 3), SCALER.edited("metadata/namespace", "another")),
    ),
    "public-doors-keyed": (
        (KEYLESS, SERVICE.edited("spec/type", "ClusterIP")),
        (KEYLESS, SERVICE.edited("spec/loadBalancerSourceRanges", ["10.0.0.0/8"])),
        (
            KEYLESS,
            SERVICE.edited("metadata/annotations", {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"}),
        ),
        (KEYLESS.edited(f"{POD}/volumes", [{"name": "api-keys", "secret": {"secretName": "k"}}]), SERVICE),
    ),
    "weights-protected": (
        (replace(CLAIM, protect=False), WEB),
        (
            GPU,
            replace(CLAIM.edited("spec/volumeName", "here"), protect=False),
            kubernetes("core/v1:PersistentVolume", "here", {"local": {"path": "/mnt"}}),
        ),
    ),
    "aws-tagged": ((FILES.without("tags").edited("tagsAll", {"managed-by": "pulumi"}),),),
}
"""What looks wrong and is right."""
