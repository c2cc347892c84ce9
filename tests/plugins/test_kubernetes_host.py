"""The provider's answers to the engine, over an API server that lives in a dictionary."""

from __future__ import annotations

import copy
import json
from itertools import count
from typing import Any, cast

import grpc
import pytest
from pulumi.runtime.proto import engine_pb2, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from rehearsal.plugins import kubernetes_host
from rehearsal.plugins.api_server import ApiServer, Refused, Unreachable
from rehearsal.plugins.kubernetes_host import Kubernetes
from rehearsal.plugins.properties import UNKNOWN, dump, load, secret

URN = "urn:pulumi:dev::inference::kubernetes:{}::chat"
CONFIG_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "chat", "namespace": "ns"},
    "data": {"a": "1"},
}
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "chat", "namespace": "ns"}, "spec": {}}


class Aborted(Exception):
    """What the engine is told instead of an answer."""

    def __init__(self, message: str, metadata: Any) -> None:
        super().__init__(message)
        self.metadata = metadata


class Context:
    """A call's context that raises what it is aborted with."""

    metadata: Any = ()

    def set_trailing_metadata(self, metadata: Any) -> None:
        self.metadata = metadata

    def abort(self, code: grpc.StatusCode, message: str) -> None:
        raise Aborted(message, self.metadata)


class Shelf(ApiServer):
    """Objects by path; applies replace them whole, and `after` shapes what the server makes of an apply."""

    def __init__(self, **settings: str) -> None:
        super().__init__(settings)
        self.objects: dict[str, Any] = {}
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.after: dict[str, Any] = {}
        self.refusal: Exception | None = None

    def path(self, obj: dict[str, Any]) -> str:
        return f"/{obj['kind']}/{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"

    def ask(self, method: str, path: str, body: Any = None, content: str = "application/json", **query: Any) -> Any:
        self.asked.append((method, path, query))
        if self.refusal:
            raise self.refusal
        if method == "PATCH":
            applied = copy.deepcopy(body) | self.after
            applied["metadata"] = {"uid": "1", "generation": 1} | applied["metadata"]
            if "dryRun" not in query:
                self.objects[path] = applied
            return copy.deepcopy(applied)
        if path not in self.objects:
            raise Refused(404, f"{path} not found")
        return copy.deepcopy(self.objects.pop(path) if method == "DELETE" else self.objects[path])


