"""The diff of inputs against the state, and what must be replaced: as pulumi-kubernetes 4 decides it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from rehearsal.plugins import diff


def deployment(**container: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "engine", **container}]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": spec}}}


def obj(kind: str, api_version: str = "v1", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, **fields}


CONTAINER: diff.Path = ("spec", "template", "spec", "containers", 0)


def test_an_input_that_is_as_it_was_is_no_change() -> None:
    inputs = deployment(image="a", env=[{"name": "EMPTY", "value": ""}])
    assert diff.changes(inputs, inputs) == {}


def test_a_changed_an_added_and_a_dropped_input_are_found_at_the_smallest_path() -> None:
    old = deployment(image="a", args=["x", "y"])
    new = deployment(image="b", args=["x"], tty=True)
    assert diff.changes(old, new) == {
        (*CONTAINER, "image"): "UPDATE",
        (*CONTAINER, "args", 1): "DELETE",
        (*CONTAINER, "tty"): "ADD",
    }


def test_of_a_live_object_only_the_fields_that_are_inputs_are_looked_at() -> None:
    live = deployment(image="b", terminationMessagePath="/dev/termination-log") | {"status": {"replicas": 1}}
    assert diff.prune(live, deployment(image="a")) == deployment(image="b")


def test_an_input_that_the_server_keeps_in_another_form_is_no_change() -> None:
    live = outcome = deployment(resources={"limits": {"cpu": "1"}})
    found: dict[diff.Path, str] = {(*CONTAINER, "resources", "limits", "cpu"): "UPDATE"}
    assert diff.confirmed(found, live, outcome) == {}


def test_a_secret_is_compared_as_it_was_written_though_the_server_keeps_it_encoded() -> None:
    live, outcome = (obj("Secret", data={"token": base64.b64encode(text).decode()}) for text in (b"one", b"two"))
    found: dict[diff.Path, str] = {("stringData", "token"): "UPDATE"}
    assert diff.confirmed(found, live, outcome) == found
    assert diff.confirmed(found, live, live) == {}


def test_a_dry_run_drops_what_the_server_would_leave_as_it_is() -> None:
    live, outcome = deployment(cpu="1", image="a"), deployment(cpu="1", image="b")
    found = {(*CONTAINER, "cpu"): "UPDATE", (*CONTAINER, "image"): "UPDATE", (*CONTAINER, "env"): "ADD"}
    assert diff.confirmed(found, live, outcome) == {(*CONTAINER, "image"): "UPDATE"}


def test_a_dry_run_drops_neither_a_field_that_is_given_up_nor_a_default_made_explicit() -> None:
    live = obj("Deployment", "apps/v1", spec={"replicas": 1})
    for kind in ("DELETE", "ADD"):
        found: dict[diff.Path, str] = {("spec", "replicas"): kind}
        assert diff.confirmed(found, live, live) == found


@pytest.mark.parametrize(
    ("thing", "path"),
    [
        (obj("Job", "batch/v1"), ("spec", "template", "spec", "containers", 0, "image")),
        (obj("Job", "batch/v1"), ("spec", "completions")),
        (obj("PersistentVolumeClaim"), ("spec", "accessModes", 0)),
        (obj("PersistentVolumeClaim"), ("spec", "storageClassName")),
        (obj("Deployment", "apps/v1"), ("spec", "selector", "matchLabels", "app")),
        (obj("DaemonSet", "apps/v1"), ("spec", "selector", "matchLabels", "app")),
        (obj("Service"), ("spec", "clusterIP")),
        (obj("Secret"), ("type",)),
        (obj("ConfigMap"), ("data", "key")),
        (obj("Namespace"), ("metadata", "name")),
        (obj("ScaledObject", "keda.sh/v1alpha1"), ("metadata", "namespace")),
    ],
)
def test_what_cannot_change_in_place_replaces(thing: dict[str, Any], path: diff.Path) -> None:
    assert diff.replaces(thing, path)


@pytest.mark.parametrize(
    ("thing", "path"),
    [
        (obj("Deployment", "apps/v1"), ("spec", "template", "spec", "containers", 0, "image")),
        (obj("DaemonSet", "apps/v1"), ("spec", "template", "spec", "nodeSelector")),
        (obj("PersistentVolumeClaim"), ("spec", "resources", "requests", "storage")),
        (obj("Job", "batch/v1"), ("spec", "ttlSecondsAfterFinished")),
        (obj("Job", "batch/v1"), ("spec", "templateX")),
        (obj("Service"), ("spec", "ports", 0, "port")),
        (obj("ScaledObject", "keda.sh/v1alpha1"), ("spec", "selector")),
        (obj("Namespace"), ("metadata", "labels", "name")),
    ],
)
def test_everything_else_changes_in_place(thing: dict[str, Any], path: diff.Path) -> None:
    assert not diff.replaces(thing, path)


def test_paths_are_written_as_the_engine_reads_them() -> None:
    assert diff.property_path(("metadata", "annotations", "a.b/c")) == 'metadata.annotations["a.b/c"]'
    assert diff.property_path(("spec", "ports", 0, "port")) == "spec.ports[0].port"


@pytest.mark.parametrize(
    ("live", "applied"),
    [
        pytest.param({"replicas": 4}, {"paused": True}, id="a scaler's"),
        pytest.param({"replicas": 2}, {"paused": True, "replicas": 2}, id="as it was given"),
        pytest.param({}, {"paused": True}, id="not there any more"),
    ],
)
def test_what_is_ignored_is_left_to_whoever_has_changed_it(live: dict[str, Any], applied: dict[str, Any]) -> None:
    inputs = obj("Deployment", "apps/v1") | {"spec": {"replicas": 2, "paused": True}}
    diff.leave(inputs, {"spec": live}, ["spec.replicas"])
    assert inputs["spec"] == applied


def test_without_anything_to_ignore_everything_is_applied() -> None:
    inputs = obj("Deployment", "apps/v1") | {"spec": {"replicas": 2}}
    diff.leave(inputs, {"spec": {"replicas": 4}}, [])
    assert inputs["spec"] == {"replicas": 2}
