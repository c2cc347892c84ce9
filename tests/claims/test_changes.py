"""What is read of a preview, on recordings of the real engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claims.changes import Preview, preview
from tests.claims.example import PREVIEWS


def recorded(name: str) -> Preview:
    return preview((PREVIEWS / f"{name}.jsonl").read_text())


def step(operation: str, kind: str = "aws:eks/nodeGroup:NodeGroup", **more: Any) -> str:
    metadata = {"op": operation, "urn": "urn:pulumi:prod::inference::x::pool", "type": kind, **more}
    return json.dumps({"resourcePreEvent": {"metadata": metadata}})


def told(*events: str, result: str = "succeeded") -> Preview:
    return preview(
        "\n".join([*events, json.dumps({"summaryEvent": {"result": result, "resourceChanges": {"same": 3}}})])
    )


def test_a_change_is_told_by_resource() -> None:
    found = recorded("change")
    assert {(each.operation, each.kind) for each in found.changes} >= {
        ("update", "Deployment"),
        ("update", "NodeGroup"),
        ("update", "ScaledObject"),
        ("create", "Secret"),
        ("delete", "Secret"),
    }
    (chat,) = [each for each in found.changes if each.kind == "Deployment" and each.name == "chat"]
    assert [(each.path, each.old, each.new) for each in chat.differences][:1] == [
        ("pod.containers[engine].args[--max-model-len]", "8192", "16384")
    ]
    assert chat.rolls_out
    assert found.complete
    assert found.unchanged > 50


def test_components_providers_and_the_stack_are_not_told() -> None:
    created = recorded("create")
    assert {each.operation for each in created.changes} == {"create"}
    assert len(created.changes) > 50
    assert not [each.type for each in created.changes if each.type.startswith(("pulumi:", "inference:"))]


def test_nothing_changes() -> None:
    found = recorded("unchanged")
    assert found.changes == ()
    assert found.unchanged > 80
    assert found.complete


def test_mistakes_in_the_settings_are_errors_without_pulumis_own_last_words() -> None:
    found = recorded("refused")
    assert not found.complete
    assert found.errors[0].startswith("inference:models.chat.pool: is missing; allowed: ")
    assert not any("unhandled" in each for each in found.errors)


def test_policies_are_told_by_resource_and_level() -> None:
    found = recorded("judged")
    assert found.findings
    assert all(each.stops and each.resource == "tools" for each in found.findings)
    assert any("digest" in each.policy for each in found.findings)


def test_no_recording_holds_a_secret_or_names_a_machine() -> None:
    for path in PREVIEWS.rglob("*.*"):
        text = path.read_text()
        assert "sk-recorded" not in text
        assert "from $PATH" not in text


def test_a_replacement_is_told_once_with_what_demands_it() -> None:
    diff = {"instanceTypes[0]": {"diffKind": "update-replace", "inputDiff": True}}
    old, new = ({"inputs": {"instanceTypes": [name]}} for name in ("a", "b"))
    operations = ("create-replacement", "replace", "delete-replaced")
    steps = [step(each, detailedDiff=diff, old=old, new=new) for each in operations]
    (found,) = told(*steps).changes
    assert (found.operation, found.ends, found.replaced_for) == ("replace", True, ("instanceTypes[0]",))


def test_what_somebody_changed_on_the_cluster_is_told_though_the_inputs_are_the_same() -> None:
    same = {"inputs": {"spec": {"replicas": 2}}}
    diff = {"spec.replicas": {"diffKind": "update", "inputDiff": False}}
    (found,) = told(step("update", old=same, new=same, detailedDiff=diff)).changes
    assert (found.differences, found.elsewhere) == ((), ("spec.replicas",))


def test_both_are_told_where_the_program_and_somebody_else_changed_a_resource() -> None:
    old, new = ({"inputs": {"spec": {"size": number, "replicas": 2}}} for number in (1, 2))
    diff = {
        "spec.size": {"diffKind": "update", "inputDiff": True},
        "spec.replicas": {"diffKind": "update", "inputDiff": False},
    }
    (found,) = told(step("update", old=old, new=new, detailedDiff=diff)).changes
    assert [each.path for each in found.differences] == ["spec.size"]
    assert found.elsewhere == ("spec.replicas",)


def test_an_update_never_comes_without_a_reason() -> None:
    same = {"inputs": {"spec": {"size": 1}}}
    diff = {"spec.size": {"diffKind": "update", "inputDiff": True}}
    (found,) = told(step("update", old=same, new=same, detailedDiff=diff)).changes
    assert found.elsewhere == ("spec.size",)


def test_a_secret_that_changes_is_told_without_its_value() -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
    old, new = ({"inputs": {"tags": {"a": number}, "password": secret}} for number in ("1", "2"))
    diff = {key: {"diffKind": "update", "inputDiff": True} for key in ("password", "tags.a")}
    (found,) = told(step("update", old=old, new=new, detailedDiff=diff)).changes
    assert [each.path for each in found.differences] == ["tags.a"]
    assert found.elsewhere == ("password",)


def test_a_preview_that_fails_is_not_complete_and_its_errors_are_masked_and_told_once() -> None:
    error = json.dumps({"diagnosticEvent": {"severity": "error", "message": "denied: hf_abcdefghijklmnop\n"}})
    noise = json.dumps({"diagnosticEvent": {"severity": "debug", "message": "registering"}})
    found = told(error, error, noise, result="failed")
    assert found.errors == ("denied: hf_***",)
    assert not found.complete
    assert not told(result="failed").complete


def test_what_is_no_preview_is_refused_with_the_command_that_writes_one() -> None:
    with pytest.raises(ValueError, match="PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json"):
        preview('{"steps": []}')
