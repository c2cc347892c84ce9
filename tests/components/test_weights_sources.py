"""What seeding, checking and cleaning are given, for each kind of source and of volume."""

from __future__ import annotations

from typing import Any

import pytest

from components.timing import seeding_deadline
from components.weight_seeder import PATIENCE
from tests.aws.options import options
from tests.aws.stored import named, stored
from tests.components.program import Recorder, plain, public, run_program
from tests.components.samples import AWS_CREATED, CUSTOM, SEEDER, SMALLEST, SOURCES, SUM, changed, chat

pytestmark = pytest.mark.filterwarnings("ignore:aws.ec2/:DeprecationWarning")
TOKEN = "hf_do_not_show"


def pod(recorder: Recorder, work: str) -> dict[str, Any]:
    """The pod of the one model's engine, or of its Job for some work."""
    if work == "engine":
        found = recorder.one("Deployment")
    else:
        (found,) = [each for each in recorder.of("Job") if f"-{work}-" in each.name]
    template: dict[str, Any] = plain(found.inputs)["spec"]["template"]["spec"]
    return template


def command(recorder: Recorder, work: str) -> list[str]:
    (container,) = pod(recorder, work)["initContainers" if work == "engine" else "containers"]
    found: list[str] = container["command"]
    return found


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") or each["valueFrom"] for each in container["env"]}


def seeder(config: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod(run_program(config), "seed")["containers"]
    found: dict[str, Any] = container
    return found


def of_secret(name: str, key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}


def test_the_commands_are_complete_and_in_a_fixed_order() -> None:
    recorder = run_program(CUSTOM)
    source = CUSTOM["models"]["chat"]["source"]
    folder = "meta-llama--Llama-3.1-70B-Instruct/0e9e39f249a1-9ece39bf"
    wanted = (
        f"--source {source} --volume /weights --folder {folder} "
        "--include=*.safetensors --include=*.json --exclude=consolidated*"
    )
    assert " ".join(command(recorder, "seed")) == (
        f"weight-seeder seed {wanted} --volume-size {200 * 2**30} --workers 4 --patience 300 --metrics-port 9110"
    )
    assert " ".join(command(recorder, "engine")) == f"weight-seeder check {wanted}"
    assert " ".join(command(recorder, "clean")) == (
        f"weight-seeder clean --volume /weights --folder {folder} --keep 1 --wait 695 "
        "--in-use llm/app.kubernetes.io/instance=chat,app.kubernetes.io/component=engine"
    )


def test_the_selector_of_those_in_use_finds_replicas_and_no_pod_that_seeds_or_cleans() -> None:
    recorder = run_program(CUSTOM)
    namespace, _, selector = command(recorder, "clean")[-1].partition("/")
    wanted = dict(each.split("=") for each in selector.split(","))
    found = [
        plain(each.inputs)
        for kind in ("Deployment", "Job")
        for each in recorder.of(kind)
        if wanted.items() <= plain(each.inputs)["spec"]["template"]["metadata"]["labels"].items()
    ]
    assert [each["metadata"]["name"] for each in found] == ["chat"]
    assert found[0]["metadata"]["namespace"] == namespace


@pytest.mark.parametrize("work", ["engine", "seed"])
def test_checksums_are_compared_where_a_setting_asks_by_who_can_mend_as_well(work: str) -> None:
    deep = changed(SMALLEST, "models.chat.weights.check", "checksums")
    assert "--checksums" in command(run_program(deep), work)
    assert "--checksums" not in command(run_program(SMALLEST), work)


def test_checksums_are_compared_by_replicas_that_seed() -> None:
    recorder = stored(changed(AWS_CREATED, "models.draft.weights.check", "checksums"))
    replica = plain(named(recorder, "Deployment", "draft").inputs)["spec"]["template"]["spec"]
    assert "--checksums" in replica["initContainers"][0]["command"]


def test_a_replica_looks_at_the_weights_without_touching_them_before_the_engine_starts() -> None:
    replica = pod(run_program(SMALLEST), "engine")
    (check,) = replica["initContainers"]
    assert check["image"] == SEEDER
    assert check["volumeMounts"] == [{"name": "weights", "mountPath": "/weights", "readOnly": True}]
    assert "env" not in check
    requests = replica["containers"][0]["resources"]["requests"]
    # A pod reserves the most of any of its containers: this one reserves nothing.
    assert check["resources"]["requests"] == {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "16Mi"}
    assert (requests["cpu"], requests["memory"]) == ("2", "12Gi")


def test_a_job_tries_again_until_its_deadline_unless_it_is_hopeless() -> None:
    """Pulumi takes BackoffLimitExceeded and DeadlineExceeded for a failure, and waits on after any other."""
    for each in run_program(SMALLEST).of("Job"):
        spec = plain(each.inputs)["spec"]
        name = spec["template"]["spec"]["containers"][0]["name"]
        assert spec["backoffLimit"] == 0
        assert spec["podFailurePolicy"]["rules"] == [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "Ignore", "onExitCodes": {"containerName": name, "operator": "NotIn", "values": [2]}},
        ]
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        assert int(each.timeouts["create"].removesuffix("s")) == spec["activeDeadlineSeconds"] + 60
        assert plain(each.inputs)["metadata"]["annotations"] == {"pulumi.com/replaceUnready": "true"}


