"""Who may connect to the models' pods, and whom they may connect to."""

from __future__ import annotations

from typing import Any

import pytest

from components import egress
from components.network_policies import policies
from components.network_rules import Peer, Policy, Rule
from tests.components.program import Recorder, plain, run_program
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, COMMIT, SMALLEST, SOURCES, changed, settings

ENGINE = {"app.kubernetes.io/component": "engine"}


def two(**model: Any) -> dict[str, Any]:
    """The smallest sample with another model in front."""
    chat = SMALLEST["models"]["chat"]
    return changed(SMALLEST, "models", {"another": chat | model, "chat": chat})


@pytest.fixture(scope="module")
def smallest() -> Recorder:
    return run_program(SMALLEST)


def labels(recorder: Recorder) -> dict[str, dict[str, str]]:
    """Labels of every pod of the models' namespace, by what it is."""
    return {
        each.name.split("-")[1] if "-" in each.name else "engine": plain(each.inputs)["spec"]["template"]["metadata"][
            "labels"
        ]
        for kind in ("Job", "Deployment")
        for each in recorder.of(kind)
    }


def test_every_pod_is_denied_everything_that_no_policy_allows(smallest: Recorder) -> None:
    (found,) = [plain(each.inputs)["spec"] for each in smallest.of("NetworkPolicy") if each.name == "default-deny"]
    assert found == {"podSelector": {}, "policyTypes": ["Egress", "Ingress"], "ingress": [], "egress": []}


def test_each_policy_is_about_its_own_pods_only(smallest: Recorder) -> None:
    pods = labels(smallest)
    assert set(pods) == {"engine", "seed", "clean"}
    selected = {
        name.split("-")[0]: {pod for pod, each in pods.items() if policy.labels.items() <= each.items()}
        for name, policy in policies(settings(SMALLEST)).items()
    }
    assert selected == {
        "default": {"engine", "seed", "clean"},
        "engines": {"engine"},
        "seeding": {"seed"},
        "cleaning": {"clean"},
    }


def test_by_default_prometheus_asks_engines_and_seeders_for_metrics_and_nobody_else_asks_anything() -> None:
    found = policies(settings(SMALLEST))
    monitoring = (Peer(namespace="monitoring"),)
    assert {name.split("-")[0]: policy.inward for name, policy in found.items()} == {
        "default": (),
        "engines": (Rule(peers=monitoring, ports=(8000,)),),
        "seeding": (Rule(peers=monitoring, ports=(9110,)),),
        "cleaning": (),
    }


def test_gateway_and_clients_of_the_settings_ask_the_engines_and_nothing_else() -> None:
    access = {"clients": ["10.0.0.0/8"], "gatewayNamespace": "gateway", "prometheusNamespace": None}
    found = policies(settings(changed(SMALLEST, "networkPolicy", access)))
    peers = (Peer(namespace="gateway"), Peer(cidr="10.0.0.0/8"))
    assert found["engines"].inward == (Rule(peers=peers, ports=(8000,)),)
    assert {policy.inward for name, policy in found.items() if name != "engines"} == {()}


def test_without_anybody_to_ask_there_is_no_rule_that_would_let_all_in() -> None:
    found = policies(settings(changed(SMALLEST, "networkPolicy", {"prometheusNamespace": None})))
    assert {policy.inward for policy in found.values()} == {()}


def test_engines_resolve_names_and_connect_to_nothing() -> None:
    assert policies(settings(SMALLEST))["engines"].outward == (egress.DNS,)


def test_the_cleaner_reaches_the_api_server_alone() -> None:
    found = policies(settings(SMALLEST))["cleaning"]
    api_server = Rule(peers=(Peer(cidr="0.0.0.0/0", left_out=("169.254.0.0/16",)),), ports=(443, 6443))
    assert found.outward == (egress.DNS, api_server)


def test_pods_of_a_replica_on_several_nodes_reach_each_other_and_not_those_of_another_model() -> None:
    found = policies(settings(two(nodesPerReplica=2)))
    pods = ENGINE | {"app.kubernetes.io/instance": "another"}
    among = (Rule(peers=(Peer(pods=tuple(pods.items())),)),)
    assert found["another-nodes"] == Policy(labels=pods, inward=among, outward=among)
    assert "chat-nodes" not in found


def test_models_with_the_same_source_share_a_policy_and_others_do_not() -> None:
    same = policies(settings(two()))
    assert [policy.instances for name, policy in same.items() if name.startswith("seeding-")] == [("another", "chat")]
    other = policies(settings(two(weights={"size": "20Gi", "endpoint": "https://hub.example.com"})))
    assert sorted(policy.instances for name, policy in other.items() if name.startswith("seeding-")) == [
        ("another",),
        ("chat",),
    ]


def test_a_model_more_moves_no_policy_of_the_others() -> None:
    assert set(policies(settings(SMALLEST))) == set(policies(settings(two())))


def test_many_models_need_no_more_policies_than_one() -> None:
    """Each object costs a preview 5 ms."""
    chat = AWS_ATTACHED["models"]["chat"] | {"replicas": {"min": 1, "max": 1}}
    config = changed(changed(AWS_ATTACHED, "gpuPools.l40s.max", 20), "models", {f"m{i}": chat for i in range(10)})
    assert len(policies(settings(config))) == 4


def test_replicas_that_seed_their_node_reach_source_and_api_server_beside_what_engines_do() -> None:
    found = policies(settings(AWS_CREATED))
    (own,) = [policy for name, policy in found.items() if name.startswith("node-seeding-")]
    assert (own.labels, own.instances, own.inward) == (ENGINE, ("draft",), ())
    assert [rule.ports for rule in own.outward] == [(53,), (443,), (443, 6443)]


def test_a_bucket_is_signed_in_to_by_the_agent_of_the_node_on_eks_only() -> None:
    bucket = {"source": "s3://example-weights/llm/chat/v1", "weights": {"storage": "shared", "size": "20Gi"}}
    on_eks = changed(AWS_ATTACHED, "models.chat", AWS_ATTACHED["models"]["chat"] | bucket)
    agents = {
        name: [rule for policy in policies(settings(config)).values() for rule in policy.outward if rule.ports == (80,)]
        for name, config in {"eks": on_eks, "elsewhere": SOURCES["s3"]}.items()
    }
    assert agents == {"eks": [Rule(peers=(Peer(cidr=egress.POD_IDENTITY[0]),), ports=(80,))], "elsewhere": []}


def test_weights_in_an_image_need_no_policy_of_their_own() -> None:
    assert set(policies(settings(SOURCES["image"]))) == {"default-deny", "engines"}


def test_a_stack_may_do_without() -> None:
    recorder = run_program(changed(SMALLEST, "networkPolicy", {"enabled": False}))
    assert recorder.of("NetworkPolicy") + recorder.of("NetworkPolicies") == []


@pytest.mark.parametrize("config", [SMALLEST, SOURCES["image"]], ids=[COMMIT[:4], "image"])
def test_no_pod_starts_before_the_policies(config: dict[str, Any]) -> None:
    recorder = run_program(config)
    made = {each.urn for each in recorder.of("NetworkPolicy")}
    assert made
    jobs = recorder.of("Job")
    for each in jobs:
        assert made <= set(each.depends_on), each.name
    (replicas,) = recorder.of("Deployment")
    seeding = {each.urn for each in jobs if "-seed-" in each.name}
    assert (seeding or made) <= set(replicas.depends_on)
