"""The scaler of a model as KEDA gets it, and what of the model it owns."""

from __future__ import annotations

from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from components.scaling_triggers import Source, triggers
from components.settings import parse
from tests.components.program import Recorder, plain, run_program
from tests.components.samples import SMALLEST, SUM, changed, raw, without

SCALED = changed(
    changed(changed(SMALLEST, "autoscaling", {}), "monitoring", {}), "models.chat.replicas", {"min": 2, "max": 4}
)
EVERYTHING = {
    "target": 20,
    "ttft": {"seconds": 2, "windowSeconds": 60},
    "kvCache": {"share": 0.8},
    "schedules": [{"timezone": "Europe/Berlin", "start": "30 7 * * 1-5", "end": "0 18 * * 1-5", "replicas": 3}],
    "scaleUp": {"pods": 2, "percent": 50, "periodSeconds": 30, "stabilizationSeconds": 10},
    "scaleDown": {"pods": 2, "percent": 10, "periodSeconds": 120, "stabilizationSeconds": 600},
    "fallback": {"failureThreshold": 5, "replicas": 3},
}
HELD = changed(changed(SCALED, "autoscaling", {"httpAddOn": {}}), "models.chat.replicas", {"min": 0, "max": 4})
OLLAMA = {"engine": "ollama", "source": f"ollama://llama3.1:8b@sha256:{SUM}"}
SIGNED_IN: dict[str, dict[str, Any]] = {
    "bearer": {"kind": "bearer", "secret": "prometheus"},
    "basic": {"kind": "basic", "secret": "prometheus", "passwordKey": "secret"},
    "aws": {"kind": "aws", "region": "us-west-2"},
}


@pytest.fixture(scope="module")
def scaled() -> Recorder:
    return run_program(SCALED)


@pytest.fixture(scope="module")
def held() -> Recorder:
    return run_program(HELD)


def spec(recorder: Recorder) -> Any:
    return plain(recorder.one("ScaledObject").inputs)["spec"]


def trigger(recorder: Recorder, name: str) -> Any:
    (found,) = [each for each in spec(recorder)["triggers"] if each["name"] == name]
    return found


def test_a_scaler_with_everything_is_as_reviewed(snapshot: SnapshotAssertion) -> None:
    recorder = run_program(changed(SCALED, "models.chat.scaling", EVERYTHING))
    assert plain(recorder.one("ScaledObject").inputs) == snapshot(extension_class=JSONSnapshotExtension)


def test_a_scaler_by_default_is_as_reviewed(scaled: Recorder, snapshot: SnapshotAssertion) -> None:
    assert plain(scaled.one("ScaledObject").inputs) == snapshot(extension_class=JSONSnapshotExtension)


def test_types_and_names_of_scaling_are_stable(held: Recorder) -> None:
    """A change here replaces resources in every stack: it needs an alias."""
    more = {each.urn.split("::", 2)[2] for each in held.registrations if "QueueScaler" in each.urn}
    assert more == {
        "pulumi:pulumi:Stack$inference:index:QueueScaler::chat",
        "inference:index:QueueScaler$kubernetes:keda.sh/v1alpha1:ScaledObject::chat",
        "inference:index:QueueScaler$kubernetes:http.keda.sh/v1alpha1:HTTPScaledObject::chat",
        "inference:index:QueueScaler$kubernetes:core/v1:Service::chat-on-demand",
    }


def test_everything_of_it_goes_to_the_cluster_of_the_settings(held: Recorder) -> None:
    provider = held.one("providers:kubernetes")
    kubernetes = [each for each in held.registrations if each.type.startswith("kubernetes:")]
    assert {each.provider for each in kubernetes} == {f"{provider.urn}::cluster-id"}


def test_demand_is_what_waits_and_what_runs_of_this_model_alone(scaled: Recorder) -> None:
    """What only waits is none as soon as there are enough replicas: it would take them away, every one of them full."""
    demand = trigger(scaled, "demand")
    assert (demand["metricType"], demand["metadata"]["threshold"]) == ("AverageValue", "25")
    assert demand["metadata"]["query"] == (
        'sum(vllm:num_requests_waiting{model="chat",model_name="chat",namespace="inference"}) + '
        'sum(vllm:num_requests_running{model="chat",model_name="chat",namespace="inference"}) '
        'or 0 * sum(up{container="engine",model="chat",namespace="inference"} == 1)'
    )
    assert demand["metadata"]["serverAddress"] == "http://prometheus-operated.monitoring.svc.cluster.local:9090"


def test_nobody_being_scraped_is_no_empty_queue(scaled: Recorder, held: Recorder) -> None:
    """But for a model that may have no replica, of which nobody is scraped then."""
    assert trigger(scaled, "demand")["metadata"]["ignoreNullValues"] == "false"
    assert "vector" not in trigger(scaled, "demand")["metadata"]["query"]
    assert trigger(held, "demand")["metadata"]["ignoreNullValues"] == "true"
    assert trigger(held, "demand")["metadata"]["query"].endswith(" or vector(0)")


