"""Diffs that an engineer reads: items by their names, flags by theirs, and nothing secret."""

from __future__ import annotations

from typing import Any

import pytest

from claims.differences import KNOWN_LATER, LONGEST, SECRET, UNKNOWN, Difference, at, differences

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
IN_EVENTS = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}


def pod(**container: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "engine", **container}]}}}}


def variable(name: str, value: str) -> dict[str, Any]:
    return pod(env=[{"name": name, "value": value}])


def told(old: dict[str, Any], new: dict[str, Any], kind: str = DEPLOYMENT) -> list[tuple[str, str | None, str | None]]:
    return [(each.path, each.old, each.new) for each in differences(old, new, kind=kind)]


def test_an_environment_variable_more_is_one_line_however_many_come_after_it() -> None:
    many = [{"name": name, "value": name.lower()} for name in "ACDEF"]
    assert told(pod(env=many), pod(env=[many[0], {"name": "B", "value": "b"}, *many[1:]])) == [
        ("pod.containers[engine].env[B].value", None, "b")
    ]


def test_arguments_go_by_their_flags_in_either_spelling() -> None:
    old = ["serve", "/weights", "--max-model-len", "8192", "--enforce-eager", "--parser=hermes"]
    new = ["serve", "/weights", "--swap-space", "4", "--max-model-len", "16384", "--parser=llama", "--enforce-eager"]
    assert told(pod(args=old), pod(args=new)) == [
        ("pod.containers[engine].args[--max-model-len]", "8192", "16384"),
        ("pod.containers[engine].args[--parser]", "hermes", "llama"),
        ("pod.containers[engine].args[--swap-space]", None, "4"),
    ]


def test_a_flag_that_is_repeated_loses_no_value() -> None:
    assert told(pod(args=["--lora", "a", "--lora", "b"]), pod(args=["--lora", "a", "--lora", "c"])) == [
        ("pod.containers[engine].args[--lora #2]", "b", "c")
    ]


def test_a_container_that_comes_is_not_the_one_that_was_there() -> None:
    two = {"spec": {"template": {"spec": {"containers": [{"name": "proxy", "image": "p"}, {"name": "engine"}]}}}}
    assert told(pod(), two) == [("pod.containers[proxy].image", None, "p")]


def test_items_without_names_go_by_their_position() -> None:
    assert told({"rules": ["a", "b"]}, {"rules": ["a", "c", "d"]}) == [("rules[1]", "b", "c"), ("rules[2]", None, "d")]


def test_what_is_known_after_the_update_is_told_so() -> None:
    assert told({"size": 1}, {"size": UNKNOWN}) == [("size", "1", KNOWN_LATER)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"stringData": {"token": "hunter2"}}, {"stringData": {"token": "hunter3", "more": "x"}}),
        ({"stringData": IN_EVENTS}, {"stringData": {"token": IN_EVENTS, "more": IN_EVENTS}}),
        ({"data": "aHVudGVyMg=="}, {"data": {"more": "aHVudGVyMw=="}}),
    ],
)
def test_a_secret_shows_its_keys_and_no_value(old: dict[str, Any], new: dict[str, Any]) -> None:
    found = differences(old, new, kind="kubernetes:core/v1:Secret")
    assert found
    assert {text for each in found for text in (each.old, each.new)} <= {None, SECRET}
    assert any("more" in each.path for each in found)


def test_what_looks_like_a_secret_is_masked_wherever_it_is() -> None:
    (found,) = differences(
        pod(env=[]), pod(env=[{"name": "HF_TOKEN", "value": "hf_abcdefghijklmnop"}]), kind=DEPLOYMENT
    )[:1]
    assert "abcdefgh" not in str(found)
    everything = str(
        differences(
            pod(env=[{"name": "T", "value": "x"}]),
            pod(env=[{"name": "T", "value": "hf_abcdefghijklmnop"}]),
            kind=DEPLOYMENT,
        )
    )
    assert "hf_***" in everything
    assert "abcdefgh" not in everything


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ({"values": {"grafana": {"adminPassword": "hunter2"}}}, {"values": {"grafana": {"a": 1}}}, "adminPassword"),
        (variable("DB_PASSWORD", "hunter2"), variable("DB_PASSWORD", "hunter3"), "value"),
        (variable("OPENAI_KEY", "hunter2"), variable("OPENAI_KEY", "hunter3"), "value"),
        (variable("A_URL", "redis://:hunter2@h"), variable("A_URL", "x"), "value"),
        (pod(args=["--api-key", "hunter2"]), pod(args=["--api-key=hunter3"]), "[--api-key]"),
        ({"secretString": "hunter2"}, {"secretString": "hunter3"}, "secretString"),
        ({"values": {"tokens": {"token": ["hunter2"]}}}, {"values": {"tokens": {"token": ["hunter3"]}}}, "[0]"),
    ],
)  # fmt: skip
def test_a_value_whose_name_says_that_it_is_secret_is_not_shown(
    old: dict[str, Any], new: dict[str, Any], path: str
) -> None:
    found = differences(old, new, kind=DEPLOYMENT)
    assert any(each.path.endswith(path) for each in found)
    assert "hunter" not in str(found)


def test_a_name_of_a_secret_is_shown() -> None:
    old, new = ({"spec": {"secretName": name, "existingSecret": name, "mountToken": name == "a"}} for name in "ab")
    assert {each[1:] for each in told(old, new)} == {("a", "b"), ("true", "false")}


def test_a_secret_is_masked_before_a_long_value_is_cut() -> None:
    long = "x" * (LONGEST - 6) + " hf_abcdefghijklmnop"
    assert "abc" not in str(differences({"a": ""}, {"a": long}, kind="x:y:Z"))


def test_values_are_one_line_each() -> None:
    assert told({"script": "a"}, {"script": "a\n```\nb"}) == [("script", "a", "a ``` b")]


def test_the_engines_own_paths_get_the_names_that_items_have() -> None:
    inputs = pod(args=["--max-model-len", "8192"], env=[{"name": "A", "value": IN_EVENTS}])
    assert at("spec.template.spec.containers[0].image", inputs) == ("pod.containers[engine].image", None)
    path, value = at("spec.template.spec.containers[0].env[0].value", inputs)
    assert path == "pod.containers[engine].env[A].value"
    assert value == IN_EVENTS
    assert at("spec.rules[3].x", {"spec": {"rules": []}})[0] == "spec.rules[3].x"


def test_the_same_inputs_have_no_differences() -> None:
    assert differences(pod(args=["--a", "b"]), pod(args=["--a", "b"]), kind=DEPLOYMENT) == ()
    assert Difference(path="a", old=None, new="b") < Difference(path="b", old=None, new="a")
