"""What every cluster needs beyond its control plane and nodes: DNS, volumes, and here the model hub's Service."""

from __future__ import annotations

import subprocess
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rehearsal.cluster.layout import CLUSTER_DOMAIN, Layout
from rehearsal.fault import Fault

MANIFESTS = ("rbac.yaml.j2", "coredns.yaml.j2", "storage.yaml.j2", "hub.yaml.j2")
WAIT = "120s"


def ensure(layout: Layout, kubectl: Path, hub_port: int) -> None:
    """Apply the manifests and wait until the nodes, DNS and the provisioner are ready."""
    templates = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=False)
    documents = [
        templates.get_template(name).render(
            domain=CLUSTER_DOMAIN,
            dns=layout.network.dns,
            volumes=layout.folders.volumes,
            control=layout.network.control,
            hub_port=hub_port,
        )
        for name in MANIFESTS
    ]
    manifest = "\n---\n".join(documents)
    kubectl_run(kubectl, layout, "apply", "--server-side", "--force-conflicts", "--filename=-", text=manifest)
    nodes = [f"node/{node.name}" for node in layout.nodes]
    kubectl_run(kubectl, layout, "wait", "--for=create", *nodes, f"--timeout={WAIT}")
    kubectl_run(kubectl, layout, "wait", "--for=condition=Ready", *nodes, f"--timeout={WAIT}")
    for namespace, deployment in (("kube-system", "coredns"), ("local-path-storage", "local-path-provisioner")):
        kubectl_run(kubectl, layout, "rollout", "status", f"deployment/{deployment}", f"-n={namespace}", f"--timeout={WAIT}")


def kubectl_run(kubectl: Path, layout: Layout, *arguments: str, text: str = "") -> str:
    """One kubectl command against this cluster, as its administrator; Fault with kubectl's words if it fails."""
    command = [str(kubectl), f"--kubeconfig={layout.folders.root / 'kubeconfig'}", *arguments]
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if done.returncode:
        words = " | ".join(done.stderr.strip().splitlines()[-3:])
        raise Fault(f"kubectl {' '.join(arguments[:3])} failed: {words}; run make up again")
    return done.stdout
