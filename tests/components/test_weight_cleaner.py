"""Cleaning: after the rollout, with one account for all models that may do one thing."""

from __future__ import annotations

import pytest

from components.model_weights import weights_folder
from tests.aws.stored import named, stored
from tests.components.program import plain, run_program
from tests.components.samples import AWS_CREATED, SMALLEST, changed, settings

pytestmark = pytest.mark.filterwarnings("ignore:aws.ec2/:DeprecationWarning")


def test_all_models_share_an_account_that_may_list_the_pods_of_the_namespace_and_nothing_else() -> None:
    recorder = stored(AWS_CREATED)
    account = named(recorder, "ServiceAccount", "weight-cleaner")
    role, binding = named(recorder, "Role", "weight-cleaner"), named(recorder, "RoleBinding", "weight-cleaner")
    assert plain(role.inputs)["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    assert {plain(each.inputs)["metadata"]["namespace"] for each in (account, role, binding)} == {"llm"}
    assert plain(binding.inputs)["roleRef"]["name"] == role.name
    assert plain(binding.inputs)["subjects"] == [
        {"kind": "ServiceAccount", "name": "weight-cleaner", "namespace": "llm"}
    ]
    cleaners = [each for each in recorder.of("Job") if "-clean-" in each.name]
    assert {each.name.split("-")[0] for each in cleaners} == {"chat", "expert", "summary"}
    for each in cleaners:
        pod = plain(each.inputs)["spec"]["template"]["spec"]
        assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("weight-cleaner", True)
        assert binding.urn in each.depends_on


def test_a_revision_goes_only_after_the_replicas_have_left_it() -> None:
    recorder = run_program(SMALLEST)
    assert recorder.one("Deployment").urn in named(recorder, "Job", "chat-clean-").depends_on


def test_the_volume_is_cleaned_that_the_replicas_mount() -> None:
    recorder = stored(AWS_CREATED)
    for name, model in settings(AWS_CREATED).models.items():
        if name == "draft":
            continue
        pods = [
            plain(each.inputs)["spec"]["template"]["spec"]
            for each in (named(recorder, "Job", f"{name}-clean-"), named(recorder, "Deployment", name))
        ]
        claims = [pod["volumes"][0]["persistentVolumeClaim"] for pod in pods]
        assert claims[0] == claims[1]
        (container,) = pods[0]["containers"]
        assert container["volumeMounts"] == [{"name": "weights", "mountPath": "/weights"}]
        folder = weights_folder(model.source, model.weights.include, model.weights.exclude)
        assert container["command"][5] == folder


def test_as_many_revisions_stay_as_the_settings_say() -> None:
    config = changed(SMALLEST, "models.chat.weights.keepRevisions", 3)
    command = plain(named(run_program(config), "Job", "chat-clean-").inputs)["spec"]["template"]["spec"]["containers"][
        0
    ]
    assert command["command"][6:8] == ["--keep", "3"]


def test_replicas_that_drain_are_waited_for_before_the_job_gives_up() -> None:
    config = changed(SMALLEST, "models.chat.drainSeconds", 600)
    spec = plain(named(run_program(config), "Job", "chat-clean-").inputs)["spec"]
    command = spec["template"]["spec"]["containers"][0]["command"]
    wait = int(command[command.index("--wait") + 1])
    grace = plain(named(run_program(config), "Deployment", "chat").inputs)["spec"]["template"]["spec"][
        "terminationGracePeriodSeconds"
    ]
    assert wait == grace + 60
    assert spec["activeDeadlineSeconds"] == 900 + wait


def test_nodes_that_seed_themselves_need_no_cleaner() -> None:
    config = changed(AWS_CREATED, "models", {"draft": AWS_CREATED["models"]["draft"]})
    recorder = stored(config)
    assert recorder.of("Job") == []
    assert not [each for each in recorder.registrations if each.name.startswith("weight-cleaner")]
