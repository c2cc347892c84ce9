"""When an object counts as ready, and what is said when it does not become so."""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal.plugins import awaits

META = {"name": "chat", "namespace": "inference", "generation": 2}


def ask_of(served: dict[str, Any] | None = None) -> awaits.Ask:
    """An `ask` that knows the paths in `served`, and answers {} for others."""

    def ask(path: str, **query: Any) -> Any:
        return (served or {}).get(path, {})

    return ask


def rollout(kind: str = "Deployment", *, observed: int = 2, conditions: Any = None, **status: Any) -> Any:
    numbers = {"observedGeneration": observed, "conditions": conditions or [], **status}
    return {"kind": kind, "metadata": META, "spec": {"replicas": 2}, "status": numbers}


def job(**condition: str) -> Any:
    return {"kind": "Job", "metadata": META, "status": {"failed": 1, "conditions": [condition] if condition else []}}


def test_a_deployment_is_ready_when_all_its_replicas_are_new_and_available() -> None:
    done = rollout(replicas=2, updatedReplicas=2, availableReplicas=2)
    assert awaits.judge(done, ask_of())[0] is True


@pytest.mark.parametrize(
    "status",
    [
        {"observed": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
        {"replicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
        {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1},
        {"replicas": 3, "updatedReplicas": 2, "availableReplicas": 2},
    ],
    ids=["old status", "not all updated", "not all available", "an old replica left"],
)
def test_a_deployment_in_the_middle_of_a_rollout_is_not_ready(status: dict[str, Any]) -> None:
    assert awaits.judge(rollout(**status), ask_of())[0] is False


def test_a_daemon_set_is_ready_when_every_node_that_wants_it_has_it() -> None:
    done: dict[str, Any] = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}
    assert awaits.judge(rollout("DaemonSet", **done), ask_of())[0] is True
    assert awaits.judge(rollout("DaemonSet", **done | {"numberAvailable": 1}), ask_of())[0] is False


def test_a_job_is_ready_when_complete_and_fails_at_once_with_its_reason() -> None:
    assert awaits.judge(job(type="Complete", status="True"), ask_of())[0] is True
    assert awaits.judge(job(), ask_of()) == (
        False,
        "waiting for the Job to succeed (1 of its Pods failed)",
    )
    failed = job(type="Failed", status="True", reason="BackoffLimitExceeded", message="too often")
    assert awaits.judge(failed, ask_of()) == (None, "[BackoffLimitExceeded] too often")


def test_a_job_that_failed_for_a_reason_that_the_official_plugin_does_not_know_is_waited_for_as_there() -> None:
    assert awaits.judge(job(type="Failed", status="True", reason="PodFailurePolicy", message="x"), ask_of())[0] is False


def test_a_job_under_way_is_told_by_the_last_line_of_its_running_pods() -> None:
    home = "/api/v1/namespaces/inference"
    running, ended = pod(), pod("chat-2")
    running["status"]["phase"], ended["status"]["phase"] = "Running", "Failed"
    served = {f"{home}/pods": {"items": [running, ended]}, f"{home}/pods/chat-1/log": "7 MB of 17 MB\n"}
    served |= {f"{home}/pods/chat-2/log": "stopped"}
    assert awaits.troubles(job(), ask_of(served)) == ["7 MB of 17 MB"]


def test_a_claim_waits_to_be_bound_unless_its_class_waits_for_the_first_consumer() -> None:
    claim = {"kind": "PersistentVolumeClaim", "metadata": META, "spec": {"storageClassName": "fast"}}
    pending = claim | {"status": {"phase": "Pending"}}
    late = ask_of({"/apis/storage.k8s.io/v1/storageclasses/fast": {"volumeBindingMode": "WaitForFirstConsumer"}})
    assert awaits.judge(pending, ask_of())[0] is False
    assert awaits.judge(pending, late)[0] is True
    assert awaits.judge(claim | {"status": {"phase": "Bound"}}, ask_of())[0] is True


@pytest.mark.parametrize(
    "spec", [{"type": "ExternalName"}, {"clusterIP": "None", "selector": {"a": "b"}}, {"clusterIP": "10.0.0.1"}]
)
def test_a_service_without_pods_of_its_own_is_ready_at_once(spec: dict[str, Any]) -> None:
    assert awaits.judge({"kind": "Service", "metadata": META, "spec": spec}, ask_of())[0] is True


@pytest.mark.parametrize("ready", [True, False])
def test_a_service_waits_for_a_ready_endpoint(ready: bool) -> None:  # noqa: FBT001 - a parameter of the test
    slices = {"items": [{"endpoints": None}, {"endpoints": [{"conditions": {"ready": ready}}]}]}
    ask = ask_of({"/apis/discovery.k8s.io/v1/namespaces/inference/endpointslices": slices})
    service = {"kind": "Service", "metadata": META, "spec": {"selector": {"a": "b"}}}
    assert awaits.judge(service, ask)[0] is ready


def test_kinds_without_a_rule_are_ready_at_once() -> None:
    assert awaits.judge({"kind": "ConfigMap", "metadata": META}, ask_of()) == (True, "")


def pod(name: str = "chat-1", conditions: list[Any] | None = None, **container: Any) -> Any:
    status = {
        "conditions": conditions or [],
        "containerStatuses": [{"name": "engine", **container}] if container else [],
    }
    return {"metadata": {"name": name}, "status": status}


def troubles(pods: list[Any], logs: str = "", events: list[Any] | None = None) -> list[str]:
    home = "/api/v1/namespaces/inference"
    served = {f"{home}/pods": {"items": pods}, f"{home}/events": {"items": events or []}}
    return awaits.troubles(rollout(), ask_of(served | {f"{home}/pods/chat-1/log": logs}))


def test_a_pod_that_fits_nowhere_is_explained_by_the_scheduler() -> None:
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "2 Insufficient gpu",
    }
    assert troubles([pod(conditions=[unscheduled])]) == ["[Unschedulable] 2 Insufficient gpu"]


