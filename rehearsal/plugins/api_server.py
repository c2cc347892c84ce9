"""The API server, by the official client's configuration and transport. Nothing is asked before it is needed."""

import io
import json
from functools import cached_property
from typing import Any

from rehearsal.plugins.told import Told

NOT_FOUND, FORBIDDEN, INVALID, SERVER_ERROR = 404, 403, 422, 500


class Refused(Told):
    """What the API server says of a request that it did not carry out; `status` is HTTP's, `passing` what may pass."""

    def __init__(self, status: int, said: str) -> None:
        message = json.loads(said)["message"] if said.startswith("{") else said
        super().__init__(f"the Kubernetes API server refused: {message}")
        self.status, self.passing = status, status >= SERVER_ERROR


class Unreachable(Told):
    """There is no API server to ask: no kubeconfig, or nobody who answers."""

    passing = True


class ApiServer:
    """`settings` are the provider's: kubeconfig (a path, or its content), context, namespace."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.settings = settings
        self._kinds: dict[str, dict[str, Any]] = {}

    @cached_property
    def _client(self) -> tuple[Any, Any, Any]:
        from kubernetes import client  # type: ignore[import-untyped]  # noqa: PLC0415 - half a second, rarely needed
        from kubernetes.client import configuration, rest  # type: ignore[import-untyped]  # noqa: PLC0415

        client.Configuration, client.ApiClient = configuration.Configuration, None  # all that the next import needs
        from kubernetes.config import ConfigException, kube_config  # type: ignore[import-untyped]  # noqa: PLC0415

        settings, given = configuration.Configuration(), self.settings.get("kubeconfig")
        file = io.StringIO(given) if given and "apiVersion" in given else given
        try:
            kube_config.load_kube_config(file, self.settings.get("context"), settings)
        except (ConfigException, OSError) as fault:
            raise Unreachable(f"no Kubernetes cluster is configured: {fault}") from None
        return rest, rest.RESTClientObject(settings), settings

    def ask(self, method: str, path: str, body: Any = None, content: str = "application/json", **query: Any) -> Any:
        """The answer to one request: an object, or text where it is not JSON. Raises Refused or Unreachable."""
        rest, transport, settings = self._client
        headers = {auth["key"]: auth["value"] for auth in settings.auth_settings().values()} | {"Content-Type": content}
        options: dict[str, Any] = {"_preload_content": False, "_request_timeout": (5, 60)}
        try:
            answer = transport.request(method, settings.host + path, list(query.items()), headers, body, **options)
        except rest.ApiException as refusal:
            raise Refused(refusal.status, (refusal.body or b"").decode()) from None
        except rest.urllib3.exceptions.HTTPError as fault:
            raise Unreachable(f"no Kubernetes at {settings.host}: {getattr(fault, 'reason', fault)}") from None
        text = answer.data.decode(errors="replace")
        return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text

    def path(self, obj: dict[str, Any]) -> str:
        """Where `obj` is served. Raises Refused (404) where its kind is not."""
        api_version, kind, metadata = obj["apiVersion"], obj["kind"], obj["metadata"]
        root = f"/{'apis' if '/' in api_version else 'api'}/{api_version}"
        if kind not in self._kinds.get(root, {}):  # also asked again: its CRD may have come since
            self._kinds[root] = {k["kind"]: k for k in self.ask("GET", root)["resources"] if "/" not in k["name"]}
        served = self._kinds[root].get(kind)
        if not served:
            raise Refused(NOT_FOUND, f'no matches for kind "{kind}" in {api_version!r}: does its CRD exist?')
        home = metadata.get("namespace") or self.settings.get("namespace") or "default"
        return f"{root}{f'/namespaces/{home}' if served['namespaced'] else ''}/{served['name']}/{metadata['name']}"
