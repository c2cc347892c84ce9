"""Where pods that handle weights may connect to, by their source."""

from __future__ import annotations

from typing import Any

import pytest

from components import egress
from components.settings import parse_source
from tests.components.program import Recorder, plain, run_program
from tests.components.samples import COMMIT, SMALLEST, SOURCES, SUM, changed

HUB = f"hf://meta-llama/Llama-3.1-8B-Instruct@{COMMIT}"
BUCKET = "s3://example-weights/llm/chat"
IMDS = "169.254.0.0/16"
PRIVATE = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"}
DNS = ({"namespace kube-system", "169.254.20.10/32"}, {("UDP", 53), ("TCP", 53)})


def public(port: int) -> tuple[set[str], set[tuple[str, int]]]:
    return {" but ".join(["0.0.0.0/0", *sorted({*PRIVATE, IMDS})])}, {("TCP", port)}


def anywhere(*ports: int) -> tuple[set[str], set[tuple[str, int]]]:
    return {f"0.0.0.0/0 but {IMDS}"}, {("TCP", port) for port in ports}


def peer(each: dict[str, Any]) -> str:
    if "namespaceSelector" in each:
        (item,) = each["namespaceSelector"]["matchLabels"].items()
        assert item[0] == "kubernetes.io/metadata.name"
        return f"namespace {item[1]}"
    block = each["ipBlock"]
    return " but ".join([block["cidr"], *sorted(block.get("except", []))])


def policy(config: dict[str, Any], name: str = "chat-weights") -> dict[str, Any]:
    return spec(run_program(config), name)


def spec(recorder: Recorder, name: str) -> dict[str, Any]:
    (found,) = [each for each in recorder.of("NetworkPolicy") if each.name == name]
    inputs: dict[str, Any] = plain(found.inputs)["spec"]
    return inputs


def reached(found: dict[str, Any]) -> list[tuple[set[str], set[tuple[str, int]]]]:
    return [
        ({peer(each) for each in rule["to"]}, {(port["protocol"], port["port"]) for port in rule.get("ports", [])})
        for rule in found["egress"]
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
    assert reached(policy(config(source, **given))) == [DNS, rule]


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
    found = reached(policy(config(source, **given)))
    assert found == [DNS, ({"namespace storage"}, set()), anywhere(*ports)]


def test_ranges_of_the_user_are_all_that_is_reached() -> None:
    found = policy(config(HUB, egress=["10.0.0.0/8", "203.0.113.0/24"]))
    assert reached(found) == [DNS, ({"10.0.0.0/8", "203.0.113.0/24"}, set())]


@pytest.mark.parametrize("name", ["file on nodes", "file on a claim"])
def test_who_copies_a_folder_reaches_nothing_at_all(name: str) -> None:
    found = policy(SOURCES[name])
    assert found["egress"] == []
    assert found["policyTypes"] == ["Egress", "Ingress"]


def test_the_credentials_of_a_pods_role_come_from_the_agent_on_its_node() -> None:
    where = egress.destination(parse_source(BUCKET), None)
    with_agent, without = (egress.rules(where, pod_identity=each) for each in (True, False))
    (agent,) = with_agent[len(without) :]
    assert isinstance(agent.to, list)
    assert [block.ip_block.cidr for block in agent.to] == ["169.254.170.23/32"]
    assert isinstance(agent.ports, list)
    assert [(port.protocol, port.port) for port in agent.ports] == [("TCP", 80)]


def test_weights_in_an_image_need_no_policy_and_no_cleaning() -> None:
    assert run_program(SOURCES["image"]).of("NetworkPolicy") == []


def test_a_policy_is_about_the_seeding_pods_which_only_metrics_are_asked_of() -> None:
    recorder = run_program(SMALLEST)
    found = spec(recorder, "chat-weights")
    assert found["policyTypes"] == ["Egress", "Ingress"]
    assert found["ingress"] == [{"ports": [{"protocol": "TCP", "port": 9110}]}]
    selected = found["podSelector"]["matchLabels"].items()
    labels = {
        each.name.rsplit("-", 1)[0]: plain(each.inputs)["spec"]["template"]["metadata"]["labels"]
        for kind in ("Job", "Deployment")
        for each in recorder.of(kind)
    }
    assert [name for name, each in labels.items() if selected <= each.items()] == ["chat-seed"]


def test_the_cleaner_reaches_the_api_server_alone() -> None:
    recorder = run_program(SMALLEST)
    found = spec(recorder, "weight-cleaner")
    assert reached(found) == [DNS, anywhere(443, 6443)]
    assert found["ingress"] == []
    (clean,) = [each for each in recorder.of("Job") if "-clean-" in each.name]
    labels = plain(clean.inputs)["spec"]["template"]["metadata"]["labels"]
    assert found["podSelector"]["matchLabels"].items() <= labels.items()


def test_no_pod_starts_before_its_policy() -> None:
    recorder = run_program(SMALLEST)
    policies = {each.name: each.urn for each in recorder.of("NetworkPolicy")}
    for each in recorder.of("Job"):
        assert policies["weight-cleaner" if "-clean-" in each.name else "chat-weights"] in each.depends_on
