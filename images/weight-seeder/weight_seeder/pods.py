"""Which folders pods have in use, as the API server says."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from weight_seeder.faults import HopelessError, SeedError

ANNOTATION = "inference/weights"
"""A pod's annotation with the folder that it reads, SLUG/REVISION-SELECTION."""

_PAGE = 200
_SECONDS = 20.0
_OVER = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, kw_only=True)
class Pods:
    """The pods of one namespace that a selector selects, asked for with a service account's token."""

    namespace: str
    selector: str
    server: str
    account: Path

    def folders_in_use(self) -> set[str]:
        """The folders that pods name which run, or are to run.

        Raises:
            SeedError: the API server cannot be asked, so that nothing is known.
        """
        path = f"{self.server}/api/v1/namespaces/{self.namespace}/pods"
        try:
            # Read anew every time: the kubelet replaces the token.
            headers = {"Authorization": f"Bearer {(self.account / 'token').read_text().strip()}"}
            trusted = ssl.create_default_context(cafile=self.account / "ca.crt")
            with httpx2.Client(verify=trusted, headers=headers, timeout=_SECONDS, trust_env=False) as http:
                return _folders(http, path, self.selector)
        except httpx2.HTTPStatusError as error:
            line = f"the API server answered {error.response.status_code} to the question for pods of {self.namespace}"
            raise SeedError(f"{line}: nothing is removed") from error
        except (httpx2.HTTPError, OSError, ValueError) as error:
            raise SeedError(f"the API server cannot be asked for pods: {error}: nothing is removed") from error


def parse(text: str, *, server: str | None, account: Path) -> Pods:
    """Read `NAMESPACE/LABEL-SELECTOR`.

    Raises:
        HopelessError: for any other form.
    """
    namespace, _, selector = text.partition("/")
    if not namespace or not selector:
        raise HopelessError(f"--in-use {text!r} is not of the form NAMESPACE/LABEL-SELECTOR")
    return Pods(namespace=namespace, selector=selector, server=server or _server(), account=account)


def _server() -> str:
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _folders(http: httpx2.Client, path: str, selector: str) -> set[str]:
    folders: set[str] = set()
    proceed = ""
    while True:
        parameters = {"labelSelector": selector, "limit": str(_PAGE)} | ({"continue": proceed} if proceed else {})
        answer = http.get(path, params=parameters)
        answer.raise_for_status()
        page: dict[str, Any] = answer.json()
        for pod in page["items"]:
            if pod.get("status", {}).get("phase") not in _OVER:
                folders.add((pod["metadata"].get("annotations") or {}).get(ANNOTATION, ""))
        proceed = page.get("metadata", {}).get("continue", "")
        if not proceed:
            return folders - {""}
