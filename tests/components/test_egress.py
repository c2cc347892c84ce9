"""Where pods that handle weights may connect to, by their source."""

from __future__ import annotations

from typing import Any

import pytest

from components import egress
from components.network_policies import policies
from components.network_rules import Peer, Policy
from components.settings import parse_source
from tests.components.samples import COMMIT, SMALLEST, SOURCES, SUM, changed, settings

HUB = f"hf://meta-llama/Llama-3.1-8B-Instruct@{COMMIT}"
BUCKET = "s3://example-weights/llm/chat"
IMDS = "169.254.0.0/16"
PRIVATE = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"}
DNS = ({"namespace kube-system", "169.254.20.10/32"}, {("UDP", 53), ("TCP", 53)})


def public(port: int) -> tuple[set[str], set[tuple[str, int]]]:
    return {" but ".join(["0.0.0.0/0", *sorted({*PRIVATE, IMDS})])}, {("TCP", port)}


def anywhere(*ports: int) -> tuple[set[str], set[tuple[str, int]]]:
    return {f"0.0.0.0/0 but {IMDS}"}, {("TCP", port) for port in ports}


def peer(each: Peer) -> str:
    return f"namespace {each.namespace}" if each.namespace else " but ".join([str(each.cidr), *sorted(each.left_out)])


def seeding(config: dict[str, Any]) -> Policy:
    (found,) = [each for name, each in policies(settings(config)).items() if name.startswith("seeding-")]
    return found


def reached(found: Policy) -> list[tuple[set[str], set[tuple[str, int]]]]:
    return [
        (
            {peer(each) for each in rule.peers},
            {(protocol, port) for port in rule.ports for protocol in (("UDP", "TCP") if rule.udp else ("TCP",))},
        )
        for rule in found.outward
    ]


def config(source: str, **weights: Any) -> dict[str, Any]:
    account = {"serviceAccount": "seeder"} if source == BUCKET else {}
    given = {"size": "20Gi", **account, **weights}
    return changed(changed(SMALLEST, "models.chat.source", source), "models.chat.weights", given)


@pytest.mark.parametrize(
    ("source", "endpoint", "rule"),
    [
        (HUB, None, public(443)),
        (BUCKET, None, public(443)),
        (f"oci://ghcr.io/acme/chat@sha256:{SUM}", None, public(443)),
        # A company's registry may have a private address.
        (f"oci://registry.example.com/chat@sha256:{SUM}", None, anywhere(443)),
        (f"oci://registry.example.com:5000/chat@sha256:{SUM}", None, anywhere(443, 5000)),
        (f"oci://10.0.0.7:5000/chat@sha256:{SUM}", None, ({"10.0.0.7/32"}, {("TCP", 443), ("TCP", 5000)})),
        (f"oci://ghcr.io/acme/chat@sha256:{SUM}", "http://mirror.example.com", anywhere(80, 443)),
        (HUB, "https://hub.example.com", anywhere(443)),
        (HUB, "https://hub.example.com:8443/models", anywhere(8443)),
        (HUB, "http://10.77.0.1:8080", ({"10.77.0.1/32"}, {("TCP", 8080)})),
        (HUB, "http://203.0.113.9", ({"203.0.113.9/32"}, {("TCP", 80)})),
        (HUB, "http://hub.models.svc.cluster.local", ({"namespace models"}, set())),
        (BUCKET, "http://minio.storage.svc:9000", ({"namespace storage"}, set())),
        (BUCKET, "http://svc.example.com", anywhere(80)),
    ],
)
def test_a_seeder_reaches_its_source_and_resolves_its_name(
    source: str, endpoint: str | None, rule: tuple[set[str], set[tuple[str, int]]]
) -> None:
    given = {} if endpoint is None else {"endpoint": endpoint}
    assert reached(seeding(config(source, **given))) == [DNS, rule]


@pytest.mark.parametrize(
    ("source", "endpoint", "ports"),
    [
        (BUCKET, "http://minio.storage:9000", (9000,)),
        (f"oci://registry.storage:5000/chat@sha256:{SUM}", None, (443, 5000)),
        # A name like that of a Service is one on the internet, too.
        (HUB, "https://mirror.storage", (443,)),
    ],
)
def test_a_host_that_may_be_a_service_is_reached_in_its_namespace_and_outside(
    source: str, endpoint: str | None, ports: tuple[int, ...]
) -> None:
    given = {} if endpoint is None else {"endpoint": endpoint}
    found = reached(seeding(config(source, **given)))
    assert found == [DNS, ({"namespace storage"}, set()), anywhere(*ports)]


def test_ranges_of_the_user_are_all_that_is_reached() -> None:
    found = seeding(config(HUB, egress=["10.0.0.0/8", "203.0.113.0/24"]))
    assert reached(found) == [DNS, ({"10.0.0.0/8", "203.0.113.0/24"}, set())]


@pytest.mark.parametrize("name", ["file on nodes", "file on a claim"])
def test_who_copies_a_folder_reaches_nothing_at_all(name: str) -> None:
    assert seeding(SOURCES[name]).outward == ()


def test_the_credentials_of_a_pods_role_come_from_the_agent_on_its_node() -> None:
    where = egress.destination(parse_source(BUCKET), None)
    with_agent, without = (egress.rules(where, pod_identity=each) for each in (True, False))
    (agent,) = with_agent[len(without) :]
    assert agent.peers == (Peer(cidr="169.254.170.23/32"),)
    assert agent.ports == (80,)