def test_a_job_that_changes_makes_way_for_the_next_of_its_name() -> None:
    asked = options(SMALLEST)["Job"]
    assert list(asked.replaceOnChanges) == ["spec"]
    assert asked.deleteBeforeReplace


def test_the_seeder_says_what_is_wrong_before_the_deadline_of_the_smallest_model() -> None:
    smallest = chat(changed(SMALLEST, "models.chat.weights.size", "1Mi"))
    assert seeding_deadline(smallest) >= 2 * PATIENCE


@pytest.mark.parametrize("work", ["seed", "clean", "engine"])
def test_the_last_line_of_each_container_of_the_seeder_is_what_is_shown_of_it(work: str) -> None:
    (container,) = pod(run_program(SMALLEST), work)["initContainers" if work == "engine" else "containers"]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "s3",
            {
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ACCESS_KEY_ID": of_secret("bucket-reader", "AWS_ACCESS_KEY_ID"),
                "AWS_SECRET_ACCESS_KEY": of_secret("bucket-reader", "AWS_SECRET_ACCESS_KEY"),
            },
        ),
        ("oci", {"REGISTRY_AUTH": of_secret("registry", ".dockerconfigjson")}),
        ("file on nodes", {}),
        ("file on a claim", {}),
    ],
)
def test_a_source_is_asked_with_its_own_credentials_and_no_other_gets_the_hubs_token(
    name: str, expected: dict[str, Any]
) -> None:
    recorder = run_program(SOURCES[name] | {"hfToken": TOKEN}, secrets=["hfToken"])
    (container,) = pod(recorder, "seed")["containers"]
    assert variables(container) == {"HOME": "/tmp", "USER": "inference", **expected}  # noqa: S108
    assert recorder.of("Secret") == []


@pytest.mark.parametrize(("name", "variable"), [("s3", "AWS_ENDPOINT_URL_S3"), ("oci", "OCI_ENDPOINT")])
def test_an_endpoint_is_named_as_its_source_s_client_wants_it(name: str, variable: str) -> None:
    config = changed(SOURCES[name], "models.chat.weights.endpoint", "https://store.example.com")
    assert variables(seeder(config))[variable] == "https://store.example.com"


def test_a_bucket_is_in_the_region_that_the_settings_say() -> None:
    config = changed(SOURCES["s3"], "models.chat.weights.region", "garage")
    found = variables(seeder(config))
    assert found["AWS_DEFAULT_REGION"] == "garage"
    assert "AWS_REGION" not in found
    assert "AWS_DEFAULT_REGION" not in variables(seeder(SOURCES["s3"]))


def test_a_secret_of_the_users_takes_the_place_of_the_stacks_token() -> None:
    own = changed(SMALLEST, "models.chat.weights.credentials", "hub")
    for config, name in ((own, "hub"), (SMALLEST, "chat-hub-token")):
        recorder = run_program(config | {"hfToken": TOKEN}, secrets=["hfToken"])
        (container,) = pod(recorder, "seed")["containers"]
        assert variables(container)["HF_TOKEN"] == of_secret(name, "token")
        assert [each.name for each in recorder.of("Secret")] == ([] if config is own else [name])