class Engine:
    """What it is told to show."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def Log(self, request: engine_pb2.LogRequest) -> None:  # noqa: N802 - the protocol's name
        self.said.append(request.message)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Kubernetes:
    monkeypatch.setattr(kubernetes_host, "POLL_S", 0.01)
    provider = Kubernetes("127.0.0.1:1")
    provider.api = Shelf()
    provider.engine = Engine()  # type: ignore[assignment]
    return provider


def check(
    host: Kubernetes, news: dict[str, Any], olds: dict[str, Any] | None = None, kind: str = "core/v1:ConfigMap"
) -> Any:
    names = {"name": "chat", "type": f"kubernetes:{kind}", "randomSeed": b"seed"}
    request = pb.CheckRequest(**names, news=dump(news), olds=dump(olds or {}))  # type: ignore[arg-type]
    return load(host.Check(request, Context()).inputs)


def create(host: Kubernetes, inputs: dict[str, Any], *, preview: bool = False, timeout: float = 0) -> Any:
    request = pb.CreateRequest(urn=URN.format("x"), properties=dump(inputs), preview=preview, timeout=timeout)
    return host.Create(request, Context())


def diff(host: Kubernetes, state: Any, new: dict[str, Any], old: dict[str, Any] | None = None) -> Any:
    id_ = kubernetes_host.object_id(state)
    request = pb.DiffRequest(id=id_, urn=URN.format("x"), olds=dump(state), news=dump(new), old_inputs=dump(old or {}))
    return host.Diff(request, Context())


def test_an_unnamed_object_gets_a_name_of_its_own_and_keeps_it(host: Kubernetes) -> None:
    unnamed = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}
    first = check(host, unnamed)
    name = first["metadata"]["name"]
    assert name.startswith("chat-")
    assert len(name) == len("chat-") + 8
    assert first["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    assert check(host, unnamed, olds=first) == first


def test_a_given_name_and_namespace_stay(host: Kubernetes) -> None:
    assert check(host, CONFIG_MAP) == CONFIG_MAP


def test_a_secrets_data_and_the_inputs_that_are_kept_beside_the_object_are_secret_in_the_state(
    host: Kubernetes,
) -> None:
    inputs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}, "data": {"token": "aHVudGVyMg=="}}
    state = load(create(host, inputs).properties)
    assert state["data"] == secret(inputs["data"])
    assert state["__inputs"] == secret(inputs)


@pytest.mark.parametrize(
    "kind",
    [
        "core/v1:ConfigMapPatch",
        "core/v1:ConfigMapList",
        "helm.sh/v3:Release",
        "apiextensions.k8s.io/v1:CustomResourceDefinition",
    ],
)
def test_what_the_stand_in_cannot_do_is_refused_in_one_line(host: Kubernetes, kind: str) -> None:
    with pytest.raises(Aborted, match="beyond this stand-in"):
        check(host, CONFIG_MAP, kind=kind)


def test_a_condition_may_be_waited_for_and_a_path_may_not(host: Kubernetes) -> None:
    metadata = {"name": "chat", "namespace": "ns", "annotations": {"pulumi.com/waitFor": "condition=Available"}}
    kind = "leaderworkerset.x-k8s.io/v1:LeaderWorkerSet"
    assert check(host, {"kind": "LeaderWorkerSet", "metadata": metadata}, kind=kind)
    metadata["annotations"] = {"pulumi.com/waitFor": "jsonpath={.status.replicas}"}
    with pytest.raises(Aborted, match="beyond this stand-in"):
        check(host, {"kind": "LeaderWorkerSet", "metadata": metadata}, kind=kind)


def test_a_preview_of_a_create_changes_nothing_and_promises_no_status(host: Kubernetes) -> None:
    host.api.after = {"status": {}, "immutable": False}  # type: ignore[attr-defined]
    promised = create(host, CONFIG_MAP, preview=True)
    assert promised.id == ""
    assert load(promised.properties)["immutable"] is False
    assert "status" not in load(promised.properties)
    assert host.api.objects == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", [Unreachable("nobody answers"), Refused(404, 'namespaces "ns" not found')])
def test_a_preview_does_without_a_cluster_a_namespace_or_a_kind(host: Kubernetes, fault: Exception) -> None:
    host.api.refusal = fault  # type: ignore[attr-defined]
    promised = load(create(host, CONFIG_MAP, preview=True).properties)
    assert {key: promised[key] for key in CONFIG_MAP} == CONFIG_MAP
    create(host, CONFIG_MAP, preview=True)
    assert host.engine.said == (["nobody answers"] if isinstance(fault, Unreachable) else [])  # type: ignore[attr-defined]


def test_the_preview_of_a_replacement_is_no_conflict_with_the_owner_of_what_it_replaces(host: Kubernetes) -> None:
    state = load(create(host, CONFIG_MAP).properties)
    diff(host, state, CONFIG_MAP | {"data": {"a": "2"}}, CONFIG_MAP)
    create(host, CONFIG_MAP, preview=True)
    forced = [query["force"] for _, _, query in host.api.asked if "dryRun" in query]  # type: ignore[attr-defined]
    assert forced == ["true", "true"]


def test_a_preview_with_unknowns_asks_nobody(host: Kubernetes) -> None:
    inputs = CONFIG_MAP | {"data": {"a": UNKNOWN}}
    assert load(create(host, inputs, preview=True).properties)["data"] == {"a": UNKNOWN}
    assert host.api.asked == []  # type: ignore[attr-defined]


def test_a_create_of_what_exists_is_an_error_unless_upserts_are_asked_for(host: Kubernetes) -> None:
    host.api.objects["/ConfigMap/ns/chat"] = CONFIG_MAP  # type: ignore[attr-defined]
    with pytest.raises(Aborted, match="ConfigMap ns/chat already exists"):
        create(host, CONFIG_MAP)
    host.upserts = True
    assert create(host, CONFIG_MAP).id == "ns/chat"


def test_an_object_that_does_not_become_ready_goes_into_the_state_with_the_reason(host: Kubernetes) -> None:
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}
    host.api.after = {"status": {"conditions": [failed]}}  # type: ignore[attr-defined]
    with pytest.raises(
        Aborted, match=r"Job ns/chat exists, but the wait for it failed: \[BackoffLimitExceeded\]"
    ) as told:
        create(host, JOB)
    ((name, value),) = told.value.metadata
    status, detail = status_pb2.Status.FromString(value), pb.ErrorResourceInitFailed()
    assert name == "grpc-status-details-bin"
    assert status.details[0].Unpack(detail)
    assert detail.id == "ns/chat"
    assert load(detail.properties)["__inputs"] == secret(JOB)
    assert load(detail.inputs) == JOB


@pytest.mark.parametrize("how", ["timed out", "was cancelled"])
def test_a_wait_ends_with_the_custom_timeout_or_when_the_engine_cancels(host: Kubernetes, how: str) -> None:
    if how == "was cancelled":
        host.cancelled.set()
    with pytest.raises(Aborted, match=f"the wait for it {how}"):
        create(host, JOB, timeout=0.05 if how == "timed out" else 60)


@pytest.mark.parametrize("answer", [Unreachable("nobody answers"), Refused(500, "etcd is away")])
def test_a_wait_goes_on_when_the_api_server_restarts(host: Kubernetes, answer: Exception) -> None:
    shelf, looks = cast("Shelf", host.api), count()
    ask = shelf.ask

    def restarting(method: str, path: str, *rest: Any, **query: Any) -> Any:
        looked = next(looks)
        if 1 < looked < 5:
            raise answer
        found = ask(method, path, *rest, **query)
        done = {"conditions": [{"type": "Complete", "status": "True"}]} if looked >= 5 else {}
        return found | {"status": done}

    shelf.ask = restarting  # type: ignore[method-assign]
    assert create(host, JOB, timeout=60).id == "ns/chat"
    assert next(looks) >= 5


def test_a_wait_ends_when_the_object_may_not_be_looked_at(host: Kubernetes) -> None:
    shelf, looks = cast("Shelf", host.api), count()
    ask = shelf.ask

    def forbidding(method: str, path: str, *rest: Any, **query: Any) -> Any:
        if next(looks) > 1:
            raise Refused(403, "you may not")
        return ask(method, path, *rest, **query)

    shelf.ask = forbidding  # type: ignore[method-assign]
    with pytest.raises(Aborted, match="you may not"):
        create(host, JOB, timeout=60)


def test_an_annotation_skips_the_wait(host: Kubernetes) -> None:
    metadata = JOB["metadata"] | {"annotations": {"pulumi.com/skipAwait": "true"}}  # type: ignore[operator]
    assert create(host, JOB | {"metadata": metadata}).id == "ns/chat"


def test_no_change_is_found_without_asking_the_cluster(host: Kubernetes) -> None:
    state = load(create(host, CONFIG_MAP).properties)
    host.api.asked.clear()  # type: ignore[attr-defined]
    assert diff(host, state, CONFIG_MAP, CONFIG_MAP).changes == pb.DiffResponse.DIFF_NONE
    assert host.api.asked == []  # type: ignore[attr-defined]


def test_a_change_of_a_config_map_replaces_it_and_first_deletes_one_with_a_name_of_the_users(host: Kubernetes) -> None:
    state = load(create(host, CONFIG_MAP).properties)
    new = CONFIG_MAP | {"data": {"a": "2"}}
    answer = diff(host, state, new, CONFIG_MAP)
    assert (list(answer.replaces), answer.deleteBeforeReplace) == (["data.a"], True)
    assert answer.detailedDiff["data.a"].kind == pb.PropertyDiff.UPDATE_REPLACE
    autonamed = new | {"metadata": new["metadata"] | {"annotations": {"pulumi.com/autonamed": "true"}}}  # type: ignore[operator]
    assert not diff(host, state, autonamed, CONFIG_MAP).deleteBeforeReplace
    renamed = new | {"metadata": {"name": "other", "namespace": "ns"}}
    assert not diff(host, state, renamed, CONFIG_MAP).deleteBeforeReplace


def test_a_change_that_the_server_would_undo_is_none(host: Kubernetes) -> None:
    state = load(create(host, CONFIG_MAP).properties)
    host.api.after = {"data": {"a": "1"}}  # type: ignore[attr-defined]
    assert diff(host, state, CONFIG_MAP | {"data": {"a": "1 "}}, CONFIG_MAP).changes == pb.DiffResponse.DIFF_NONE


def test_a_failed_job_is_replaced_where_its_annotation_asks_for_it(host: Kubernetes) -> None:
    metadata = JOB["metadata"] | {"annotations": {"pulumi.com/replaceUnready": "true"}}  # type: ignore[operator]
    inputs = JOB | {"metadata": metadata}
    complete = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    host.api.after = complete  # type: ignore[attr-defined]
    state = load(create(host, inputs).properties)
    assert diff(host, state, inputs, inputs).changes == pb.DiffResponse.DIFF_NONE
    host.api.objects["/Job/ns/chat"].pop("status")  # type: ignore[attr-defined]
    assert diff(host, state, inputs, inputs).deleteBeforeReplace


def test_a_read_reports_drift_in_the_inputs_and_what_is_gone_as_gone(host: Kubernetes) -> None:
    state = load(create(host, CONFIG_MAP).properties)
    request = pb.ReadRequest(id="ns/chat", urn=URN.format("x"), properties=dump(state), inputs=dump(CONFIG_MAP))
    host.api.objects["/ConfigMap/ns/chat"]["data"] = {"a": "9", "b": "not ours"}  # type: ignore[attr-defined]
    assert load(host.Read(request, Context()).inputs)["data"] == {"a": "9"}
    host.api.objects.clear()  # type: ignore[attr-defined]
    assert host.Read(request, Context()).id == ""


def test_an_import_is_left_to_the_official_plugin(host: Kubernetes) -> None:
    with pytest.raises(Aborted, match=r"^an import, .* is beyond this stand-in$"):
        host.Read(pb.ReadRequest(id="ns/chat", type="kubernetes:core/v1:ConfigMap"), Context())


def test_a_delete_is_in_the_foreground_and_waits_until_the_object_is_gone(host: Kubernetes) -> None:
    state = load(create(host, CONFIG_MAP).properties)
    host.Delete(pb.DeleteRequest(id="ns/chat", urn=URN.format("x"), properties=dump(state)), Context())
    assert host.api.objects == {}  # type: ignore[attr-defined]
    host.api.asked.clear()  # type: ignore[attr-defined]
    host.Delete(pb.DeleteRequest(id="ns/chat", urn=URN.format("x"), properties=dump(state)), Context())
    assert [method for method, _, _ in host.api.asked] == ["GET"]  # type: ignore[attr-defined]


def test_an_update_keeps_the_owner_of_the_fields(host: Kubernetes) -> None:
    state = load(create(host, CONFIG_MAP).properties)
    new = CONFIG_MAP | {"data": {"a": "2"}}
    request = pb.UpdateRequest(id="ns/chat", urn=URN.format("x"), olds=dump(state), news=dump(new))
    updated = load(host.Update(request, Context()).properties)
    assert updated["data"] == {"a": "2"}
    assert updated["__fieldManager"] == state["__fieldManager"]
    applied = [query for method, _, query in host.api.asked if method == "PATCH"]  # type: ignore[attr-defined]
    assert {query["fieldManager"] for query in applied} == {state["__fieldManager"]}
    assert applied[-1]["force"] == "false"


@pytest.mark.parametrize("preview", [False, True])
def test_an_update_leaves_what_is_ignored_to_a_scaler(host: Kubernetes, preview: bool) -> None:  # noqa: FBT001 - of the test
    inputs = {"apiVersion": "x/v1", "kind": "Scaled", "metadata": {"name": "chat"}, "spec": {"replicas": 2, "a": 1}}
    state = load(create(host, inputs).properties)
    host.api.objects["/Scaled//chat"]["spec"]["replicas"] = 4  # type: ignore[attr-defined]
    new = inputs | {"spec": {"replicas": 2, "a": 2}}
    request = pb.UpdateRequest(
        id="chat",
        urn=URN.format("x"),
        olds=dump(state),
        news=dump(new),
        ignoreChanges=["spec.replicas"],
        preview=preview,
    )
    updated = load(host.Update(request, Context()).properties)
    # What a real server makes of it keeps the scaler's number.
    assert updated["spec"] == {"a": 2}


def kubeconfig(server: str) -> str:
    cluster = {"name": "c", "cluster": {"server": server}}
    context = {"name": "c", "context": {"cluster": "c", "user": "c"}}
    content = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context]}
    return json.dumps({**content, "users": [{"name": "c", "user": {"token": "t"}}], "current-context": "c"})


def test_a_kubeconfig_is_taken_by_its_content() -> None:
    with pytest.raises(Unreachable, match=r"^no Kubernetes at http://127.0.0.1:9: "):
        ApiServer({"kubeconfig": kubeconfig("http://127.0.0.1:9")}).ask("GET", "/version")
