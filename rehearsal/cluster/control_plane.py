"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler, in the control plane's network namespace."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx

from rehearsal.cluster.layout import Folders, Layout, Network
from rehearsal.cluster.network import namespace_path
from rehearsal.cluster.process import Component, answers
from rehearsal.places import Places
from rehearsal.toolchain import library_path

ETCD = "http://127.0.0.1:2379"
GROUP = "control"


def components(layout: Layout, places: Places) -> tuple[Component, ...]:
    """The control plane's programs in the order in which they start."""
    return (
        _etcd(layout, places),
        _apiserver(layout, places),
        _client(
            layout,
            places,
            "controller-manager",
            port=10257,
            arguments=(
                f"--root-ca-file={layout.folders.pki}/ca.crt",
                f"--service-account-private-key-file={layout.folders.pki}/service-account.key",
                "--use-service-account-credentials=true",
                # Pods of a node that crashed and came back should not wait five minutes in a rehearsal.
                "--node-monitor-grace-period=20s",
            ),
        ),
        _client(layout, places, "scheduler", port=10259),
    )


def namespaces(layout: Layout) -> tuple[tuple[str, Path], ...]:
    """What the control plane's programs enter."""
    return (("net", namespace_path(layout.control_namespace)),)


def api_client(folders: Folders, base_url: str) -> httpx.Client:
    """An administrator's HTTP client for the API server."""
    context = ssl.create_default_context(cafile=str(folders.pki / "ca.crt"))
    context.load_cert_chain(folders.pki / "admin.crt", folders.pki / "admin.key")
    return httpx.Client(base_url=base_url, verify=context, timeout=5, trust_env=False)


def _etcd(layout: Layout, places: Places) -> Component:
    data = layout.folders.root / "etcd"
    return Component(
        name="etcd",
        group=GROUP,
        namespaces=namespaces(layout),
        command=(
            f"{places.debs}/usr/bin/etcd",
            f"--data-dir={data}",
            f"--listen-client-urls={ETCD}",
            f"--advertise-client-urls={ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            # The cluster is thrown away after the rehearsal: durability against a power cut is not worth its time.
            "--unsafe-no-fsync",
            "--logger=zap",
            "--log-level=warn",
        ),
        environment={"LD_LIBRARY_PATH": library_path(places.debs)},
        # etcd is in a namespace of its own: only its health endpoint behind nsenter could be asked. The API server,
        # which starts next, is not ready before etcd is.
        ready=lambda: True,
    )


def _apiserver(layout: Layout, places: Places) -> Component:
    pki, network = layout.folders.pki, layout.network
    return Component(
        name="kube-apiserver",
        group=GROUP,
        namespaces=namespaces(layout),
        command=(
            f"{places.bin}/kube-apiserver",
            f"--advertise-address={network.control}",
            f"--bind-address={network.control}",
            "--secure-port=6443",
            f"--etcd-servers={ETCD}",
            f"--service-cluster-ip-range={network.services}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--anonymous-auth=false",
            # The device plugin's and the provisioner's pods need host paths; Pod Security decides in which namespaces.
            "--allow-privileged=true",
            f"--client-ca-file={pki}/ca.crt",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki}/service-account.key",
            f"--service-account-signing-key-file={pki}/service-account.key",
            f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={pki}/front-proxy.crt",
            f"--proxy-client-key-file={pki}/front-proxy.key",
            "--profiling=false",
        ),
        ready=lambda: api_ready(layout.folders, layout.network),
        ready_within_s=90,
    )


def api_ready(folders: Folders, network: Network) -> bool:
    """Whether the API server says that it is ready."""
    with api_client(folders, network.api) as client:
        try:
            return client.get("/readyz").is_success
        except httpx.HTTPError:
            return False


def _client(layout: Layout, places: Places, name: str, *, port: int, arguments: tuple[str, ...] = ()) -> Component:
    kubeconfig = layout.folders.pki / f"{name}.kubeconfig"
    return Component(
        name=f"kube-{name}",
        group=GROUP,
        namespaces=namespaces(layout),
        command=(
            f"{places.bin}/kube-{name}",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={layout.network.control}",
            f"--secure-port={port}",
            "--leader-elect=false",
            "--profiling=false",
            *arguments,
        ),
        ready=answers(f"https://{layout.network.control}:{port}/healthz"),
    )
