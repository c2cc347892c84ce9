"""What a volume asks of the pods that mount it: one node, every node's own copy, or nothing."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.facts import models
from components.timing import load_estimate, seeding_seconds, timing
from tests.aws.stored import named, stored
from tests.components.program import Recorder, plain, public, run_program
from tests.components.samples import AWS_CREATED, COMMIT, SEEDER, SMALLEST, changed, settings, without
from tests.components.test_restricted import violations

pytestmark = pytest.mark.filterwarnings("ignore:aws.ec2/:DeprecationWarning")
POOL = {"inference/gpu-pool": "l4"}
TOKEN = "hf_do_not_show"


@pytest.fixture(scope="module")
def created() -> Recorder:
    return stored(AWS_CREATED, token=TOKEN)


def template(recorder: Recorder, kind: str, name: str) -> dict[str, Any]:
    found = plain(named(recorder, kind, name).inputs)["spec"]["template"]
    assert isinstance(found, dict)
    return found


def claim(recorder: Recorder, model: str) -> dict[str, Any]:
    found = plain(named(recorder, "PersistentVolumeClaim", f"{model}-").inputs)["spec"]
    assert isinstance(found, dict)
    return found


def test_each_claim_asks_for_the_access_mode_of_its_storage(created: Recorder) -> None:
    modes = {name: claim(created, name)["accessModes"] for name in settings(AWS_CREATED).models}
    many, one = ["ReadWriteMany"], ["ReadWriteOnce"]
    assert modes == {"chat": one, "draft": many, "expert": many, "summary": many}


def test_only_a_volume_with_a_size_is_asked_for_one(created: Recorder) -> None:
    """Elsewhere a claim that grew with `weights.size` would be refused: nothing can resize its volume."""
    sizes = {name: claim(created, name)["resources"]["requests"]["storage"] for name in settings(AWS_CREATED).models}
    assert sizes == {"chat": "20Gi", "draft": "1Mi", "expert": "1Mi", "summary": "1Mi"}


def test_a_computed_size_is_for_the_claims_first_day_and_a_given_one_for_every_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kubernetes refuses to shrink a claim, which a smaller revision would ask for."""
    source = SMALLEST["models"]["chat"]["source"]
    monkeypatch.setattr(models, "_data", lambda: {source: {"model.safetensors": 2**30}})
    for config, ignored in ((SMALLEST, []), (without(SMALLEST, "models.chat.weights"), ["spec.resources.requests"])):
        claim = run_program(config).one("PersistentVolumeClaim")
        assert claim.ignore_changes == ignored
        assert "storage" in plain(claim.inputs)["spec"]["resources"]["requests"]


def test_a_volume_that_grows_is_waited_for_where_a_size_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(command: list[str]) -> str | None:
        return command[command.index("--volume-size") + 1] if "--volume-size" in command else None

    def seeder(config: dict[str, Any], name: str) -> list[str]:
        found: list[str] = template(stored(config), "Job", f"{name}-seed-")["spec"]["containers"][0]["command"]
        return found

    assert {name: asked(seeder(AWS_CREATED, name)) for name in ("chat", "expert", "summary")} == {
        "chat": str(20 * 2**30),
        "expert": None,
        "summary": None,
    }
    source = AWS_CREATED["models"]["chat"]["source"]
    monkeypatch.setattr(models, "_data", lambda: {source: {"model.safetensors": 6 * 2**30}})
    assert asked(seeder(without(AWS_CREATED, "models.chat.weights.size"), "chat")) is None


@pytest.mark.parametrize("storage", ["lustre", "local"])
def test_models_that_share_a_volume_have_a_folder_each_and_clean_nowhere_else(storage: str) -> None:
    """Both see the whole volume, and either would take the folders of the other for earlier revisions of its own."""
    model = changed(AWS_CREATED["models"]["draft"], "weights.storage", storage)
    recorder = stored(changed(AWS_CREATED, "models", {"draft": model, "twin": model}))
    for name in ("draft", "twin"):
        replica = template(recorder, "Deployment", name)["spec"]
        (engine,) = replica["containers"]
        jobs = [template(recorder, "Job", each.name)["spec"] for each in recorder.of("Job") if name in each.name]
        assert len(jobs) == (2 if storage == "lustre" else 0)
        containers = [*replica["initContainers"], *(job["containers"][0] for job in jobs)]
        for each in containers:
            command = each["command"]
            assert command[command.index("--volume") + 1] == f"/weights/{name}"
            folder = command[command.index("--folder") + 1]
        for each in (engine, *containers):
            assert [mount["mountPath"] for mount in each["volumeMounts"] if mount["name"] == "weights"] == ["/weights"]
        assert engine["args"][0] == f"/weights/{name}/{folder}"


