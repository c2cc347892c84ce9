"""Certificates of a server on loopback, as the rehearsal's control plane makes them."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from rehearsal.cluster import certificates


def certify(folder: Path) -> tuple[Path, Path]:
    """An authority (ca.crt) in the folder, and the certificate and key of a server on loopback."""
    certificates._authority(folder, "ca")
    certificates._certificate(folder, "api", user="api", addresses=(ipaddress.IPv4Address("127.0.0.1"),))
    return folder / "api.crt", folder / "api.key"
