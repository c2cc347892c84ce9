"""What every cluster needs beyond its control plane and nodes: DNS, volumes, and here the model hub's Service."""

from __future__ import annotations

from rehearsal.cluster.addons.applying import APPLY, HERE, WAIT, rolled_out
from rehearsal.cluster.layout import CLUSTER_DOMAIN, Layout
from rehearsal.cluster.templates import render
from rehearsal.images import BUSYBOX, COREDNS, NETWORK_POLICIES, PROVISIONER
from rehearsal.kubectl import Kubectl

MANIFESTS = ("rbac.yaml.j2", "network-policies.yaml.j2", "coredns.yaml.j2", "storage.yaml.j2", "hub.yaml.j2")


def ensure(layout: Layout, kubectl: Kubectl, hub_port: int) -> None:
    """Apply the manifests and wait until the nodes, DNS and the provisioner are ready."""
    documents = [
        render(
            HERE,
            name,
            domain=CLUSTER_DOMAIN,
            dns=layout.network.dns,
            volumes=layout.folders.volumes,
            control=layout.network.control,
            hub_port=hub_port,
            coredns=COREDNS,
            network_policies=NETWORK_POLICIES,
            provisioner=PROVISIONER,
            busybox=BUSYBOX,
        )
        for name in MANIFESTS
    ]
    manifest = "\n---\n".join(documents)
    kubectl.read(*APPLY, text=manifest)
    nodes = [f"node/{node.name}" for node in layout.nodes]
    kubectl.read("wait", "--for=create", *nodes, WAIT)
    kubectl.read("wait", "--for=condition=Ready", *nodes, WAIT)
    rolled_out(kubectl, "kube-system", "deployment/coredns", "daemonset/kube-network-policies")
    rolled_out(kubectl, "local-path-storage", "deployment/local-path-provisioner")
