"""The whole program: what it registers, where, in which order, and what it hands out."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from tests.components.program import Recorder, Registration, plain, public, run_program
from tests.components.samples import CUSTOM, SMALLEST, changed

TOKEN = "hf_do_not_show"
STACK = "pulumi:pulumi:Stack"


@pytest.fixture(scope="module")
def smallest() -> Recorder:
    return run_program(SMALLEST)


@pytest.fixture(scope="module")
def with_token() -> Recorder:
    return run_program(SMALLEST | {"hfToken": TOKEN}, secrets=["hfToken"])


def made(recorder: Recorder, kind: str) -> Registration:
    """The only registration of a kind; of Jobs, the one that seeds."""
    if kind != "Job":
        return recorder.one(kind)
    (found,) = [each for each in recorder.of(kind) if "-seed-" in each.name]
    return found


def container(registration: Registration) -> dict[str, Any]:
    (found,) = plain(registration.inputs)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_types_and_names_are_stable(smallest: Recorder) -> None:
    """A change here replaces resources in every stack: it needs an alias."""
    urns = {each.urn.split("::", 2)[2] for each in smallest.registrations}
    assert urns == {
        f"{STACK}::inference-test",
        f"{STACK}$pulumi:providers:kubernetes::cluster",
        f"{STACK}$kubernetes:core/v1:Namespace::inference",
        f"{STACK}$inference:index:GpuNodePool::l4",
        f"{STACK}$inference:index:NvidiaDevicePlugin::nvidia-device-plugin",
        "inference:index:NvidiaDevicePlugin$kubernetes:core/v1:Namespace::nvidia-device-plugin",
        "inference:index:NvidiaDevicePlugin$kubernetes:apps/v1:DaemonSet::nvidia-device-plugin",
        f"{STACK}$inference:index:ModelWeights::chat",
        "inference:index:ModelWeights$kubernetes:core/v1:PersistentVolumeClaim::chat-weights",
        "inference:index:ModelWeights$kubernetes:batch/v1:Job::chat-seed-4d7c825a",
        f"{STACK}$inference:index:NetworkPolicies::network-policies",
        "inference:index:NetworkPolicies$kubernetes:networking.k8s.io/v1:NetworkPolicy::default-deny",
        "inference:index:NetworkPolicies$kubernetes:networking.k8s.io/v1:NetworkPolicy::engines",
        "inference:index:NetworkPolicies$kubernetes:networking.k8s.io/v1:NetworkPolicy::seeding-a0ea1536",
        "inference:index:NetworkPolicies$kubernetes:networking.k8s.io/v1:NetworkPolicy::cleaning",
        f"{STACK}$inference:index:InferenceServer::chat",
        "inference:index:InferenceServer$kubernetes:core/v1:ServiceAccount::chat",
        "inference:index:InferenceServer$kubernetes:core/v1:Service::chat",
        "inference:index:InferenceServer$kubernetes:apps/v1:Deployment::chat",
        f"{STACK}$inference:index:WeightCleaner::weight-cleaner",
        "inference:index:WeightCleaner$kubernetes:core/v1:ServiceAccount::weight-cleaner",
        "inference:index:WeightCleaner$kubernetes:rbac.authorization.k8s.io/v1:Role::weight-cleaner",
        "inference:index:WeightCleaner$kubernetes:rbac.authorization.k8s.io/v1:RoleBinding::weight-cleaner",
        "inference:index:WeightCleaner$kubernetes:batch/v1:Job::chat-clean-90091f1e",
    }


@pytest.mark.parametrize(("config", "count"), [(SMALLEST, 16), (CUSTOM, 17)], ids=["smallest", "custom"])
def test_every_resource_goes_to_the_cluster_of_the_settings(config: dict[str, Any], count: int) -> None:
    recorder = run_program(config)
    provider = recorder.one("providers:kubernetes")
    kubernetes = [each for each in recorder.registrations if each.type.startswith("kubernetes:")]
    assert len(kubernetes) == count
    assert {each.provider for each in kubernetes} == {f"{provider.urn}::cluster-id"}
    assert provider.inputs["clusterIdentifier"] == "lab"


def test_a_kubeconfig_below_the_home_folder_is_found_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    recorder = run_program(changed(SMALLEST, "cluster.kubeconfig", "~/.kube/lab"))
    assert recorder.one("providers:kubernetes").inputs["kubeconfig"] == "/home/somebody/.kube/lab"


def test_every_resource_but_the_namespace_belongs_to_a_component(smallest: Recorder) -> None:
    outside = [
        each.name
        for each in smallest.registrations
        if each.type.startswith("kubernetes:") and "inference:index:" not in each.parent
    ]
    assert outside == ["inference"]


def test_every_namespaced_resource_is_in_a_namespace_of_ours(smallest: Recorder) -> None:
    namespaces = {
        each.name: plain(each.inputs)["metadata"]["namespace"]
        for each in smallest.registrations
        if each.type.startswith("kubernetes:") and each.type != "kubernetes:core/v1:Namespace"
    }
    assert namespaces.pop("nvidia-device-plugin") == "nvidia-device-plugin"
    assert set(namespaces.values()) == {"inference"}


def test_replicas_start_only_after_the_weights_are_seeded(smallest: Recorder) -> None:
    assert made(smallest, "Job").urn in smallest.one("Deployment").depends_on


def test_the_service_waits_for_nobody(smallest: Recorder) -> None:
    service = smallest.one("Service")
    assert service.inputs["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
    assert smallest.one("Deployment").urn not in service.depends_on


def test_pulumi_waits_longer_than_kubernetes(smallest: Recorder) -> None:
    deployment, job = smallest.one("Deployment"), made(smallest, "Job")
    deadline = deployment.inputs["spec"]["progressDeadlineSeconds"]
    assert deployment.timeouts["create"] == deployment.timeouts["update"]
    assert int(deployment.timeouts["update"].removesuffix("s")) > deadline
    assert int(job.timeouts["create"].removesuffix("s")) > job.inputs["spec"]["activeDeadlineSeconds"]


def test_a_rollout_never_takes_a_replica_before_the_next_is_ready(smallest: Recorder) -> None:
    spec = smallest.one("Deployment").inputs["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert spec["minReadySeconds"] > 0


def test_a_replica_gets_its_gpus_on_a_node_of_its_pool() -> None:
    recorder = run_program(CUSTOM)
    pod = plain(recorder.one("Deployment").inputs)["spec"]["template"]["spec"]
    (engine,) = pod["containers"]
    assert engine["resources"]["requests"]["nvidia.com/gpu"] == engine["resources"]["limits"]["nvidia.com/gpu"] == "4"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "example.com/rack": "7"}
    assert [each["key"] for each in pod["tolerations"]] == ["example.com/reserved"]
    assert pod["runtimeClassName"] == "nvidia"


def test_liveness_asks_the_process_and_never_the_model(smallest: Recorder) -> None:
    engine = container(smallest.one("Deployment"))
    assert set(engine["livenessProbe"]) == {"tcpSocket", "periodSeconds", "timeoutSeconds", "failureThreshold"}
    assert engine["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert set(engine["startupProbe"]) == {"exec", "periodSeconds", "timeoutSeconds", "failureThreshold"}


def test_the_engine_drains_within_its_grace_period(smallest: Recorder) -> None:
    pod = plain(smallest.one("Deployment").inputs)["spec"]["template"]["spec"]
    engine = container(smallest.one("Deployment"))
    drain = int(engine["args"][engine["args"].index("--shutdown-timeout") + 1])
    assert pod["terminationGracePeriodSeconds"] > engine["lifecycle"]["preStop"]["sleep"]["seconds"] + drain


def test_the_engine_reads_the_weights_that_the_job_wrote(smallest: Recorder) -> None:
    engine, seeder = container(smallest.one("Deployment")), container(made(smallest, "Job"))
    weights = {"name": "weights", "mountPath": "/weights"}
    assert weights | {"readOnly": True} in engine["volumeMounts"]
    assert weights in seeder["volumeMounts"]
    assert engine["args"][0].startswith(seeder["command"][seeder["command"].index("--volume") + 1] + "/")
    claim = plain(smallest.one("PersistentVolumeClaim").inputs)["metadata"]["name"]
    for kind in ("Deployment", "Job"):
        volumes = plain(made(smallest, kind).inputs)["spec"]["template"]["spec"]["volumes"]
        assert [volume["persistentVolumeClaim"]["claimName"] for volume in volumes if volume["name"] == "weights"] == [
            claim
        ]


def test_another_selection_of_files_is_seeded_anew_and_rolls_the_replicas(smallest: Recorder) -> None:
    other = run_program(changed(SMALLEST, "models.chat.weights.include", ["*"]))
    digests = [
        (made(each, "Job").name, each.one("Deployment").inputs["spec"]["template"]["metadata"]["annotations"])
        for each in (smallest, other)
    ]
    assert digests[0][0] != digests[1][0]
    assert digests[0][1] != digests[1][1]


def test_another_storage_class_is_another_volume_that_is_seeded_before_the_replicas_move(smallest: Recorder) -> None:
    """Other logical names, so that Pulumi makes the new ones first and deletes the old ones last."""
    other = run_program(changed(SMALLEST, "models.chat.weights.storageClass", "efs"))
    for kind in ("PersistentVolumeClaim", "Job"):
        names = {(made(each, kind).name, made(each, kind).inputs["metadata"]["name"]) for each in (smallest, other)}
        assert len(names) == 2
        assert all(logical == physical for logical, physical in names)
    assert made(other, "Job").urn in other.one("Deployment").depends_on
    templates = [each.one("Deployment").inputs["spec"]["template"] for each in (smallest, other)]
    assert [template["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] for template in templates] == [
        "chat-weights",
        "chat-weights-efs",
    ]


def test_a_disruption_costs_the_seeding_no_attempt_and_a_hopeless_mistake_costs_all(smallest: Recorder) -> None:
    rules = plain(made(smallest, "Job").inputs)["spec"]["podFailurePolicy"]["rules"]
    # The first rule that matches decides: an evicted seeder may have ended with any code.
    assert rules[0] == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    # What ends with the code of a hopeless mistake counts, and one that counts is one too many.
    assert rules[1:] == [
        {"action": "Ignore", "onExitCodes": {"containerName": "seed", "operator": "NotIn", "values": [2]}}
    ]
    assert made(smallest, "Job").inputs["spec"]["backoffLimit"] == 0


def test_the_seeder_goes_where_its_settings_say_and_takes_what_they_select() -> None:
    job = made(run_program(CUSTOM), "Job")
    pod, command = plain(job.inputs)["spec"]["template"]["spec"], container(job)["command"]
    assert pod["nodeSelector"] == {"example.com/network": "hub"}
    assert pod["tolerations"] == [
        {"key": "example.com/reserved", "operator": "Equal", "value": "seeding", "effect": "NoSchedule"}
    ]
    flags = [word for word in command if word.startswith(("--include", "--exclude"))]
    assert flags == ["--include=*.safetensors", "--include=*.json", "--exclude=consolidated*"]


@pytest.mark.parametrize("kind", ["DaemonSet", "Deployment", "Job"])
def test_every_pod_pulls_with_the_secrets_of_the_settings_and_without_any_by_default(
    kind: str, smallest: Recorder
) -> None:
    pod = plain(made(run_program(CUSTOM), kind).inputs)["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}, {"name": "registry.mirror"}]
    assert "imagePullSecrets" not in made(smallest, kind).inputs["spec"]["template"]["spec"]


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_scratch_on_disk_may_fill_what_the_limit_allows(kind: str) -> None:
    limits = {"limits": {"ephemeralStorage": "7Gi"}}
    config = changed(changed(SMALLEST, "models.chat.resources", limits), "models.chat.weights.resources", limits)
    volumes = plain(made(run_program(config), kind).inputs)["spec"]["template"]["spec"]["volumes"]
    assert {volume["name"]: volume["emptyDir"]["sizeLimit"] for volume in volumes if volume["name"] == "tmp"} == {
        "tmp": "7Gi"
    }


def test_drains_take_one_of_several_replicas_at_a_time(smallest: Recorder) -> None:
    recorder = run_program(CUSTOM)
    budget, deployment = plain(recorder.one("PodDisruptionBudget").inputs)["spec"], recorder.one("Deployment").inputs
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployment["spec"]["selector"]
    # With one replica it would let no node be drained.
    assert smallest.of("PodDisruptionBudget") == []
    two = changed(SMALLEST, "models.chat.replicas", {"max": 2})
    assert run_program(two).of("PodDisruptionBudget") == []
    # A scaler makes several of one.
    scaled = run_program(two | {"autoscaling": {}, "monitoring": {}})
    assert plain(scaled.one("PodDisruptionBudget").inputs)["spec"]["maxUnavailable"] == 1


def test_weights_are_protected_unless_a_setting_says_otherwise(smallest: Recorder) -> None:
    assert smallest.one("PersistentVolumeClaim").protect is True
    assert run_program(CUSTOM).one("PersistentVolumeClaim").protect is False


def test_the_service_finds_the_engine_and_not_the_seeder(smallest: Recorder) -> None:
    selector = smallest.one("Service").inputs["spec"]["selector"].items()
    labels = {
        kind: plain(made(smallest, kind).inputs)["spec"]["template"]["metadata"]["labels"].items()
        for kind in ("Deployment", "Job")
    }
    assert selector <= labels["Deployment"]
    assert not selector <= labels["Job"]


def test_labels_of_the_user_never_break_the_selector() -> None:
    config = changed(SMALLEST, "models.chat.labels", {"app.kubernetes.io/name": "mine", "example.com/team": "search"})
    deployment = run_program(config).one("Deployment").inputs["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"].items() <= labels.items()
    assert labels["example.com/team"] == "search"


def test_the_token_is_secret_wherever_it_goes(with_token: Recorder) -> None:
    texts = [public(each.inputs) for each in with_token.registrations]
    texts += [public(output) for output in with_token.outputs.values()]
    assert not any(TOKEN in text for text in texts)
    assert plain(with_token.one("Secret").inputs)["stringData"] == {"token": TOKEN}


def test_only_the_seeder_gets_the_token(with_token: Recorder) -> None:
    reference = {
        "name": "HF_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "chat-hub-token", "key": "token"}},
    }
    assert reference in container(made(with_token, "Job"))["env"]
    assert "HF_TOKEN" not in public(with_token.one("Deployment").inputs)


def test_without_a_token_there_is_no_secret(smallest: Recorder) -> None:
    assert smallest.of("Secret") == []
    assert "HF_TOKEN" not in public(made(smallest, "Job").inputs)


def test_the_plugin_runs_on_the_nodes_of_every_pool() -> None:
    pod = plain(run_program(CUSTOM).one("DaemonSet").inputs)["spec"]["template"]["spec"]
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [[each["key"] for each in term["matchExpressions"]] for term in terms] == [
        ["inference/gpu-pool"],
        ["example.com/rack", "nvidia.com/gpu.product"],
    ]
    assert {each["key"] for each in pod["tolerations"]} >= {"nvidia.com/gpu", "example.com/reserved"}
    assert pod["priorityClassName"] == "system-node-critical"


def test_nodes_that_bring_a_plugin_get_no_second_one() -> None:
    recorder = run_program(changed(SMALLEST, "devicePlugin.enabled", value=False))
    assert recorder.of("DaemonSet") == []
    assert [each.name for each in recorder.of("Namespace")] == ["inference"]


def test_the_stack_hands_out_the_endpoint_of_every_model(smallest: Recorder) -> None:
    (outputs,) = [value for urn, value in smallest.outputs.items() if urn.endswith("::inference-test")]
    assert outputs == {
        "namespace": "inference",
        "claims": {},
        "models": {"chat": {"service": "chat", "url": "http://chat.inference.svc:8000/v1", "model": "chat"}},
    }


def test_every_component_registers_its_outputs(smallest: Recorder) -> None:
    components = {each.urn for each in smallest.registrations if each.type.startswith("inference:index:")}
    assert components <= set(smallest.outputs)


def test_a_mistake_in_the_settings_registers_nothing() -> None:
    seen: list[Recorder] = []
    with pytest.raises(pulumi.RunError):
        run_program(changed(SMALLEST, "models.chat.pool", "l40"), seen=seen)
    (recorder,) = seen
    assert {each.type for each in recorder.registrations} == {STACK}
