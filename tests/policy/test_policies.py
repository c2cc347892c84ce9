"""Every policy by itself, behind the SDK's own server: compliant, violating, missing, unknown and remediated."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty
from inference_policy.pack import RULES
from inference_policy.rule import Rule

from tests.policy import cases
from tests.policy.analyzer import SECRET, UNKNOWN, Analyzer, Asked
from tests.policy.resources import ENGINE, FILES, GATEWAY, GOOD, GPU, GROUP, JOB, NAMESPACE, POD, ROUTE, WEB

NAMES = [rule.name for rule in RULES]
WORKERS = "spec/leaderWorkerTemplate/workerTemplate/spec"
LOWER = NAMESPACE.edited("metadata/labels", cases.BASELINE)
WANT_NOTHING = {"gpu-nodes-reserved", "secrets-by-reference", "scalers-own-replicas", "weights-protected"}
"""Policies for which a resource that says nothing is right."""


def flat(table: dict[str, tuple[Any, ...]]) -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name} {index}")
        for name, group in table.items()
        for index, case in enumerate(group)
    ]


def test_every_policy_has_cases_of_every_sort() -> None:
    assert set(cases.VIOLATING) == set(NAMES) == set(cases.UNKNOWNS)
    assert set(cases.MISSING) == set(NAMES) - WANT_NOTHING
    assert len(set(NAMES)) == len(NAMES)


def test_resources_as_they_should_be_break_no_policy() -> None:
    assert Analyzer().problems(GOOD) == []


@pytest.mark.parametrize(("name", "case"), [*flat(cases.VIOLATING), *flat(cases.MISSING)])
def test_what_is_wrong_or_missing_is_told_with_where_and_what_to_do(name: str, case: cases.Case) -> None:
    resources, said = case
    problems = Analyzer().problems(resources)
    assert name in {policy for policy, _ in problems}
    assert any(said in message for policy, message in problems if policy == name), problems


@pytest.mark.parametrize(("name", "resources"), [*flat(cases.COMPLIANT), *flat(cases.UNKNOWNS)])
def test_what_is_right_or_cannot_be_known_is_no_violation(name: str, resources: cases.Resources) -> None:
    assert [message for policy, message in Analyzer().problems(resources) if policy == name] == []


@pytest.mark.parametrize("resource", GOOD, ids=lambda each: each.name)
@pytest.mark.parametrize("value", [UNKNOWN, None, [], {}, "text", 7, [UNKNOWN], [7]], ids=repr)
def test_no_policy_stumbles_over_what_has_no_sense(resource: Asked, value: Any) -> None:
    """Whatever stands in a resource's place, a policy answers: an exception of its own would stop the deployment."""
    for path in ("spec", POD, f"{POD}/containers", f"{ENGINE}/env", "metadata", "tags", "taints"):
        head = path.split("/")[0]
        if head in resource.inputs and (path == head or resource.type.endswith((":Deployment", ":Job"))):
            Analyzer().problems([resource.edited(path, value)])
            Analyzer(level="REMEDIATE").remediated(resource.edited(path, value))


def test_a_message_repeats_no_secret() -> None:
    for resources, _ in cases.VIOLATING["secrets-by-reference"]:
        text = str(Analyzer().problems(resources))
        assert "hf_abc" not in text
        assert "sk-abc" not in text
        assert cases.CHANCE not in text


@pytest.mark.parametrize(
    ("name", "given", "resource"),
    [
        ("images-by-digest", {"tagged": ["vllm/"]}, GPU.edited(f"{ENGINE}/image", "vllm/vllm-openai:v0.31.0")),
        ("containers-limited", {"limits": ["memory"]}, WEB.without(f"{ENGINE}/resources/limits/cpu")),
        ("servers-probed", {"exempt": ["web"]}, WEB.without(f"{ENGINE}/livenessProbe")),
        ("gpu-nodes-reserved", {"taints": []}, WEB.edited(f"{POD}/tolerations", [{"key": "nvidia.com/gpu"}])),
        ("namespaces-restricted", {"levels": {"mine": "baseline"}}, LOWER),
        ("pods-restricted", {"except": {"Deployment/web": ["host-namespaces"]}}, WEB.edited(f"{POD}/hostPID", True)),  # noqa: FBT003
        ("secrets-by-reference", {"public": ["HF_TOKEN"]}, GPU.edited(f"{ENGINE}/env", cases.ENV)),
        ("aws-tagged", {"required": []}, FILES.without("tags")),
        ("weights-protected", {"exempt": ["shared"]}, cases.VIOLATING["weights-protected"][1][0][0]),
        ("public-doors-keyed", {"open": ["lb"]}, cases.VIOLATING["public-doors-keyed"][3][0][0]),
        ("gpu-workloads-placed", {"taints": ["dedicated"]}, GPU.edited(f"{POD}/tolerations", [{"key": "dedicated"}])),
    ],
)  # fmt: skip
def test_a_policy_is_set_by_the_packs_configuration(name: str, given: dict[str, Any], resource: Asked) -> None:
    assert name in {policy for policy, _ in Analyzer().problems([resource])}
    assert name not in {policy for policy, _ in Analyzer({name: given}).problems([resource])}


