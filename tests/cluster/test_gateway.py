"""Streams through a real gateway: as they are made, by TLS, for longer than a minute, and while things are replaced."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from rehearsal.answer import service_address
from rehearsal.cluster import certificates
from rehearsal.traffic.background import Background
from rehearsal.traffic.load import Load
from tests.cluster.rehearsed import Rehearsed
from tests.figures import FIGURES, SCENARIOS

pytestmark = pytest.mark.cluster
HERE = "--namespace=door"
HOST = "llm.example.com"
TOKENS = 100
TOKEN_S = 0.04
"""What front_door.yaml has the engines take."""
WAIT = "--timeout=120s"
LOAD = Load(base_url="", model="chat", streams=30, rate=3, tokens=25, long_tokens=150, long_every=10, patience_s=60)
MINUTE = 60
LONG = int(MINUTE / TOKEN_S) + 50
"""Tokens of a stream that takes longer."""


def apply(rehearsed: Rehearsed, text: str) -> None:
    """Have the cluster hold the objects of a manifest."""
    rehearsed.client.read("apply", "--server-side", "--filename=-", text=text)


@pytest.fixture(scope="module")
def authority(rehearsed: Rehearsed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Whom to trust at a real gateway, which stands before two engines."""
    rehearsed.make("up", REHEARSAL_ADDONS="traefik")
    folder = tmp_path_factory.mktemp("certificates")
    certificates._authority(folder, "ca")
    certificates._certificate(folder, "door", user=HOST, names=(HOST,))
    model = str(rehearsed.cluster / "hub/rehearsal/tiny-llama")
    apply(rehearsed, (Path(__file__).parent / "front_door.yaml").read_text().replace("MODEL", model))
    pair = (f"--cert={folder}/door.crt", f"--key={folder}/door.key", "--dry-run=client", "--output=yaml")
    apply(rehearsed, rehearsed.kubectl("create", "secret", "tls", "llm-tls", HERE, *pair))
    try:
        rehearsed.kubectl("rollout", "status", "deployment/engine", HERE, WAIT)
        rehearsed.kubectl("wait", "--for=condition=Programmed", "gateway/door", HERE, WAIT)
        path = '{.status.parents[0].conditions[?(@.type=="Accepted")].status}'
        rehearsed.kubectl("wait", f"--for=jsonpath={path}=True", "httproute/chat", HERE, WAIT)
        yield folder / "ca.crt"
    finally:
        rehearsed.kubectl("delete", "namespace", "door", "--wait=false", "--ignore-not-found")


@pytest.fixture
def address(rehearsed: Rehearsed, authority: Path) -> str:
    """The gateway's cluster IP."""
    return service_address(rehearsed.client, "gateway", "traefik").partition(":")[0]


def arrivals(url: str, tokens: int = TOKENS, trust: ssl.SSLContext | None = None, **options: Any) -> list[float]:
    """When each event of a stream came, in seconds after the request."""
    body = {"model": "chat", "messages": [{"role": "user", "content": "?"}], "max_tokens": tokens, "ignore_eos": True}
    with httpx.Client(trust_env=False, verify=trust or True, timeout=MINUTE) as client:
        began = time.monotonic()
        with client.stream("POST", f"{url}/chat/completions", json=body | {"stream": True}, **options) as answer:
            assert answer.status_code == httpx.codes.OK, answer.read()
            times = [time.monotonic() - began for line in answer.iter_lines() if line.startswith("data: {")]
    assert len(times) >= tokens
    return times


def test_tokens_come_through_one_by_one_as_they_are_made(address: str) -> None:
    times = arrivals(f"http://{address}/chat/v1")
    made_s = TOKENS * TOKEN_S
    SCENARIOS["stream through the gateway"] = f"first token after {times[0]:.2f} s, the last after {times[-1]:.2f} s"
    assert times[-1] >= made_s
    assert times[0] < made_s / 4
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert sum(gap > TOKEN_S / 4 for gap in gaps) > TOKENS / 2


def test_tls_ends_at_the_gateway_with_the_certificate_that_a_secret_holds(authority: Path, address: str) -> None:
    trust = ssl.create_default_context(cafile=str(authority))
    options: dict[str, Any] = {"headers": {"Host": HOST}, "extensions": {"sni_hostname": HOST}}
    assert arrivals(f"https://{address}/chat/v1", trust=trust, **options)


def test_what_no_route_names_is_not_let_through(address: str) -> None:
    for path in ("/metrics", "/v1/models", "/chat/metrics"):
        assert httpx.get(f"http://{address}{path}", trust_env=False).status_code == httpx.codes.NOT_FOUND


def test_no_stream_is_cut_by_a_minute_or_by_a_new_gateway_or_by_new_engines(rehearsed: Rehearsed, address: str) -> None:
    url = f"http://{address}/chat/v1"
    with ThreadPoolExecutor(1) as thread, Background(replace(LOAD, base_url=url)) as short:
        long = thread.submit(arrivals, url, LONG)
        for deployment, namespace in (("traefik", "gateway"), ("engine", "door")):
            where = (f"deployment/{deployment}", f"--namespace={namespace}")
            rehearsed.kubectl("rollout", "restart", *where)
            rehearsed.kubectl("rollout", "status", *where, WAIT)
    FIGURES["streams checked"] += short.result.streams + 1
    SCENARIOS["gateway and engines replaced"] = (
        f"{short.result.streams} streams, and one of {long.result()[-1]:.0f} s: lost {len(short.result.lost)}"
    )
    assert not short.result.lost, short.result.summary()
    assert long.result()[-1] > MINUTE
