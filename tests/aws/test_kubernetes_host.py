"""The kubernetes provider where there is no cluster: previews of AWS stacks, and their rehearsals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from rehearsal.aws.kubernetes_host import RENDER, WithoutCluster
from rehearsal.plugins.properties import dump, load

URN = "urn:pulumi:dev::inference::kubernetes:core/v1:ConfigMap::chat"
CONFIG_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "chat", "namespace": "ns"},
    "data": {"a": "1"},
}
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "chat", "namespace": "ns"}, "spec": {}}
KUBECONFIG = json.dumps({"clusters": [{"name": "c", "cluster": {"server": "https://prod.eks.invalid"}}]})


class Engine:
    """The engine's log."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def Log(self, request: Any) -> None:  # noqa: N802 - the engine's name for it
        self.said.append(request.message)


@pytest.fixture
def host() -> WithoutCluster:
    host = WithoutCluster("127.0.0.1:1")
    host.engine = Engine()  # type: ignore[assignment]
    return host


def configure(host: WithoutCluster) -> None:
    host.Configure(pb.ConfigureRequest(variables={"kubernetes:config:kubeconfig": KUBECONFIG}), None)


def create(host: WithoutCluster, inputs: Any, *, preview: bool = False) -> Any:
    return host.Create(pb.CreateRequest(urn=URN, properties=dump(inputs), preview=preview), None)


def test_a_placeholder_for_a_cluster_is_never_asked(host: WithoutCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", None)  # nor is the command that would give its credentials
    configure(host)
    assert create(host, CONFIG_MAP, preview=True).id == ""
    create(host, JOB, preview=True)
    (said,) = host.engine.said  # type: ignore[attr-defined]
    assert said.startswith("no Kubernetes is asked: https://prod.eks.invalid stands for")


def test_a_rehearsal_writes_objects_to_a_folder_and_awaits_none(
    host: WithoutCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RENDER, str(tmp_path))
    configure(host)
    create(host, CONFIG_MAP, preview=True)
    assert not [*tmp_path.iterdir()]
    state = create(host, CONFIG_MAP).properties
    create(host, JOB)
    assert {path.name for path in tmp_path.iterdir()} == {"batch-v1-job-ns-chat.json", "v1-configmap-ns-chat.json"}
    assert json.loads((tmp_path / "v1-configmap-ns-chat.json").read_text()) == CONFIG_MAP
    inputs = dump(CONFIG_MAP)
    same = host.Diff(pb.DiffRequest(urn=URN, olds=state, old_inputs=inputs, news=inputs), None)
    assert same.changes == pb.DiffResponse.DIFF_NONE
    host.Delete(pb.DeleteRequest(id="ns/chat", urn=URN, properties=state), None)
    assert [path.name for path in tmp_path.iterdir()] == ["batch-v1-job-ns-chat.json"]


def test_an_unready_job_is_not_replaced_where_nothing_runs(
    host: WithoutCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RENDER, str(tmp_path))
    configure(host)
    metadata = {"name": "chat", "namespace": "ns", "annotations": {"pulumi.com/replaceUnready": "true"}}
    job = dump(JOB | {"metadata": metadata})
    state = host.Create(pb.CreateRequest(urn=URN, properties=job), None).properties
    again = host.Diff(pb.DiffRequest(urn=URN, olds=state, old_inputs=job, news=job), None)
    assert [*again.replaces] == []


def test_a_helm_release_is_taken_for_an_object_with_a_name_that_stays(host: WithoutCluster) -> None:
    configure(host)
    chart = {"chart": "cluster-autoscaler", "namespace": "kube-system"}
    names: Any = {"type": "kubernetes:helm.sh/v3:Release", "name": "autoscaler", "randomSeed": b"seed"}
    checked = host.Check(pb.CheckRequest(**names, news=dump(chart)), None).inputs
    promised = load(create(host, load(checked), preview=True).properties)
    assert (promised["chart"], promised["name"]) == ("cluster-autoscaler", "autoscaler-73656564")
    again: Any = {**names, "randomSeed": b"more"}
    assert load(host.Check(pb.CheckRequest(**again, news=dump(chart), olds=checked), None).inputs) == load(checked)
