"""Applying what addons consist of, and waiting until it works."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from rehearsal.cluster.templates import render
from rehearsal.kubectl import Kubectl

HERE = Path(__file__).parent
APPLY = ("apply", "--server-side", "--force-conflicts", "--filename=-")
WAIT = "--timeout=120s"


def establish(kubectl: Kubectl, definitions: str) -> None:
    """Apply definitions of kinds, and wait until the API server knows them."""
    names = kubectl.read(*APPLY, "--output=name", text=definitions).split()
    kubectl.read("wait", "--for=condition=Established", *names, WAIT)


def customize(kubectl: Kubectl, manifests: Path, template: str, **values: str) -> None:
    """Apply the makers' manifests, changed as the kustomization `template` says with these `values`."""
    with tempfile.TemporaryDirectory() as folder:
        # kubectl's kustomize takes only what lies below.
        shutil.copytree(manifests, folder, dirs_exist_ok=True)
        (Path(folder) / "kustomization.yaml").write_text(render(HERE, template, **values))
        kubectl.read(*APPLY, text=kubectl.read("kustomize", folder))


def split(image: str) -> tuple[str, str]:
    """An image's repository and tag."""
    repository, _, tag = image.rpartition(":")
    return repository, tag


def rolled_out(kubectl: Kubectl, namespace: str, *workloads: str) -> None:
    """Wait until these run as they are meant to."""
    for workload in workloads:
        kubectl.read("rollout", "status", workload, f"--namespace={namespace}", WAIT)


def show_certificate(kubectl: Kubectl, namespace: str, secret: str) -> None:
    """Wait until a controller has made its certificate, and have the kubelet show it to the pods.

    The kubelet looks when a pod changes, else a minute later.
    """
    made = (f"secret/{secret}", f"--namespace={namespace}", WAIT)
    # A wait for what is in it fails at once while there is none.
    kubectl.read("wait", "--for=create", *made)
    kubectl.read("wait", r"--for=jsonpath={.data.tls\.crt}", *made)
    kubectl.read("annotate", "pods", "--all", "--overwrite", "rehearsal/certificate=made", f"--namespace={namespace}")