@pytest.mark.parametrize("config", [SMALLEST, *SOURCES.values()], ids=["hf", *SOURCES])
def test_no_source_shows_a_secret(config: dict[str, Any]) -> None:
    recorder = run_program(config | {"hfToken": TOKEN}, secrets=["hfToken"])
    for each in (*(each.inputs for each in recorder.registrations), *recorder.outputs.values()):
        assert TOKEN not in public(each)


def test_a_service_account_of_the_users_is_the_seeders_and_not_the_engines() -> None:
    config = changed(SOURCES["s3"], "models.chat.weights", {"size": "20Gi", "serviceAccount": "bucket-reader"})
    recorder = run_program(config)
    assert pod(recorder, "seed")["serviceAccountName"] == "bucket-reader"
    assert pod(recorder, "engine")["serviceAccountName"] == "chat"
    assert {each.name for each in recorder.of("ServiceAccount") if "plugin" not in each.name} == {
        "chat",
        "weight-cleaner",
    }


def test_a_folder_of_nodes_is_a_volume_mounted_at_its_own_path_below_the_source() -> None:
    """Neither may the pod mount a hostPath, nor is the user's folder given to the pod's group: all is read-only."""
    recorder = run_program(SOURCES["file on nodes"])
    volume = recorder.one("PersistentVolume")
    spec = plain(volume.inputs)["spec"]
    assert spec["local"] == {"path": "/srv/models/chat"}
    assert spec["accessModes"] == ["ReadOnlyMany"]
    assert spec["nodeAffinity"]["required"]["nodeSelectorTerms"] == [
        {"matchExpressions": [{"key": "example.com/models", "operator": "In", "values": ["here"]}]}
    ]
    claim = named(recorder, "PersistentVolumeClaim", "chat-source-")
    assert spec["claimRef"]["name"] == claim.name == volume.name
    assert not claim.protect
    seeding = pod(recorder, "seed")
    assert {"name": "source", "persistentVolumeClaim": {"claimName": claim.name, "readOnly": True}} in seeding[
        "volumes"
    ]
    mount = {"name": "source", "mountPath": "/source/srv/models/chat", "readOnly": True}
    assert mount in seeding["containers"][0]["volumeMounts"]
    given = command(recorder, "seed")
    assert given[given.index("--read-from") + 1] == "/source"


def test_another_folder_or_other_nodes_are_another_volume_because_none_can_change() -> None:
    config = SOURCES["file on nodes"]
    other = changed(config, "models.chat.source", f"file:///srv/other@sha256:{SUM}")
    nodes = changed(config, "models.chat.weights.nodeSelector", {"example.com/models": "there"})
    volumes = {run_program(each).one("PersistentVolume").name for each in (config, other, nodes)}
    assert len(volumes) == 3


def test_a_claim_of_the_users_is_mounted_whole_and_read_only() -> None:
    recorder = run_program(SOURCES["file on a claim"])
    assert recorder.of("PersistentVolume") == []
    assert [each.name for each in recorder.of("PersistentVolumeClaim")] == ["chat-weights"]
    seeding = pod(recorder, "seed")
    assert {"name": "source", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}} in seeding["volumes"]
    mounts = seeding["containers"][0]["volumeMounts"]
    assert {"name": "source", "mountPath": "/source", "readOnly": True} in mounts


def test_weights_in_the_image_are_where_the_image_has_them_and_nothing_else_is_made() -> None:
    recorder = run_program(SOURCES["image"])
    made = {each.type.rsplit(":", 1)[-1] for each in recorder.registrations if "plugin" not in each.name}
    assert made == {
        "Stack",
        "kubernetes",
        "Namespace",
        "GpuNodePool",
        "ModelWeights",
        "InferenceServer",
        "Deployment",
        "Service",
        "ServiceAccount",
        "NetworkPolicies",
        "NetworkPolicy",
    }
    assert {each.name for each in recorder.of("NetworkPolicy")} == {"default-deny", "engines"}
    template = plain(recorder.one("Deployment").inputs)["spec"]["template"]
    replica = template["spec"]
    assert "initContainers" not in replica
    assert "annotations" not in template["metadata"]
    assert {volume["name"] for volume in replica["volumes"]} == {"tmp", "home", "shm"}
    assert replica["containers"][0]["args"][0] == "/models/chat"