def test_a_volume_of_one_model_is_its_root(created: Recorder) -> None:
    roots = {}
    for name in settings(AWS_CREATED).models:
        command = template(created, "Deployment", name)["spec"]["initContainers"][0]["command"]
        roots[name] = command[command.index("--volume") + 1]
    assert roots == {
        "chat": "/weights",
        "draft": "/weights/draft",
        "expert": "/weights/expert",
        "summary": "/weights",
    }


def test_what_holds_weights_is_protected_and_a_nodes_cache_is_not(created: Recorder) -> None:
    protected = {each.name.split("-")[0] for each in created.of("PersistentVolumeClaim") if each.protect}
    assert protected == {"chat", "expert", "summary"}


def test_weights_on_a_volume_of_one_node_are_seeded_on_the_pools_nodes_without_a_gpu(created: Recorder) -> None:
    pod = template(created, "Job", "chat-seed-")["spec"]
    assert pod["nodeSelector"] == POOL
    assert pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Equal", "value": "present", "effect": "NoSchedule"}
    ]
    assert "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]


def test_node_labels_and_tolerations_of_the_user_come_on_top() -> None:
    config = changed(AWS_CREATED, "models.chat.weights.nodeSelector", {"example.com/network": "hub"})
    config = changed(config, "models.chat.weights.tolerations", ["example.com/reserved=seeding:NoSchedule"])
    pod = template(stored(config), "Job", "chat-seed-")["spec"]
    assert pod["nodeSelector"] == POOL | {"example.com/network": "hub"}
    assert {each["key"] for each in pod["tolerations"]} == {"nvidia.com/gpu", "example.com/reserved"}


