"""The API server, by the official client's configuration and transport. Nothing is asked before it is needed."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

# Kinds of Kubernetes itself without a namespace: known, so that a preview need not ask and works offline.
CLUSTER_WIDE = """Namespace Node PersistentVolume ClusterRole ClusterRoleBinding StorageClass PriorityClass RuntimeClass
    CustomResourceDefinition APIService CSIDriver DeviceClass IngressClass MutatingWebhookConfiguration
    ValidatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding"""

NOT_FOUND, FORBIDDEN, INVALID = 404, 403, 422


class Refused(Exception):
    """What the API server says of a request that it did not carry out; `status` is the HTTP status."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(json.loads(body)["message"] if body.startswith("{") else body)
        self.status = status


class Unreachable(Exception):
    """There is no API server to ask: no kubeconfig, or nobody who answers."""


class ApiServer:
    """`settings` are the provider's: kubeconfig (a path, or the content), context, namespace."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.settings = settings
        self._kinds: dict[str, dict[str, Any]] = {}

    @cached_property
    def _client(self) -> tuple[Any, Any, str]:
        import yaml  # noqa: PLC0415 - these take half a second that most previews do without
        from kubernetes import client  # type: ignore[import-untyped]  # noqa: PLC0415
        from kubernetes.client import configuration, rest  # type: ignore[import-untyped]  # noqa: PLC0415

        client.Configuration, client.ApiClient = configuration.Configuration, None  # all that the next import needs
        from kubernetes.config import ConfigException, kube_config  # type: ignore[import-untyped]  # noqa: PLC0415

        given, settings = self.settings.get("kubeconfig", ""), configuration.Configuration()
        source: dict[str, Any] = {"filename": given or kube_config.KUBE_CONFIG_DEFAULT_LOCATION}
        if given and not Path(given.partition("\n")[0][:255]).expanduser().exists():
            source = {"config_dict": yaml.safe_load(given)}
        try:
            loader = kube_config._get_kube_config_loader(**source, active_context=self.settings.get("context") or None)  # noqa: SLF001
            loader.load_and_set(settings)
        except (ConfigException, OSError, TypeError, AttributeError) as fault:
            raise Unreachable(f"configured Kubernetes cluster is unreachable: {fault}") from None
        namespace = loader.current_context["context"].get("namespace") or "default"
        return rest.RESTClientObject(settings), settings, namespace

    @property
    def namespace(self) -> str:
        """Where objects go that name no namespace: the provider's, else the kubeconfig context's, else `default`."""
        try:
            return self.settings.get("namespace") or self._client[2]
        except Unreachable:
            return "default"

    def ask(self, method: str, path: str, body: Any = None, content: str = "application/json", **query: Any) -> Any:
        """The answer to one request: an object, or text where it is not JSON. Raises Refused or Unreachable."""
        rest, settings, _ = self._client
        from kubernetes.client.exceptions import ApiException  # type: ignore[import-untyped]  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        headers = {auth["key"]: auth["value"] for auth in settings.auth_settings().values()}
        request: dict[str, Any] = {"headers": headers | {"Content-Type": content}, "query_params": list(query.items())}
        try:
            answer = rest.request(
                method, settings.host + path, **request, body=body, _preload_content=False, _request_timeout=(5, 60)
            )
        except ApiException as refusal:
            raise Refused(refusal.status, (refusal.body or b"").decode()) from None
        except HTTPError as fault:
            why = f"{settings.host}: {getattr(fault, 'reason', fault)}"
            raise Unreachable(f"configured Kubernetes cluster is unreachable: {why}") from None
        text = answer.data.decode(errors="replace")
        return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text

    def _served(self, api_version: str) -> dict[str, Any]:
        if api_version not in self._kinds:
            root = f"/{'apis' if '/' in api_version else 'api'}/{api_version}"
            try:
                kinds = self.ask("GET", root)["resources"]
            except Refused as fault:
                if fault.status != NOT_FOUND:
                    raise
                return {}
            self._kinds[api_version] = {k["kind"]: k | {"root": root} for k in kinds if "/" not in k["name"]}
        return self._kinds[api_version]

    def is_namespaced(self, api_version: str, kind: str) -> bool:
        """Whether objects of this kind live in a namespace; assumed of a kind that is not served (yet)."""
        if "." not in api_version or api_version.partition("/")[0].endswith(".k8s.io"):
            return kind not in CLUSTER_WIDE.split()
        try:
            return bool(self._served(api_version).get(kind, {"namespaced": True})["namespaced"])
        except Unreachable:
            return True

    def path(self, obj: dict[str, Any]) -> str:
        """Where `obj` is served. Raises Refused (404) where its kind is not."""
        api_version, kind, metadata = obj["apiVersion"], obj["kind"], obj["metadata"]
        served = self._served(api_version).get(kind)
        if not served:
            self._kinds.pop(api_version, None)  # a CRD may be on its way
            raise Refused(NOT_FOUND, f'no matches for kind "{kind}" in {api_version!r}: does its CRD exist?')
        scope = f"/namespaces/{metadata.get('namespace') or self.namespace}" if served["namespaced"] else ""
        return f"{served['root']}{scope}/{served['name']}/{metadata['name']}"