def test_while_prometheus_does_not_answer_no_replica_goes(scaled: Recorder, held: Recorder) -> None:
    unanswered = {"failureThreshold": 3, "behavior": "currentReplicasIfHigher"}
    assert spec(scaled)["fallback"] == unanswered | {"replicas": 2}
    assert spec(held)["fallback"] == unanswered | {"replicas": 1}


def test_replicas_come_at_once_and_go_slowly(scaled: Recorder) -> None:
    behaviour = spec(scaled)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    up, down = behaviour["scaleUp"], behaviour["scaleDown"]
    assert (up["stabilizationWindowSeconds"], down["stabilizationWindowSeconds"]) == (0, 300)
    assert {each["type"]: each["value"] for each in up["policies"]} == {"Pods": 4, "Percent": 100}
    assert {each["type"]: each["value"] for each in down["policies"]} == {"Pods": 1, "Percent": 25}


def test_further_reasons_are_numbers_for_all_replicas_and_are_none_where_there_is_no_number() -> None:
    recorder = run_program(changed(SCALED, "models.chat.scaling", EVERYTHING))
    assert [each["name"] for each in spec(recorder)["triggers"]] == ["demand", "ttft", "kv-cache", "schedule-0"]
    for name, threshold in (("ttft", "2"), ("kv-cache", "0.8")):
        found = trigger(recorder, name)
        assert (found["metricType"], found["metadata"]["threshold"]) == ("Value", threshold)
        assert found["metadata"]["ignoreNullValues"] == "true"


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tgi", "nim"])
def test_every_engine_is_counted_by_its_own_metrics(engine: str) -> None:
    config = changed(SCALED, "models.chat.engine", engine)
    config = changed(config, "models.chat.image", f"registry.example.com/engine@sha256:{SUM}")
    if engine == "nim":
        config = changed(config, "models.chat.ngcKeySecret", "ngc")
        config = changed(config, "models.chat.source", f"ngc://nim/meta/llama-3.1-8b-instruct@profile:{SUM}")
    values = parse(raw(config))
    model = values.models["chat"]
    assert model.scaling is not None
    source = Source(address="http://p", auth=None, region=None, scraped={"namespace": "llm"}, holder=None)
    (found,) = triggers("chat", model, model.scaling, source)
    words = {"vllm": "vllm:num", "sglang": "sglang:num", "tgi": "tgi_queue_size", "nim": "vllm:num"}
    assert words[engine] in found["metadata"]["query"]
    assert found["metadata"]["query"].count("sum(") == 3


def test_the_program_makes_the_first_replicas_and_leaves_their_number_alone(scaled: Recorder) -> None:
    deployment = scaled.one("Deployment")
    assert deployment.inputs["spec"]["replicas"] == 2
    assert deployment.ignore_changes == ["spec.replicas"]


def test_without_a_scaler_the_number_is_the_programs() -> None:
    recorder = run_program(changed(SMALLEST, "models.chat.replicas", {"min": 2, "max": 4}))
    assert recorder.one("Deployment").ignore_changes == []
    assert recorder.of("ScaledObject") == []
    fixed = run_program(changed(SCALED, "models.chat.replicas", {"min": 2, "max": 2}))
    assert fixed.one("Deployment").ignore_changes == []
    assert fixed.of("ScaledObject") == []


def test_the_scaler_refers_to_the_deployment_and_comes_after_it(scaled: Recorder) -> None:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"}
    assert spec(scaled)["scaleTargetRef"] == reference
    assert scaled.one("Deployment").urn in scaled.one("ScaledObject").depends_on
    assert (spec(scaled)["minReplicaCount"], spec(scaled)["maxReplicaCount"]) == (2, 4)
    assert not {"pollingInterval", "cooldownPeriod"} & spec(scaled).keys()


def test_groups_of_several_nodes_are_scaled_by_the_set_that_is_there() -> None:
    pool = {"nodes": 20, "gpu": {"product": "NVIDIA-H100", "memoryGiB": 80, "count": 8}}
    config = changed(changed(SCALED, "gpuPools.l4", pool), "models.chat.nodesPerReplica", 2)
    recorder = run_program(config)
    reference = spec(recorder)["scaleTargetRef"]
    made = recorder.one("LeaderWorkerSet")
    assert (reference["apiVersion"], reference["kind"]) == ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet")
    assert reference["name"] == "chat-group-0123abcd"
    assert made.ignore_changes == ["spec.replicas"]
    assert made.replace_on_changes == ["spec.leaderWorkerTemplate"]
    assert made.urn in recorder.one("ScaledObject").depends_on