@pytest.mark.parametrize(
    ("given", "doors"),
    [
        ({"open": ["Ingress/chat", "HTTPRoute/chat"]}, [cases.NGINX, ROUTE]),
        ({"private": ["nginx", "traefik"]}, [cases.NGINX, ROUTE, GATEWAY]),
        ({"private": ["front"]}, [ROUTE]),
    ],
)
def test_a_door_that_the_internet_does_not_reach_is_said_to_be_so(given: dict[str, Any], doors: list[Asked]) -> None:
    resources = [*cases.ROUTED, *doors]
    broken = [policy for policy, _ in Analyzer().problems(resources)]
    assert broken == ["public-doors-keyed"] * sum(each is not GATEWAY for each in doors)
    assert Analyzer({"public-doors-keyed": given}).problems(resources) == []


def test_a_map_that_is_given_is_added_to_the_default() -> None:
    keda = NAMESPACE.edited("metadata", {"name": "keda", "labels": cases.BASELINE})
    assert Analyzer({"namespaces-restricted": {"levels": {"mine": "baseline"}}}).problems([keda, LOWER]) == []


def test_a_claim_of_a_class_for_caches_may_be_lost() -> None:
    resources, _ = cases.VIOLATING["weights-protected"][0]
    assert Analyzer().problems(resources) != []
    assert Analyzer({"weights-protected": {"caches": ["efs"]}}).problems(resources) == []


def test_a_tag_other_than_latest_is_the_least_wherever_tags_will_do() -> None:
    analyzer = Analyzer({"images-by-digest": {"tagged": ["vllm/"]}})
    ((policy, message),) = analyzer.problems([GPU.edited(f"{ENGINE}/image", "vllm/vllm-openai:latest")])
    assert (policy, "neither digest nor version" in message) == ("images-by-digest", True)


REMEDIED = {
    "aws-tagged": FILES.edited("tags", {"team": "search"}),
    "namespaces-restricted": NAMESPACE.without("metadata/labels"),
    "pods-restricted": JOB.without(f"{POD}/securityContext").without(f"{ENGINE}/securityContext"),
}


def test_what_can_be_mended_safely_is() -> None:
    assert set(REMEDIED) == {rule.name for rule in RULES if isinstance(rule, Rule) and rule.remedy}


@pytest.mark.parametrize(("name", "resource"), REMEDIED.items())
def test_a_remedy_satisfies_its_policy_and_leaves_the_rest_alone(name: str, resource: Asked) -> None:
    analyzer = Analyzer(level="REMEDIATE")
    assert name in {policy for policy, _ in analyzer.problems([resource])}
    mended = analyzer.remediated(resource)
    assert mended is not None
    assert analyzer.problems([mended]) == []
    assert analyzer.remediated(mended) is None
    (key,) = {"metadata", "tags", "spec"} & {
        key for key in mended.inputs if mended.inputs[key] != resource.inputs.get(key)
    }
    assert mended.without(key).inputs == resource.without(key).inputs


def test_a_remedy_mends_nothing_unless_it_is_asked_to() -> None:
    assert all(Analyzer().remediated(each) is None for each in REMEDIED.values())


def test_a_remedy_overrules_nobody() -> None:
    analyzer = Analyzer(level="REMEDIATE")
    said = JOB.edited(f"{ENGINE}/securityContext", {"allowPrivilegeEscalation": True}).without(f"{POD}/securityContext")
    mended = analyzer.remediated(said)
    assert mended is not None
    assert mended.inputs["spec"]["template"]["spec"]["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [message for _, message in analyzer.problems([mended])] == [
        "Job job, container job: may gain privileges; set securityContext.allowPrivilegeEscalation: false (escalation)"
    ]
    assert analyzer.remediated(LOWER) is None


def test_a_remedy_makes_no_template_that_was_not_there() -> None:
    alone = GROUP.without("spec/leaderWorkerTemplate/leaderTemplate")
    mended = Analyzer(level="REMEDIATE").remediated(alone.without(f"{WORKERS}/securityContext"))
    assert mended is not None
    assert mended.inputs == alone.inputs


def test_a_remedy_keeps_what_is_secret_and_what_is_unknown() -> None:
    secret = {**SECRET, "value": "hunter2"}
    resource = FILES.edited("tags", {"secret": secret, "unknown": UNKNOWN})
    mended = Analyzer(level="REMEDIATE").remediated(resource)
    assert mended is not None
    assert mended.inputs["tags"] == {"secret": secret, "unknown": UNKNOWN, "managed-by": "pulumi"}


def test_the_pack_says_what_can_be_set() -> None:
    info = Analyzer().server.GetAnalyzerInfo(Empty(), None)  # type: ignore[no-untyped-call]
    schemas = {policy.name: set(policy.configSchema.properties) for policy in info.policies}
    assert schemas == {rule.name: set(rule.settings) for rule in RULES}
    assert all(policy.description for policy in info.policies)
