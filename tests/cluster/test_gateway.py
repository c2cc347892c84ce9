"""The program's own front door at a real gateway: streams as they are made, by TLS, past a minute, and in rollouts."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from rehearsal.answer import service_address
from rehearsal.cluster import certificates
from rehearsal.traffic.background import Background
from tests.cluster.rehearsed import Rehearsed
from tests.cluster.scenarios import HERE, LOAD, UP, eventually, note
from tests.figures import FIGURES, SCENARIOS

pytestmark = pytest.mark.cluster
HOST = "llm.example.com"
URL = f"http://{HOST}/chat/v1"
TOKENS = 100
TOKEN_S = 0.04
FEW = replace(LOAD, base_url=URL, streams=30, rate=3, tokens=25, long_tokens=150, long_every=10)
MINUTE = 60
LONG = int(MINUTE / TOKEN_S) + 50
"""Tokens of a stream that takes longer."""
WAIT = "--timeout=60s"
CHANGES: dict[str, Any] = {
    "gateway": {"kind": "gateway", "className": "traefik", "host": HOST},
    "networkPolicy.gatewayNamespace": "gateway",
    "models.chat.replicas": {"min": 2, "max": 2},
    "models.chat.drainSeconds": 120,
    "models.chat.rollout.minReadySeconds": 1,
    "models.chat.env.SIMULATOR_STEP_MS": TOKEN_S * 1000,
    "models.chat.env.SIMULATOR_STEP_MS_PER_SEQ": 0,
}


@pytest.fixture(scope="module")
def door(rehearsed: Rehearsed) -> Iterator[Rehearsed]:
    """The local stack with two replicas behind a gateway, whose host's name leads there in this process."""
    known = socket.getaddrinfo
    try:
        for key, value in CHANGES.items():
            rehearsed.configure(key, value)
        rehearsed.make("up")
        programmed(rehearsed)
        address = service_address(rehearsed.client, "gateway", "traefik").partition(":")[0]

        def lead(host: Any, *arguments: Any, **options: Any) -> Any:
            return known(address if host == HOST else host, *arguments, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", lead)
            yield rehearsed
    finally:
        rehearsed.restore_configuration()
        rehearsed.pulumi(*UP)


def programmed(rehearsed: Rehearsed) -> None:
    """Wait until the gateway has taken its listener and the route as they are now."""
    rehearsed.kubectl("wait", "--for=condition=Programmed", "gateway/front-door", HERE, WAIT)
    path = '{.status.parents[0].conditions[?(@.type=="Accepted")].status}'
    rehearsed.kubectl("wait", f"--for=jsonpath={path}=True", "httproute/chat", HERE, WAIT)
    eventually(lambda: rehearsed.get("gateway", "front-door", HERE)["status"]["listeners"][0]["attachedRoutes"] == 1)


def arrivals(url: str, tokens: int = TOKENS, trust: ssl.SSLContext | None = None) -> list[float]:
    """When each event of a stream came, in seconds after the request."""
    body = {"model": "chat", "messages": [{"role": "user", "content": "?"}], "max_tokens": tokens, "ignore_eos": True}
    with httpx.Client(trust_env=False, verify=trust or True, timeout=MINUTE) as client:
        began = time.monotonic()
        with client.stream("POST", f"{url}/chat/completions", json=body | {"stream": True}) as answer:
            assert answer.status_code == httpx.codes.OK, answer.read()
            times = [time.monotonic() - began for line in answer.iter_lines() if line.startswith("data: {")]
    assert len(times) >= tokens
    return times


def status(path: str) -> int:
    return httpx.get(f"http://{HOST}{path}", trust_env=False).status_code


def answers(expected: int) -> bool:
    return status("/chat/v1/models") == expected


def test_tokens_come_through_one_by_one_as_they_are_made(door: Rehearsed) -> None:
    times = arrivals(URL)
    made_s = TOKENS * TOKEN_S
    SCENARIOS["stream through the gateway"] = f"first token after {times[0]:.2f} s, the last after {times[-1]:.2f} s"
    assert times[-1] >= made_s
    assert times[0] < made_s / 4
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert sum(gap > TOKEN_S / 4 for gap in gaps) > TOKENS / 2


@pytest.mark.usefixtures("door")
def test_what_no_route_names_is_not_let_through() -> None:
    assert status("/chat/v1/models") == httpx.codes.OK
    for path in ("/metrics", "/v1/models", "/chat/metrics", "/chat/health"):
        assert status(path) == httpx.codes.NOT_FOUND


def test_a_route_to_a_port_that_the_engine_has_not_is_seen_by_clients(door: Rehearsed) -> None:
    """So that what the other tests find is no other way in."""
    path = "/spec/rules/0/backendRefs/0/port"
    for port, expected in ((8001, httpx.codes.INTERNAL_SERVER_ERROR), (8000, httpx.codes.OK)):
        patch = json.dumps([{"op": "replace", "path": path, "value": port}])
        door.kubectl("patch", "httproute", "chat", HERE, "--type=json", f"--patch={patch}")
        eventually(partial(answers, expected))


def test_no_stream_is_cut_by_a_minute_or_by_a_new_gateway_or_by_new_engines(door: Rehearsed) -> None:
    with ThreadPoolExecutor(1) as thread, Background(FEW) as short:
        long = thread.submit(arrivals, URL, LONG)
        traefik = ("deployment/traefik", "--namespace=gateway")
        door.kubectl("rollout", "restart", *traefik)
        door.kubectl("rollout", "status", *traefik, "--timeout=120s")
        door.configure("models.chat.contextLength", 2032)
        door.pulumi(*UP)
    last = long.result()[-1]
    FIGURES["streams checked"] += 1
    note("gateway and engines replaced", short.result, f"and one of {last:.0f} s")
    assert not short.result.lost, short.result.summary()
    assert last > MINUTE


def test_tls_ends_at_the_gateway_with_the_certificate_that_a_secret_holds(door: Rehearsed, tmp_path: Path) -> None:
    certificates._authority(tmp_path, "ca")
    certificates._certificate(tmp_path, "door", user=HOST, names=(HOST,))
    door.kubectl(
        "create", "secret", "tls", "llm-tls", HERE, f"--cert={tmp_path}/door.crt", f"--key={tmp_path}/door.key"
    )
    door.configure("gateway.tls", {"secret": "llm-tls"})
    door.pulumi(*UP)
    programmed(door)
    public = json.loads(door.pulumi("stack", "output", "--json", "--stack", "local"))["models"]["chat"]["publicUrl"]
    assert public == f"https://{HOST}/chat/v1"
    assert arrivals(public, trust=ssl.create_default_context(cafile=str(tmp_path / "ca.crt")))
    with pytest.raises(httpx.ConnectError, match="certificate"):
        arrivals(public)
    door.kubectl("delete", "secret", "llm-tls", HERE)
