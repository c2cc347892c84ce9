"""Resources that every policy is content with, for tests to spoil."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tests.policy.analyzer import Asked

DIGEST: Final = f"@sha256:{'ab' * 32}"
POD: Final = "spec/template/spec"
ENGINE: Final = f"{POD}/containers/0"
_NODE: Final = "node.kubernetes.io"
_AMOUNTS: Final = {"cpu": "1", "memory": "1Gi"}
_SECURITY: Final = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def kubernetes(kind: str, name: str, spec: dict[str, Any] | None = None, **more: Any) -> Asked:
    """An object of Kubernetes."""
    group, _, short = kind.rpartition(":")
    inputs = {"kind": short, "metadata": {"name": name, "namespace": "inference"}, **({"spec": spec} if spec else {})}
    return Asked(type=f"kubernetes:{group}:{short}", name=name, inputs=inputs | more)


def _pod(container: dict[str, Any], labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"metadata": {"labels": labels}, "spec": {"securityContext": security, "containers": [container], **spec}}


def _container(name: str, amounts: dict[str, str], **more: Any) -> dict[str, Any]:
    resources = {"requests": {**amounts}, "limits": {**amounts}}
    return {
        "name": name,
        "image": f"registry.example.com/{name}:1{DIGEST}",
        "resources": resources,
        "securityContext": _SECURITY,
        **more,
    }


def _probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": 8000}}


GPU: Final = kubernetes(
    "apps/v1:Deployment",
    "chat",
    {
        "template": _pod(
            _container(
                "engine",
                {**_AMOUNTS, "nvidia.com/gpu": "1"},
                ports=[{"containerPort": 8000}],
                startupProbe=_probe("/health"),
                readinessProbe=_probe("/health"),
                livenessProbe={"tcpSocket": {"port": 8000}},
                env=[{"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}}],
            ),
            {"app": "chat"},
            nodeSelector={"inference/gpu-pool": "l40s"},
            tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            volumes=[{"name": "weights", "persistentVolumeClaim": {"claimName": "chat-weights"}}],
        )
    },
)
"""An engine: no number of replicas, because a scaler has it."""
WEB: Final = kubernetes(
    "apps/v1:Deployment",
    "web",
    {
        "replicas": 2,
        "template": _pod(
            _container(
                "web",
                _AMOUNTS,
                ports=[{"containerPort": 80}],
                readinessProbe=_probe("/ready"),
                livenessProbe=_probe("/alive"),
            ),
            {"app": "web"},
        ),
    },
)
JOB: Final = kubernetes("batch/v1:Job", "job", {"template": _pod(_container("job", _AMOUNTS), {"app": "job"})})
CRON_JOB: Final = kubernetes("batch/v1:CronJob", "cron", {"jobTemplate": {"spec": JOB.inputs["spec"]}})
GROUP: Final = kubernetes(
    "leaderworkerset.x-k8s.io/v1:LeaderWorkerSet",
    "big",
    {
        "leaderWorkerTemplate": {
            "leaderTemplate": GPU.inputs["spec"]["template"],
            "workerTemplate": GPU.without(f"{ENGINE}/startupProbe")
            .without(f"{ENGINE}/readinessProbe")
            .without(f"{ENGINE}/livenessProbe")
            .without(f"{ENGINE}/ports")
            .inputs["spec"]["template"],
        }
    },
)
SCALER: Final = kubernetes("keda.sh/v1alpha1:ScaledObject", "chat", {"scaleTargetRef": {"name": "chat"}})
SERVICE: Final = kubernetes("core/v1:Service", "chat", {"type": "LoadBalancer", "selector": {"app": "chat"}})
INGRESS: Final = kubernetes(
    "networking.k8s.io/v1:Ingress",
    "chat",
    {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "chat"}}}]}}]},
).edited("metadata/annotations", {"alb.ingress.kubernetes.io/scheme": "internet-facing"})
ROUTE: Final = kubernetes(
    "gateway.networking.k8s.io/v1:HTTPRoute",
    "chat",
    {"parentRefs": [{"name": "front"}], "rules": [{"backendRefs": [{"kind": "Service", "name": "chat"}]}]},
)
GATEWAY: Final = kubernetes("gateway.networking.k8s.io/v1:Gateway", "front", {"gatewayClassName": "traefik"})
POOL: Final = kubernetes(
    "inference.networking.k8s.io/v1:InferencePool", "engines", {"selector": {"matchLabels": {"app": "chat"}}}
)
CLAIM: Final = replace(
    kubernetes("core/v1:PersistentVolumeClaim", "chat-weights", {"storageClassName": "efs"}), protect=True
)
NAMESPACE: Final = Asked(
    type="kubernetes:core/v1:Namespace",
    name="mine",
    inputs={"metadata": {"name": "mine", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
)
NODES: Final = Asked(
    type="aws:eks/nodeGroup:NodeGroup",
    name="l40s",
    inputs={
        "amiType": "AL2023_x86_64_NVIDIA",
        "instanceTypes": ["g6e.2xlarge"],
        "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}],
        "tags": {"managed-by": "pulumi"},
    },
)
TEMPLATE: Final = Asked(
    type="aws:ec2/launchTemplate:LaunchTemplate",
    name="own",
    inputs={"name": "own", "instanceType": "g6e.2xlarge", "tags": {"managed-by": "pulumi"}},
)
NODE_POOL: Final = kubernetes(
    "karpenter.sh/v1:NodePool",
    "l4",
    {
        "template": {
            "spec": {
                "requirements": [
                    {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["g6.xlarge"]}
                ],
                "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
            }
        }
    },
)
BALANCER: Final = Asked(
    type="aws:lb/loadBalancer:LoadBalancer", name="lb", inputs={"internal": True, "tags": {"managed-by": "pulumi"}}
)
FILES: Final = Asked(
    type="aws:efs/fileSystem:FileSystem", name="shared", inputs={"tags": {"managed-by": "pulumi"}}, protect=True
)
GOOD: Final = (
    GPU, WEB, JOB, CRON_JOB, GROUP, SCALER, SERVICE, INGRESS, ROUTE, GATEWAY, POOL, CLAIM, NAMESPACE, NODES, TEMPLATE,
    NODE_POOL, BALANCER, FILES,
)  # fmt: skip
