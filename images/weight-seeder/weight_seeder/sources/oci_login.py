"""Logging in to a registry as Docker does it: Basic, or a token from the server that the registry names."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Generator
from os import environ
from typing import Any

import httpx2

from weight_seeder.answers import passes, retry_after
from weight_seeder.faults import HopelessError, Transient

GIVE = "give the model a Secret of type kubernetes.io/dockerconfigjson that may pull it (weights.credentials)"


class Login(httpx2.Auth):
    """Answers a registry's challenge with the credentials of REGISTRY_AUTH, or as anybody where it has none for it."""

    def __init__(self, *, registry: str, repository: str) -> None:
        self._basic = _credentials(registry, repository)
        self._scope = f"repository:{repository}:pull"
        self._header = ""

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Ask; where the registry wants to know who does, ask again with what it wants."""
        if self._header:
            request.headers["Authorization"] = self._header
        answer = yield request
        # Where blobs are stored is another host, which may have no challenge answered.
        if answer.status_code != httpx2.codes.UNAUTHORIZED or _origin(answer.url) != _origin(request.url):
            return
        challenges = [each.partition(" ") for each in answer.headers.get_list("www-authenticate")]
        kinds = {kind.lower(): dict(re.findall(r'(\w+)="([^"]*)"', fields)) for kind, _, fields in challenges}
        if "bearer" in kinds:
            token = yield self._token_request(request.url, kinds["bearer"])
            self._header = f"Bearer {_token(token)}"
        elif "basic" in kinds and self._basic:
            self._header = self._basic
        else:
            return
        request.headers["Authorization"] = self._header
        yield request

    def _token_request(self, registry: httpx2.URL, challenge: dict[str, str]) -> httpx2.Request:
        try:
            realm = httpx2.URL(challenge.get("realm", ""))
        except httpx2.InvalidURL:
            realm = httpx2.URL("")
        if realm.scheme not in ("https", registry.scheme) or not realm.host:
            raise HopelessError(
                f"{registry.host} names a token server that is not asked: {realm.scheme}://{realm.host}"
            )
        asked = {"service": challenge.get("service", ""), "scope": challenge.get("scope") or self._scope}
        headers = {"Authorization": self._basic} if self._basic else {}
        return httpx2.Request("GET", realm, params=realm.params.merge(asked), headers=headers)


def _token(answer: httpx2.Response) -> str:
    status = answer.status_code
    line = f"the token server {answer.url.host} answered {status}"
    if passes(status):
        raise Transient(line, retry_after(answer.headers))
    try:
        given: Any = json.loads(answer.read()) if answer.is_success else {}
        return str(given.get("token") or given["access_token"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HopelessError(f"{line} and gave no token: {GIVE}") from None


def _credentials(registry: str, repository: str) -> str:
    """The Authorization for this repository, by the longest name in REGISTRY_AUTH that it is below; or nothing."""
    text = environ.get("REGISTRY_AUTH", "")
    if not text:
        return ""
    aliases = ("docker.io", "index.docker.io") if registry == "docker.io" else (registry,)
    wanted = [f"{alias}/{repository}/" for alias in aliases]
    try:
        entries: dict[str, dict[str, str]] = json.loads(text)["auths"]
        # Docker itself writes `https://index.docker.io/v1/`.
        names = {re.sub(r"^https?://|/v[12]/?$|/$", "", name): entry for name, entry in entries.items()}
        found = [name for name in names if any(each.startswith(f"{name}/") for each in wanted)]
        if not found:
            return ""
        entry = names[max(found, key=len)]
        if "auth" in entry:
            return f"Basic {base64.b64encode(base64.b64decode(entry['auth'], validate=True)).decode()}"
        plain = f"{entry['username']}:{entry['password']}"
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HopelessError(
            'REGISTRY_AUTH is not what a .dockerconfigjson holds: {"auths": {REGISTRY: {"auth": ...}}}'
        ) from None
    return f"Basic {base64.b64encode(plain.encode()).decode()}"


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