@pytest.mark.parametrize(("kind", "name"), [("Job", "chat-seed-"), ("Deployment", "chat"), ("Job", "chat-clean-")])
def test_every_pod_with_a_volume_of_one_node_goes_where_the_volume_is(created: Recorder, kind: str, name: str) -> None:
    """Its own labels match, so that the first of them is free to go anywhere: Kubernetes lets such a pod pass."""
    pod = template(created, kind, name)
    (term,) = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    wanted = term["labelSelector"]["matchLabels"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert wanted.items() <= pod["metadata"]["labels"].items()
    assert set(wanted) == {"app.kubernetes.io/instance", "inference/volume"}
    assert "podAntiAffinity" not in pod["spec"]["affinity"]


def test_a_preview_says_what_a_volume_of_one_node_means_for_the_surge(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(pulumi.log, "info", lambda line, resource: said.append((line, type(resource).__name__)))
    stored(AWS_CREATED)
    line = (
        "chat: one node mounts the volume of its weights, so that all replicas run there: up to 3, and 1 more "
        "for the surge of a rollout, take 4 of the 4 GPUs of a node of pool l4"
    )
    assert said == [(line, "InferenceServer")]


def test_replicas_move_freely_to_another_volume(created: Recorder) -> None:
    """They look for the pods with their own volume, which are none yet, and not for those with the old one."""
    other = stored(changed(AWS_CREATED, "storage.disks.throughputMBps", 500))
    volumes = {
        template(each, "Deployment", "chat")["metadata"]["labels"]["inference/volume"] for each in (created, other)
    }
    assert len(volumes) == 2


def test_no_label_of_a_volume_breaks_the_selector(created: Recorder) -> None:
    spec = plain(named(created, "Deployment", "chat").inputs)["spec"]
    assert "inference/volume" not in spec["selector"]["matchLabels"]
    shared = template(created, "Deployment", "summary")
    assert "inference/volume" not in shared["metadata"]["labels"]
    assert "affinity" not in shared["spec"]


def test_a_node_with_all_replicas_can_be_drained(created: Recorder) -> None:
    """A budget would count replicas that can be nowhere else, and keep the drained node waiting for ever."""
    assert settings(AWS_CREATED).models["chat"].replicas.min == 2
    assert created.of("PodDisruptionBudget") == []
    elsewhere = stored(changed(AWS_CREATED, "models.chat.weights.storage", "shared"))
    assert elsewhere.one("PodDisruptionBudget").name == "chat"


def test_a_nodes_own_copy_is_a_folder_that_has_to_be_there_on_the_pools_nodes(created: Recorder) -> None:
    volume = named(created, "PersistentVolume", "draft-")
    spec = plain(volume.inputs)["spec"]
    # Not hostPath, for which DirectoryOrCreate would be one word away, and whose folder no pod of ours may write to.
    assert spec["local"] == {"path": "/mnt/k8s-disks/0/models"}
    assert "hostPath" not in spec
    assert spec["nodeAffinity"]["required"]["nodeSelectorTerms"] == [
        {"matchExpressions": [{"key": "inference/gpu-pool", "operator": "In", "values": ["l4"]}]}
    ]
    assert (spec["persistentVolumeReclaimPolicy"], spec["storageClassName"]) == ("Retain", "")
    assert spec["claimRef"]["name"] == volume.name
    assert claim(created, "draft")["storageClassName"] == ""
    assert claim(created, "draft")["volumeName"] == plain(volume.inputs)["metadata"]["name"] == f"llm-{volume.name}"


def test_another_folder_is_another_volume_because_none_can_change_it(created: Recorder) -> None:
    other = stored(changed(AWS_CREATED, "storage.local.path", "/mnt/k8s-disks/0/other"))
    for kind in ("PersistentVolume", "PersistentVolumeClaim"):
        assert named(created, kind, "draft-").urn != named(other, kind, "draft-").urn


def test_each_replica_seeds_its_own_node_and_only_then_starts_the_engine(created: Recorder) -> None:
    jobs = {"-".join(each.name.split("-")[:2]) for each in created.of("Job")}
    assert jobs == {f"{name}-{work}" for name in ("chat", "expert", "summary") for work in ("seed", "clean")}
    pod = template(created, "Deployment", "draft")["spec"]
    (seeder,) = pod["initContainers"]
    assert seeder["image"] == SEEDER
    source = f"hf://meta-llama/Llama-3.2-1B-Instruct@{COMMIT}"
    assert seeder["command"][:4] == ["weight-seeder", "seed", "--source", source]
    assert seeder["resources"]["limits"]["memory"] == "512Mi"
    written = [mount["name"] for mount in seeder["volumeMounts"] if "readOnly" not in mount]
    assert written == ["weights", "tmp"]
    assert {mount["name"] for mount in seeder["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
    (engine,) = pod["containers"]
    assert {mount["name"]: mount.get("readOnly") for mount in engine["volumeMounts"]}["weights"] is True
    assert violations(pod) == []


def test_the_token_is_the_seeders_alone_and_in_no_pod_in_clear(created: Recorder) -> None:
    pod = template(created, "Deployment", "draft")["spec"]
    (seeder,) = pod["initContainers"]
    (variable,) = [each for each in seeder["env"] if each["name"] == "HF_TOKEN"]
    assert variable == {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "draft-hub-token", "key": "token"}}}
    assert "HF_TOKEN" not in str(pod["containers"])
    assert not any(TOKEN in public(each.inputs) for each in created.registrations)


def test_a_rollout_waits_for_replicas_that_seed_and_the_startup_probe_begins_after_them(created: Recorder) -> None:
    model = settings(AWS_CREATED).models["draft"]
    alone, seeding = timing(model), timing(model, seeds=True)
    assert seeding.startup_budget == alone.startup_budget >= load_estimate(model)
    assert seeding.progress_deadline == alone.progress_deadline + seeding_seconds(model)
    deployment = named(created, "Deployment", "draft")
    assert deployment.inputs["spec"]["progressDeadlineSeconds"] == seeding.progress_deadline
    assert deployment.timeouts["create"] == f"{seeding.deployment_timeout}s"
    assert seeding.progress_deadline < seeding.deployment_timeout


def test_replicas_on_shared_storage_still_wait_for_the_job(created: Recorder) -> None:
    for name in ("chat", "expert", "summary"):
        assert named(created, "Job", f"{name}-seed-").urn in named(created, "Deployment", name).depends_on


def test_rates_of_storage_reach_the_load_estimate() -> None:
    models = settings(AWS_CREATED).models
    assert {name: model.weights.bandwidth_mbps for name, model in models.items()} == {
        "chat": 1000,
        "draft": 4000,
        "expert": 2400 * 500 // 1024,
        "summary": 512,
    }
