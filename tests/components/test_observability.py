"""What Prometheus' operator and Grafana are told: whom to read, under which labels, and what to show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from components.observability import watched
from components.observability.dashboard import dashboard
from tests.components.program import Recorder, plain, run_program
from tests.components.prometheus import WATCHED, Rules, programs, queries
from tests.components.samples import CUSTOM, SMALLEST, changed, settings
from tests.components.test_scorecard import served_by


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return run_program(WATCHED)


def objects(recorder: Recorder, kind: str) -> dict[str, Any]:
    return {each.name: plain(each.inputs) for each in recorder.of(kind)}


def endpoint(monitor: dict[str, Any]) -> dict[str, Any]:
    (found,) = monitor["spec"]["podMetricsEndpoints"]
    assert isinstance(found, dict)
    return found


def board(config: dict[str, Any], *, dcgm: bool = False) -> dict[str, Any]:
    of = settings(config)
    return dashboard(of.namespace, watched(of), dcgm=dcgm)


@pytest.mark.parametrize("config", [SMALLEST, CUSTOM], ids=["smallest", "custom"])
def test_nobody_is_watched_unless_the_settings_say_so(config: dict[str, Any]) -> None:
    recorder = run_program(config)
    assert [*recorder.of("Observability"), *recorder.of("PodMonitor"), *recorder.of("PrometheusRule")] == []
    assert recorder.of("ConfigMap") == []


def test_types_and_names_are_stable(recorder: Recorder) -> None:
    """A change here replaces resources in every stack: it needs an alias."""
    made = {each.urn.split("::", 2)[2] for each in recorder.registrations if "Observability$" in each.urn}
    below = "inference:index:Observability$kubernetes"
    assert made == {
        f"{below}:monitoring.coreos.com/v1:PodMonitor::chat-engine",
        f"{below}:monitoring.coreos.com/v1:PrometheusRule::chat-engine",
        f"{below}:monitoring.coreos.com/v1:PodMonitor::keda-operator",
        f"{below}:monitoring.coreos.com/v1:PrometheusRule::keda-operator",
        f"{below}:core/v1:ConfigMap::inference-dashboard",
    }


def test_a_monitor_selects_the_replicas_and_a_port_that_they_have(recorder: Recorder) -> None:
    template = plain(recorder.one("Deployment").inputs)["spec"]["template"]
    monitor = objects(recorder, "PodMonitor")["chat-engine"]
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= template["metadata"]["labels"].items()
    (seeding,) = [each for each in recorder.of("Job") if "-seed-" in each.name]
    assert not wanted.items() <= plain(seeding.inputs)["spec"]["template"]["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    assert endpoint(monitor)["port"] in {port["name"] for port in container["ports"]}
    assert monitor["metadata"]["namespace"] == plain(recorder.one("Deployment").inputs)["metadata"]["namespace"]


def test_every_sample_has_the_models_name_before_it_is_scraped(recorder: Recorder) -> None:
    """A label of the target, so that `up` has it as well."""
    found = endpoint(objects(recorder, "PodMonitor")["chat-engine"])
    assert {"action": "replace", "targetLabel": "model", "replacement": "chat"} in found["relabelings"]
    assert "metricRelabelings" not in found
    assert "honorLabels" not in found


@pytest.mark.parametrize(
    ("engine", "path", "port"),
    [
        ("vllm", "/metrics", None),
        ("nim", "/v1/metrics", None),
        ("sglang", "/metrics", None),
        ("tgi", "/metrics", None),
        ("tensorrt-llm", "/metrics", "8002"),
    ],
)
def test_each_engine_is_read_where_it_counts(engine: str, path: str, port: str | None) -> None:
    found = endpoint(objects(run_program(served_by(engine)), "PodMonitor")["chat-engine"])
    assert found["path"] == path
    moved = [each for each in found["relabelings"] if each["targetLabel"] == "__address__"]
    addresses = [re.sub(each["regex"], each["replacement"].replace("$1", r"\1"), "10.0.0.7:8000") for each in moved]
    assert addresses == ([f"10.0.0.7:{port}"] if port else [])


def test_an_engine_that_counts_nothing_is_not_read() -> None:
    config = served_by("tensorrt-llm")
    for key in ("triton", "image"):
        config["models"]["chat"].pop(key)
    recorder = run_program(config)
    assert objects(recorder, "PodMonitor") == {}
    assert set(objects(recorder, "PrometheusRule")) == {"chat-engine"}
    assert [panel["title"] for panel in board(config)["panels"]] == [
        *("Scorecard", "Worst signal: 1 is well, 0 a severe breach", "Signals", "Alerts")
    ]


def test_the_labels_of_the_settings_are_those_by_which_prometheus_finds_them() -> None:
    config = changed(WATCHED, "monitoring", {"labels": {"team": "search"}, "scrapeSeconds": 15})
    recorder = run_program(config)
    for kind in ("PodMonitor", "PrometheusRule"):
        for each in objects(recorder, kind).values():
            assert each["metadata"]["labels"]["team"] == "search"
            assert "release" not in each["metadata"]["labels"]
    assert endpoint(objects(recorder, "PodMonitor")["chat-engine"])["interval"] == "15s"
    released = objects(run_program(WATCHED), "PodMonitor")["chat-engine"]["metadata"]["labels"]
    assert released["release"] == "kube-prometheus-stack"


def test_rules_are_about_the_namespace_of_the_settings() -> None:
    recorder = run_program(WATCHED | {"namespace": "llm"})
    for each in objects(recorder, "PrometheusRule").values():
        for rule in each["spec"]["groups"][0]["rules"]:
            assert rule["labels"]["namespace"] == "llm"
            assert "inference" not in rule["expr"].replace("model:inference_", "")


def test_keda_is_read_in_its_namespace_and_keeps_the_labels_of_what_it_scales() -> None:
    config = changed(WATCHED, "autoscaling", {"keda": {"namespace": "scaling"}})
    found = objects(run_program(config), "PodMonitor")["keda-operator"]["spec"]
    assert found["namespaceSelector"] == {"matchNames": ["scaling"]}
    assert found["selector"] == {"matchLabels": {"app": "keda-operator"}}
    assert found["podMetricsEndpoints"] == [{"portNumber": 8080, "path": "/metrics", "honorLabels": True}]


def test_without_a_scaler_keda_is_nobodys_concern() -> None:
    recorder = run_program(SMALLEST | {"monitoring": {}})
    assert set(objects(recorder, "PodMonitor")) == set(objects(recorder, "PrometheusRule")) == {"chat-engine"}


def test_our_own_gpu_exporter_is_read_by_the_labels_that_it_has() -> None:
    recorder = run_program(WATCHED | {"devicePlugin": {"dcgmExporter": True}})
    spec = objects(recorder, "PodMonitor")["dcgm-exporter"]["spec"]
    exporter = objects(recorder, "DaemonSet")["dcgm-exporter"]
    assert spec["selector"]["matchLabels"].items() <= exporter["spec"]["template"]["metadata"]["labels"].items()
    assert spec["namespaceSelector"]["matchNames"] == [exporter["metadata"]["namespace"]]
    (container,) = exporter["spec"]["template"]["spec"]["containers"]
    (endpoint,) = spec["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}
    assert endpoint["honorLabels"] is True


def test_what_the_operator_defines_waits_for_the_chart_that_brings_it() -> None:
    recorder = run_program(changed(WATCHED, "monitoring", {"prometheus": {"install": True}}))
    chart = next(each for each in recorder.of("Release") if each.name == "kube-prometheus-stack")
    made = [*recorder.of("PodMonitor"), *recorder.of("PrometheusRule")]
    assert len(made) == 4
    assert all(chart.urn in each.depends_on for each in made)


def test_the_dashboard_is_a_config_map_that_grafanas_sidecar_takes(recorder: Recorder) -> None:
    made = plain(recorder.one("ConfigMap").inputs)
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert made["metadata"]["namespace"] == "inference"
    (text,) = made["data"].values()
    assert json.loads(text) == board(WATCHED)


def test_the_dashboard_goes_where_the_settings_say_or_nowhere() -> None:
    there = changed(WATCHED, "monitoring", {"grafana": {"namespace": "grafana", "labels": {"dashboards": "llm"}}})
    metadata = plain(run_program(there).one("ConfigMap").inputs)["metadata"]
    assert (metadata["namespace"], metadata["labels"]["dashboards"]) == ("grafana", "llm")
    assert run_program(changed(WATCHED, "monitoring", {"grafana": {"enabled": False}})).of("ConfigMap") == []


def test_the_dashboard_is_as_reviewed(snapshot: SnapshotAssertion) -> None:
    assert board(WATCHED, dcgm=True) == snapshot(extension_class=JSONSnapshotExtension)


def test_every_query_is_of_the_chosen_models_or_replicas() -> None:
    for panel in board(WATCHED, dcgm=True)["panels"]:
        for target in panel.get("targets", ()):
            assert "$model" in target["expr"] or "$replica" in target["expr"], target


def test_panels_lie_side_by_side_and_none_over_another() -> None:
    panels = board(WATCHED, dcgm=True)["panels"]
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert taken.isdisjoint(cells)
        taken |= cells
    assert max(x for x, _ in taken) == 23
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_engines_of_a_stack_share_the_panels_of_replicas() -> None:
    config = changed(served_by("sglang"), "models.draft", SMALLEST["models"]["chat"])
    shown = {panel["title"]: panel for panel in board(config)["panels"]}
    asked = [target["expr"] for target in shown["Requests: wait, by replica"]["targets"]]
    assert ["sglang:num_queue_reqs" in asked[0], "vllm:num_requests_waiting" in asked[1]] == [True, True]


@pytest.mark.engine
@pytest.mark.parametrize("engine", ["vllm", "sglang", "tgi", "tensorrt-llm"])
def test_prometheus_can_read_every_query_of_the_dashboard(engine: str, tmp_path: Path) -> None:
    config = changed(served_by(engine), "models.chat.replicas", {"min": 1, "max": 4}) | {"autoscaling": {}}
    asked = queries(board(config, dcgm=True))
    assert len(asked) > 20
    file = tmp_path / "queries.json"
    records = [{"record": f"query:{index}", "expr": query} for index, query in enumerate(asked)]
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": records}]}))
    checked = Rules(promtool=programs() / "promtool", files=(file,)).check()
    assert (checked.returncode, checked.stderr) == (0, "")
