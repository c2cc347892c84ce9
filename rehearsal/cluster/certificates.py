"""Keys, certificates and kubeconfigs of the embedded cluster, made once and kept until `make down`.

One authority for the API server and its clients, one for the aggregation layer's front proxy, as Kubernetes asks:
https://kubernetes.io/docs/setup/best-practices/certificates/.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rehearsal.cluster.layout import CLUSTER_DOMAIN, Layout, Network, NodeSpec

VALID = dt.timedelta(days=3650)

# User and group of each client, by the name of its file.
CLIENTS: dict[str, tuple[str, str | None]] = {
    "admin": ("kubernetes-admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", None),
    "scheduler": ("system:kube-scheduler", None),
    "kube-proxy": ("system:kube-proxy", None),
    "apiserver-kubelet": ("kube-apiserver-kubelet-client", "system:masters"),
}


def ensure(layout: Layout) -> None:
    """Write what is missing: authorities, server and client certificates, kubeconfigs, the ServiceAccount key."""
    pki, network = layout.folders.pki, layout.network
    pki.mkdir(parents=True, exist_ok=True)
    pki.chmod(0o700)
    _authority(pki, "ca")
    _authority(pki, "front-proxy-ca")
    _key(pki / "service-account.key")
    _certificate(pki, "front-proxy", authority="front-proxy-ca", user="front-proxy-client")
    _certificate(
        pki,
        "apiserver",
        user="kube-apiserver",
        names=(
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
        ),
        addresses=(network.control, network.services[1], ipaddress.IPv4Address("127.0.0.1")),
    )
    for file, (user, group) in CLIENTS.items():
        _certificate(pki, file, user=user, group=group)
        _kubeconfig(pki, network, file)
    for node in layout.nodes:
        file = node_file(node)
        _certificate(
            pki,
            file,
            user=f"system:node:{node.name}",
            group="system:nodes",
            names=(node.name,),
            addresses=(network.node(node.index),),
        )
        _kubeconfig(pki, network, file)
    _write(layout.folders.root / "kubeconfig", (pki / "admin.kubeconfig").read_bytes())


def node_file(node: NodeSpec) -> str:
    """The name of a node's key, certificate and kubeconfig, without suffix."""
    return f"node-{node.name}"


def _authority(pki: Path, name: str) -> None:
    if (pki / f"{name}.crt").exists():
        return
    key = _key(pki / f"{name}.key")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"inference-rehearsal-{name}")])
    certificate = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    _write(pki / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _certificate(
    pki: Path,
    name: str,
    *,
    user: str,
    group: str | None = None,
    authority: str = "ca",
    names: Iterable[str] = (),
    addresses: Iterable[ipaddress.IPv4Address] = (),
) -> None:
    if (pki / f"{name}.crt").exists():
        return
    key = _key(pki / f"{name}.key")
    issuer = x509.load_pem_x509_certificate((pki / f"{authority}.crt").read_bytes())
    issuer_key = _key(pki / f"{authority}.key")
    organization = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    subject = x509.Name([*organization, x509.NameAttribute(NameOID.COMMON_NAME, user)])
    alternatives = [x509.DNSName(each) for each in names] + [x509.IPAddress(each) for each in addresses]
    builder = (
        _builder(subject, issuer.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    _write(pki / f"{name}.crt", builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # A clock that is set back a little must not make the cluster's own certificates invalid.
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + VALID)
    )


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The private key in `path`, made if it is not there."""
    if path.exists():
        return cast("ec.EllipticCurvePrivateKey", serialization.load_pem_private_key(path.read_bytes(), None))
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    _write(path, pem)
    return key


def _kubeconfig(pki: Path, network: Network, user: str) -> None:
    """A kubeconfig with everything inline, so that it works wherever it is copied to."""
    path = pki / f"{user}.kubeconfig"
    if path.exists():
        return
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "rehearsal",
                "cluster": {"server": network.api, "certificate-authority-data": _base64(pki / "ca.crt")},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _base64(pki / f"{user}.crt"),
                    "client-key-data": _base64(pki / f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": "rehearsal", "context": {"cluster": "rehearsal", "user": user}}],
        "current-context": "rehearsal",
    }
    _write(path, yaml.safe_dump(config).encode())


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _write(path: Path, content: bytes) -> None:
    """Write at once or not at all, readable by the owner only."""
    aside = path.with_name(f".{path.name}.partial")
    aside.touch(mode=0o600)
    aside.write_bytes(content)
    aside.replace(path)
