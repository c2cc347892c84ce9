"""What is installed where a cluster has none of it: pinned, where it is wanted, and before what is of its kinds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.program import Recorder, Registration, plain, run_program
from tests.components.samples import AWS_ATTACHED, SMALLEST, changed

ALL = {
    "autoscaling": {"keda": {"install": True, "values": {"prometheus": {"operator": {"port": 8081}}}}}
    | {"httpAddOn": {"install": True}},
    "monitoring": {"prometheus": {"install": True}},
}
AMP = {"kind": "aws"}


def scaled(sample: dict[str, Any], sections: dict[str, Any]) -> dict[str, Any]:
    config = changed({**sample, **sections}, "models.chat.replicas", {"min": 1, "max": 2})
    return changed(config, "gpuPools.l40s.max", 4) if "l40s" in config["gpuPools"] else config


@pytest.fixture(scope="module")
def installed() -> Recorder:
    return run_program(scaled(SMALLEST, ALL))


def release(recorder: Recorder, name: str) -> Registration:
    (found,) = [each for each in recorder.of("Release") if each.name == name]
    return found


def test_nothing_is_installed_unless_a_setting_says_so() -> None:
    assert run_program(scaled(SMALLEST, {"autoscaling": {}, "monitoring": {}})).of("Release") == []


def test_each_chart_is_one_exact_version_of_its_own_repository(installed: Recorder) -> None:
    found = {
        each.name: (
            each.inputs["chart"],
            each.inputs["version"],
            each.inputs["namespace"],
            each.inputs["repositoryOpts"]["repo"],
        )
        for each in installed.of("Release")
    }
    keda = "https://kedacore.github.io/charts"
    assert found["keda"] == ("keda", "2.21.0", "keda", keda)
    assert found["keda-add-ons-http"] == ("keda-add-ons-http", "0.12.0", "keda", keda)
    chart, version, home, repository = found["kube-prometheus-stack"]
    assert (chart, home) == ("kube-prometheus-stack", "monitoring")
    assert repository == "https://prometheus-community.github.io/helm-charts"
    assert version.count(".") == 2
    assert len(found) == 3


def test_another_address_and_version_are_the_users() -> None:
    mirror = {"install": True, "repository": "oci://registry.example.com/charts", "version": "2.21.1"}
    made = release(run_program(scaled(SMALLEST, {"autoscaling": {"keda": mirror}, "monitoring": {}})), "keda")
    # Helm finds no index in a registry.
    assert made.inputs["chart"] == "oci://registry.example.com/charts/keda"
    assert "repositoryOpts" not in made.inputs
    assert made.inputs["version"] == "2.21.1"
    mirror = {"install": True, "repository": "https://charts.example.com", "version": "2.21.1"}
    made = release(run_program(scaled(SMALLEST, {"autoscaling": {"keda": mirror}, "monitoring": {}})), "keda")
    assert (made.inputs["chart"], made.inputs["repositoryOpts"]) == ("keda", {"repo": "https://charts.example.com"})


def test_values_of_the_user_lie_over_those_of_the_program(installed: Recorder) -> None:
    values = plain(release(installed, "keda").inputs)["values"]
    assert values == {"prometheus": {"operator": {"enabled": True, "port": 8081}}}


def test_what_is_of_their_kinds_comes_after_them(installed: Recorder) -> None:
    """A fresh cluster comes up in one go: no input says so."""
    keda, http = release(installed, "keda"), release(installed, "keda-add-ons-http")
    prometheus = release(installed, "kube-prometheus-stack")
    assert keda.urn in http.depends_on
    assert {keda.urn, http.urn} <= set(installed.one("ScaledObject").depends_on)
    watched = [*installed.of("PodMonitor"), *installed.of("PrometheusRule")]
    assert watched
    assert all(prometheus.urn in each.depends_on for each in watched)


def test_signing_in_comes_after_keda_as_well() -> None:
    monitoring = {"prometheus": {"auth": {"kind": "bearer", "secret": "prometheus"}}}
    recorder = run_program(scaled(SMALLEST, ALL | {"monitoring": monitoring}))
    assert release(recorder, "keda").urn in recorder.one("TriggerAuthentication").depends_on


def test_each_has_a_namespace_that_is_made_once(installed: Recorder) -> None:
    levels = {
        each.name: plain(each.inputs)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for each in installed.of("Namespace")
    }
    assert (levels["keda"], levels["monitoring"], levels["inference"]) == ("baseline", "privileged", "restricted")
    assert len([each for each in installed.of("Namespace") if each.name == "keda"]) == 1


def test_beside_a_keda_that_is_there_the_add_on_goes_into_its_namespace_or_into_one_of_its_own() -> None:
    beside = run_program(scaled(SMALLEST, ALL | {"autoscaling": {"httpAddOn": {"install": True}}}))
    assert "keda" not in {each.name for each in beside.of("Namespace")}
    apart = {"httpAddOn": {"install": True, "namespace": "hold"}}
    found = run_program(scaled(SMALLEST, ALL | {"autoscaling": apart}))
    assert "hold" in {each.name for each in found.of("Namespace")}


def test_everything_installed_goes_to_the_cluster_of_the_settings(installed: Recorder) -> None:
    provider = installed.one("providers:kubernetes")
    assert {each.provider for each in installed.of("Release")} == {f"{provider.urn}::cluster-id"}


def test_on_eks_nobody_watches_the_control_plane_that_nobody_reaches(installed: Recorder) -> None:
    values = plain(release(run_program(scaled(AWS_ATTACHED, ALL)), "kube-prometheus-stack").inputs)["values"]
    assert values == {name: {"enabled": False} for name in ("kubeControllerManager", "kubeEtcd", "kubeScheduler")}
    assert plain(release(installed, "kube-prometheus-stack").inputs).get("values", {}) == {}


def test_a_managed_prometheus_is_asked_with_a_role_that_keda_has_before_it_starts() -> None:
    recorder = run_program(scaled(AWS_ATTACHED, ALL | {"monitoring": {"prometheus": {"auth": AMP}}}))
    (association,) = [each for each in recorder.of("PodIdentityAssociation") if each.name == "keda-operator"]
    assert (association.inputs["namespace"], association.inputs["serviceAccount"]) == ("keda", "keda-operator")
    (policy,) = [each for each in recorder.of("RolePolicy") if each.name == "prod-keda"]
    assert '"aps:QueryMetrics"' in policy.inputs["policy"]
    assert "arn:aws:aps:us-west-2:*:workspace/*" in policy.inputs["policy"]
    assert {association.urn, policy.urn} <= set(release(recorder, "keda").depends_on)


def test_a_keda_that_is_there_gets_no_role() -> None:
    sections = {"autoscaling": {}, "monitoring": {"prometheus": {"auth": AMP}}}
    recorder = run_program(scaled(AWS_ATTACHED, sections))
    assert [each.name for each in recorder.of("PodIdentityAssociation")] == []
