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
    GATEWAY,
    GPU,
    GROUP,
    INGRESS,
    JOB,
    NAMESPACE,
    NODE_POOL,
    NODES,
    POD,
    POOL,
    ROUTE,
    SCALER,
    SERVICE,
    TEMPLATE,
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
CHANCE: Final = "4f0c9b7e21d83a65b0e7f1c28d94a3b6e5"
ENV: Final = [{"name": "HF_TOKEN", "value": "hf_abc"}]
RANGES: Final = "nginx.ingress.kubernetes.io/whitelist-source-range"
MARKED: Final = {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"}
AFFINITY: Final = "affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution"
CHOICE: Final = [{"matchExpressions": [{"key": "nvidia.com/gpu.present", "operator": "Exists"}]}]
ANYWHERE: Final = [{"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}]}]
TERMS: Final = {"nodeSelectorTerms": CHOICE}
NOT_TOLERATED: Final = "does not tolerate GPU nodes' taint by its key (nvidia.com/gpu, amd.com/gpu)"
OWN_AMI: Final = NODES.without("taints").without("instanceTypes").edited("amiType", "CUSTOM")
BY_TEMPLATE: Final = replace(OWN_AMI.edited("launchTemplate", {"id": UNKNOWN}), behind={"launchTemplate": (TEMPLATE,)})
ROUTED: Final = (KEYLESS, SERVICE.edited("spec/type", "ClusterIP"))
NGINX: Final = INGRESS.without("metadata/annotations").edited("spec/ingressClassName", "nginx")

VIOLATING: Final[dict[str, tuple[Case, ...]]] = {
    "gpu-workloads-placed": (
        ((GPU.edited(f"{POD}/tolerations", [{"operator": "Exists"}]),), NOT_TOLERATED),
        ((GPU.edited(f"{POD}/tolerations", [{"key": "dedicated", "operator": "Exists"}]),), NOT_TOLERATED),
        ((GPU.edited(f"{POD}/tolerations/0/effect", "PreferNoSchedule"),), NOT_TOLERATED),
        ((GPU.edited(f"{POD}/nodeSelector", {"kubernetes.io/os": "linux"}),), "selects no pool of nodes"),
        (
            (GPU.without(f"{POD}/nodeSelector").edited(f"{POD}/{AFFINITY}/nodeSelectorTerms", [*CHOICE, *ANYWHERE]),),
            "selects no pool of nodes",
        ),
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
        ((TEMPLATE, BY_TEMPLATE), "NodeGroup l40s: its nodes have GPUs and no taint"),
        (
            (TEMPLATE, OWN_AMI.edited("launchTemplate", {"name": "own"})),
            "NodeGroup l40s: its nodes have GPUs and no taint",
        ),
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
        ((GPU.edited(f"{ENGINE}/args", ["--admin-api-key=sk-abc"]),), "--admin-api-key is written out"),
        ((GPU.edited(f"{ENGINE}/command", ["sh", "-c", "vllm serve m --api-key sk-abc"]),), "--api-key is written out"),
        (
            (GPU.edited(f"{ENGINE}/command", ["sh", "-c", "export HF_TOKEN=hf_abc; vllm serve m"]),),
            "HF_TOKEN is written out",
        ),
        ((GPU.edited(f"{ENGINE}/env", [{"name": "OPENAI_KEY", "value": CHANCE}]),), "OPENAI_KEY is written out"),
        ((GPU.edited(f"{ENGINE}/env", [{"name": "LOGIN", "value": f"hf_{CHANCE}"}]),), "LOGIN is written out"),
        ((kubernetes("core/v1:ConfigMap", "c", data={"HF_TOKEN": "hf_abc"}),), "ConfigMap c: HF_TOKEN is written out"),
        (
            (kubernetes("core/v1:ConfigMap", "c", data={"config.yaml": f"port: 80\napi-key: {CHANCE}\n"}),),
            "ConfigMap c: api-key is written out",
        ),
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
        (
            (GPU.edited(f"{ENGINE}/env/0/name", "NGC_API_KEY"), SERVICE),
            "Service chat: is open to the internet, and Deployment chat asks for no key",
        ),
        (
            (KEYLESS.edited(f"{POD}/volumes", [{"name": "api-key", "secret": {"secretName": "hf-api-key"}}]), SERVICE),
            "Service chat: is open to the internet, and Deployment chat asks for no key",
        ),
        ((*ROUTED, NGINX), "Ingress chat: may be open to the internet, and Deployment chat asks for no key"),
        (
            (*ROUTED, NGINX.edited("metadata/annotations", {f"{RANGES}": "10.0.0.0/8, 0.0.0.0/0"})),
            "Ingress chat: may be open to the internet",
        ),
        ((*ROUTED, ROUTE), "HTTPRoute chat: may be open to the internet, and Deployment chat asks for no key"),
        ((*ROUTED, ROUTE, GATEWAY), "HTTPRoute chat: may be open to the internet"),
        (
            (*ROUTED, POOL, ROUTE.edited("spec/rules/0/backendRefs/0", {"kind": "InferencePool", "name": "engines"})),
            "HTTPRoute chat: may be open to the internet, and Deployment chat asks for no key",
        ),
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
        ((GPU.without(f"{POD}/tolerations"),), NOT_TOLERATED),
        ((GPU.without(f"{POD}/nodeSelector"),), "selects no pool of nodes"),
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
        (GPU.edited(f"{POD}/tolerations/0/key", UNKNOWN).edited(f"{POD}/tolerations/0/effect", UNKNOWN),),
    ),
    "gpu-nodes-reserved": ((WEB.edited(f"{POD}/tolerations", UNKNOWN).edited(f"{POD}/nodeSelector", UNKNOWN),),),
    "gpu-nodes-tainted": ((NODES.edited("taints", UNKNOWN),), (NODES.edited("taints/0/effect", UNKNOWN),), (OWN_AMI,)),
    "images-by-digest": ((GPU.edited(f"{ENGINE}/image", UNKNOWN),),),
    "pods-restricted": (
        (WEB.edited(f"{POD}/securityContext", UNKNOWN),),
        (WEB.edited(f"{ENGINE}/securityContext", UNKNOWN),),
        (WEB.edited(f"{ENGINE}/securityContext/capabilities", UNKNOWN),),
    ),
    "namespaces-restricted": ((NAMESPACE.edited("metadata/labels", UNKNOWN),),),
    "containers-limited": ((WEB.edited(f"{ENGINE}/resources", UNKNOWN),),),
    "servers-probed": ((WEB.edited(f"{ENGINE}/livenessProbe", UNKNOWN),),),
    "secrets-by-reference": (
        (WEB.edited(f"{ENGINE}/env", UNKNOWN),),
        (WEB.edited(f"{ENGINE}/env", [{"name": "HF_TOKEN", "value": UNKNOWN}]),),
        (WEB.edited(f"{ENGINE}/args", ["--api-key", UNKNOWN]),),
        (kubernetes("core/v1:ConfigMap", "c", data={"HF_TOKEN": UNKNOWN}),),
        (kubernetes("core/v1:ConfigMap", "c", data=UNKNOWN),),
    ),
    "scalers-own-replicas": ((WEB, SCALER.edited("spec/scaleTargetRef", UNKNOWN)),),
    "public-doors-keyed": (
        (GPU, SERVICE.edited("spec/loadBalancerSourceRanges", UNKNOWN)),
        (GPU, SERVICE.edited("metadata/namespace", UNKNOWN)),
        (BALANCER.edited("internal", UNKNOWN),),
        (KEYLESS, SERVICE.edited("metadata/annotations", UNKNOWN)),
        (KEYLESS.edited(f"{ENGINE}/env", UNKNOWN), SERVICE),
        (*ROUTED, NGINX.edited("spec/ingressClassName", UNKNOWN)),
        (*ROUTED, NGINX.edited("metadata/annotations", UNKNOWN)),
        (*ROUTED, ROUTE.edited("spec/parentRefs/0/name", UNKNOWN)),
        (*ROUTED, ROUTE, GATEWAY.edited("spec/gatewayClassName", UNKNOWN)),
    ),
    "weights-protected": ((CLAIM, GPU.edited("metadata/namespace", UNKNOWN)),),
    "aws-tagged": ((FILES.edited("tags", UNKNOWN),),),
}
"""What a preview cannot know is no violation; the `up` itself is looked at again."""

COMPLIANT: Final[dict[str, tuple[Resources, ...]]] = {
    "gpu-workloads-placed": (
        (WEB.edited(f"{ENGINE}/resources/limits", NO_GPU),),
        (GPU.without(f"{POD}/nodeSelector").edited(f"{POD}/{AFFINITY}", TERMS),),
        (GPU.edited(f"{POD}/nodeSelector", {"kubernetes.io/os": "linux", "example.com/rack": "7"}),),
    ),
    "gpu-nodes-reserved": (
        (WEB.edited(f"{POD}/tolerations", [{"operator": "Exists", "effect": "NoExecute"}]),),
        (WEB.edited(f"{POD}/tolerations", [{"key": "nvidia.com/gpu", "effect": "PreferNoSchedule"}]),),
        (replace(WEB.edited(f"{POD}/tolerations", [{"operator": "Exists"}]), type="kubernetes:apps/v1:DaemonSet"),),
        (
            JOB.edited("spec/template/metadata/labels", {"app.kubernetes.io/component": "weights"}).edited(
                f"{POD}/tolerations", [{"key": "nvidia.com/gpu"}]
            ),
        ),
    ),
    "gpu-nodes-tainted": (
        (NODES.edited("amiType", "AL2023").edited("instanceTypes", ["m7i.large"]).without("taints"),),
        (TEMPLATE.edited("instanceType", "m7i.large"), OWN_AMI.edited("launchTemplate", {"name": "own"})),
        (TEMPLATE, OWN_AMI.edited("launchTemplate", {"name": "another"})),
        (TEMPLATE, BY_TEMPLATE.edited("taints", [{"key": "nvidia.com/gpu", "effect": "NO_SCHEDULE"}])),
    ),
    "images-by-digest": ((WEB.edited(f"{ENGINE}/image", f"vllm/vllm-openai{DIGEST}"),),),
    "namespaces-restricted": ((replace(NAMESPACE.edited("metadata", {"name": "keda", "labels": BASELINE})),),),
    "containers-limited": ((WEB.without(f"{ENGINE}/resources/requests"),),),
    "secrets-by-reference": (
        (GPU.edited(f"{ENGINE}/args", ["--api-key", "$(VLLM_API_KEY)", "--token"]),),
        (
            GPU.edited(
                f"{ENGINE}/env",
                [
                    {"name": "MAX_TOKENS", "value": "1"},
                    {"name": "TOKENIZERS_PARALLELISM", "value": "0"},
                    {"name": "EOS_TOKEN", "value": "</s>"},
                    {"name": "PAD_TOKEN", "value": "128004"},
                    {"name": "START_TOKEN", "value": "<|begin_of_text|>"},
                    {"name": "SORT_KEY", "value": "created_at"},
                    {"name": "PARTITION_KEY", "value": "llama-3-1-8b-instruct-weights-v2"},
                    {"name": "S3_KEY", "value": "models/0e9e39f249a16976918f6564b8830bc894c89659/model.safetensors"},
                    {"name": "PUBLIC_KEY", "value": CHANCE},
                ],
            ),
        ),
        (GPU.edited(f"{ENGINE}/args", ["--eos-token", "</s>", "--max-tokens", "8", "--api-key-file", "/k"]),),
        (GPU.edited(f"{ENGINE}/command", ["sh", "-c", 'export API_KEY=$(cat /k); x --api-key "$API_KEY"']),),
        (GPU.edited(f"{ENGINE}/command", ["sh", "-c", "echo it's --token"]),),
        (
            kubernetes(
                "core/v1:ConfigMap",
                "c",
                data={"config.yaml": "password: ${PASSWORD}\napi-key: required\n", "MAX_TOKENS": "8", "digest": CHANCE},
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
            SERVICE.edited("metadata/annotations", MARKED),
        ),
        (KEYLESS.edited(f"{POD}/volumes", [{"name": "api-keys", "secret": {"secretName": "k"}}]), SERVICE),
        (GPU, SERVICE.edited("spec/type", "ClusterIP"), NGINX, ROUTE),
        (*ROUTED, NGINX.edited("spec/ingressClassName", "nginx-internal")),
        (*ROUTED, NGINX.edited("spec/ingressClassName", "alb")),
        (*ROUTED, NGINX.edited("metadata/annotations", {RANGES: "10.0.0.0/8"})),
        (*ROUTED, NGINX.edited("metadata/annotations", {"nginx.ingress.kubernetes.io/auth-url": "https://sso"})),
        (*ROUTED, ROUTE, GATEWAY.edited("spec/gatewayClassName", "gke-l7-rilb")),
        (*ROUTED, ROUTE, GATEWAY.edited("spec/infrastructure/annotations", MARKED)),
        (*ROUTED, ROUTE.edited("spec/parentRefs/0/kind", "Service")),
        (*ROUTED, ROUTE.edited("spec/rules/0/backendRefs/0/namespace", "another")),
        (NGINX, ROUTE),
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