def test_an_image_that_cannot_be_pulled_is_named() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling x"}}
    assert troubles([pod(state=waiting)]) == ["[ImagePullBackOff] container engine: Back-off pulling x"]


def test_a_container_that_is_just_being_created_is_no_trouble() -> None:
    assert troubles([pod(state={"waiting": {"reason": "ContainerCreating"}})]) == []


def test_a_crash_shows_the_last_lines_of_the_containers_own_log() -> None:
    crashed = {"terminated": {"exitCode": 3, "reason": "Error"}}
    said = troubles([pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=crashed)], logs="no weights\n")
    assert said[1] == "container engine of chat-1 ended with 3 (Error); its last lines:\nno weights"


def test_failed_probes_of_unready_pods_and_pods_that_may_not_be_created_are_told_by_their_events() -> None:
    events = [
        {"reason": "Unhealthy", "involvedObject": {"name": "chat-1"}, "message": "Readiness probe failed: 503"},
        {"reason": "Unhealthy", "involvedObject": {"name": "other"}, "message": "not ours"},
        {"reason": "FailedCreate", "involvedObject": {"name": "chat-55d"}, "message": "violates PodSecurity"},
    ]
    assert troubles([pod()], events=events) == [
        "[Unhealthy] chat-1: Readiness probe failed: 503",
        "[FailedCreate] chat-55d: violates PodSecurity",
    ]


def test_healthy_and_leaving_pods_are_not_blamed() -> None:
    healthy = pod(conditions=[{"type": "Ready", "status": "True"}], lastState={"terminated": {"exitCode": 1}})
    leaving = pod("chat-2", state={"terminated": {"exitCode": 137}})
    leaving["metadata"]["deletionTimestamp"] = "2026-11-21T00:00:00Z"
    assert troubles([healthy, leaving]) == []


@pytest.mark.parametrize(
    ("asked", "status", "ready"),
    [
        ("condition=Available", "True", True),
        ("condition=Available", "False", False),
        ("condition=Available=False", "False", True),
        ("condition=Progressing", "True", False),
    ],
)
def test_of_a_custom_kind_the_condition_counts_that_it_names(asked: str, status: str, *, ready: bool) -> None:
    found = {
        "kind": "LeaderWorkerSet",
        "metadata": META | {"annotations": {"pulumi.com/waitFor": asked}},
        "status": {"conditions": [{"type": "Available", "status": status}]},
    }
    assert awaits.judge(found, ask_of()) == (ready, f"waiting for {asked}")
    assert awaits.judge({key: found[key] for key in ("kind", "metadata")}, ask_of())[0] is False


def test_of_a_custom_kind_that_names_no_condition_nothing_is_awaited() -> None:
    assert awaits.judge({"kind": "HTTPRoute", "metadata": META}, ask_of()) == (True, "")