@pytest.mark.parametrize(
    ("kind", "group"), [("VolumeSnapshot", "snapshot.storage.k8s.io"), ("PersistentVolumeClaim", None)]
)
def test_a_volume_begins_as_a_copy(kind: str, group: str | None) -> None:
    config = changed(SMALLEST, "models.chat.weights.dataSource", {"kind": kind, "name": "monday"})
    spec = plain(run_program(config).one("PersistentVolumeClaim").inputs)["spec"]
    assert spec["dataSource"] == {"kind": kind, "name": "monday"} | ({"apiGroup": group} if group else {})
    assert "dataSource" not in plain(run_program(SMALLEST).one("PersistentVolumeClaim").inputs)["spec"]


def test_a_snapshot_is_taken_of_what_was_seeded_and_of_each_revision_its_own() -> None:
    config = changed(SMALLEST, "models.chat.weights.snapshotClass", "csi")
    recorder = run_program(config)
    taken = recorder.one("VolumeSnapshot")
    assert plain(taken.inputs)["spec"] == {
        "volumeSnapshotClassName": "csi",
        "source": {"persistentVolumeClaimName": "chat-weights"},
    }
    assert named(recorder, "Job", "chat-seed-").urn in taken.depends_on
    assert options(config)["VolumeSnapshot"].retainOnDelete
    other = changed(config, "models.chat.source", f"hf://meta-llama/Llama-3.1-8B-Instruct@{'0' * 40}")
    again = changed(config, "models.chat.weights.snapshotClass", "other")
    assert len({run_program(each).one("VolumeSnapshot").name for each in (config, other, again)}) == 3


def test_a_node_is_cleaned_by_who_seeds_it_with_a_token_that_the_engine_never_sees() -> None:
    recorder = stored(AWS_CREATED)
    template = plain(named(recorder, "Deployment", "draft").inputs)["spec"]["template"]
    replica = template["spec"]
    (seeding,), (engine,) = replica["initContainers"], replica["containers"]
    assert seeding["command"][-4:] == [
        "--keep",
        "1",
        "--in-use",
        "llm/app.kubernetes.io/instance=draft,app.kubernetes.io/component=engine",
    ]
    where = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert {"name": "api-token", "mountPath": where, "readOnly": True} in seeding["volumeMounts"]
    assert where not in str(engine)
    assert "api-token" not in str(engine)
    assert replica["automountServiceAccountToken"] is False
    (volume,) = [each for each in replica["volumes"] if each["name"] == "api-token"]
    paths = [
        source.get("serviceAccountToken", {}).get("path") or next(iter(source.values()))["items"][0]["path"]
        for source in volume["projected"]["sources"]
    ]
    assert paths == ["token", "ca.crt", "namespace"]
    binding = named(recorder, "RoleBinding", "draft-weights")
    assert plain(binding.inputs)["subjects"] == [{"kind": "ServiceAccount", "name": "draft", "namespace": "llm"}]
    assert binding.urn in named(recorder, "Deployment", "draft").depends_on
    assert template["metadata"]["annotations"].keys() == {"inference/weights"}


def test_replicas_that_seed_may_reach_source_and_api_server() -> None:
    recorder = stored(AWS_CREATED)
    policy = named(recorder, "NetworkPolicy", "node-seeding-")
    spec = plain(policy.inputs)["spec"]
    assert spec["ingress"] == []
    assert [[port["port"] for port in rule["ports"]] for rule in spec["egress"]] == [[53, 53], [443], [443, 6443]]
    labels = plain(named(recorder, "Deployment", "draft").inputs)["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()
    (chosen,) = spec["podSelector"]["matchExpressions"]
    assert chosen == {"key": "app.kubernetes.io/instance", "operator": "In", "values": ["draft"]}
    assert policy.urn in named(recorder, "Deployment", "draft").depends_on