def test_what_is_held_wakes_the_model_and_counts(held: Recorder) -> None:
    found = spec(held)
    assert (found["minReplicaCount"], found["pollingInterval"], found["cooldownPeriod"]) == (0, 5, 300)
    assert trigger(held, "held") == {
        "type": "external-push",
        "name": "held",
        "metadata": {"scalerAddress": "keda-add-ons-http-external-scaler.keda:9090", "httpScaledObject": "chat"},
    }
    assert held.one("Deployment").inputs["spec"]["replicas"] == 0


def test_the_scaler_comes_after_what_counts_its_requests(held: Recorder) -> None:
    """KEDA asks the add-on once what is counted; where it knows nothing yet, the autoscaler never hears of it."""
    assert held.one("HTTPScaledObject").urn in held.one("ScaledObject").depends_on


def test_requests_are_held_for_as_long_as_a_replica_may_take_to_come(held: Recorder) -> None:
    found = held.one("HTTPScaledObject")
    inputs = plain(found.inputs)
    deadline = held.one("Deployment").inputs["spec"]["progressDeadlineSeconds"]
    assert inputs["spec"]["timeouts"] == {"conditionWait": f"{deadline:g}s", "responseHeader": "600s"}
    assert inputs["spec"]["scalingMetric"] == {"concurrency": {"targetValue": 25}}
    assert inputs["spec"]["scaleTargetRef"] == {"name": "chat", "service": "chat", "port": 8000}
    # A second scaler of the same replicas would be refused.
    assert inputs["metadata"]["annotations"] == {"httpscaledobject.keda.sh/skip-scaledobject-creation": "true"}


def test_clients_of_a_model_that_is_held_come_by_its_own_door(held: Recorder) -> None:
    (door,) = [plain(each.inputs)["spec"] for each in held.of("Service") if each.name == "chat-on-demand"]
    assert (door["type"], door["externalName"]) == (
        "ExternalName",
        "keda-add-ons-http-interceptor-proxy.keda.svc.cluster.local",
    )
    (outputs,) = [value for urn, value in held.outputs.items() if urn.endswith("::inference-test")]
    assert outputs["models"]["chat"]["url"] == "http://chat-on-demand.inference.svc:8080/v1"
    hosts = plain(held.one("HTTPScaledObject").inputs)["spec"]["hosts"]
    assert "chat-on-demand.inference.svc" in hosts
    policy = next(plain(each.inputs)["spec"] for each in held.of("NetworkPolicy") if each.name == "engines")
    namespaces = [
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in policy["ingress"]
        if rule["ports"] == [{"port": 8000, "protocol": "TCP"}]
        for peer in rule["from"]
    ]
    assert "keda" in namespaces


def test_an_engine_that_counts_nothing_is_counted_in_front_of_it() -> None:
    config = changed(SCALED, "autoscaling", {"httpAddOn": {"namespace": "hold"}})
    recorder = run_program(changed(config, "models.chat", {**config["models"]["chat"], **OLLAMA}))
    (found,) = spec(recorder)["triggers"]
    assert found["metadata"]["scalerAddress"] == "keda-add-ons-http-external-scaler.hold:9090"
    assert spec(recorder)["minReplicaCount"] == 2
    assert plain(recorder.one("HTTPScaledObject").inputs)["spec"]["scaleTargetRef"]["port"] == 11434


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "bearer",
            {"secretTargetRef": [{"parameter": "bearerToken", "name": "prometheus", "key": "token"}]},
        ),
        (
            "basic",
            {
                "secretTargetRef": [
                    {"parameter": "username", "name": "prometheus", "key": "username"},
                    {"parameter": "password", "name": "prometheus", "key": "secret"},
                ]
            },
        ),
        ("aws", {"podIdentity": {"provider": "aws"}}),
    ],
)
def test_keda_signs_in_to_a_prometheus_that_does_not_answer_everybody(kind: str, expected: dict[str, Any]) -> None:
    recorder = run_program(changed(SCALED, "monitoring.prometheus", {"auth": SIGNED_IN[kind]}))
    made = recorder.one("TriggerAuthentication")
    assert plain(made.inputs)["spec"] == expected
    assert made.urn in recorder.one("ScaledObject").depends_on
    demand = trigger(recorder, "demand")
    assert demand["authenticationRef"] == {"name": plain(made.inputs)["metadata"]["name"]}
    assert demand["metadata"].get("authModes") == (None if kind == "aws" else kind)
    assert demand["metadata"].get("awsRegion") == ("us-west-2" if kind == "aws" else None)


def test_nothing_is_signed_in_where_prometheus_answers_everybody(scaled: Recorder) -> None:
    assert scaled.of("TriggerAuthentication") == []
    assert "authenticationRef" not in trigger(scaled, "demand")


def test_a_stack_that_stops_scaling_keeps_nothing_of_it() -> None:
    recorder = run_program(without(without(SCALED, "autoscaling"), "monitoring"))
    assert not {"ScaledObject", "TriggerAuthentication", "HTTPScaledObject"} & {
        each.type.rsplit(":", 1)[1] for each in recorder.registrations
    }
