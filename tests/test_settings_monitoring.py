"""Settings of who watches the models and what they are held to: defaults and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from components.settings import SettingsError, parse
from tests.components.samples import SMALLEST, changed, chat, raw, settings


def of(**monitoring: Any) -> dict[str, Any]:
    return SMALLEST | {"monitoring": monitoring}


def mistakes(config: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse(raw(config))
    return [str(each) for each in error.value.mistakes]


def test_without_the_section_nobody_watches() -> None:
    assert settings().monitoring is None


def test_the_address_is_that_of_the_operators_own_service_in_the_namespace_of_prometheus() -> None:
    config = of(prometheus={"namespace": "metrics"}) | {"networkPolicy": {"prometheusNamespace": "metrics"}}
    monitoring = settings(config).monitoring
    assert monitoring is not None
    assert monitoring.prometheus.address == "http://prometheus-operated.metrics.svc.cluster.local:9090"
    given = settings(of(prometheus={"address": "https://prometheus.example.com/tenant"})).monitoring
    assert given is not None
    assert given.prometheus.address == "https://prometheus.example.com/tenant"


@pytest.mark.parametrize(("kind", "seconds"), [("chat", 0.5), ("rag", 5.0)])
def test_the_first_token_of_a_kind_of_model_has_its_time(kind: str, seconds: float) -> None:
    assert chat(changed(SMALLEST, "models.chat.objectives", {"kind": kind})).objectives.ttft_p99 == seconds


def test_objectives_have_defaults() -> None:
    objectives = chat().objectives
    assert (objectives.ttft_p99, objectives.queue, objectives.error_budget) == (0.5, 100, 0.001)
    assert (objectives.kv_cache.warning, objectives.kv_cache.critical) == (0.85, 0.95)


@pytest.mark.parametrize(
    ("config", "mistake"),
    [
        pytest.param(
            SMALLEST
            | {
                "autoscaling": {"keda": {"install": True, "namespace": "gpus"}},
                "monitoring": {},
                "devicePlugin": {"namespace": "gpus"},
            },
            'inference:devicePlugin.namespace: "gpus" is that of autoscaling.keda, and each namespace is made for one '
            "of them; allowed: another one than autoscaling.keda.namespace; set it with: pulumi config set --path "
            "'inference:devicePlugin.namespace' nvidia-device-plugin",
            id="the device plugin where KEDA is installed",
        ),
        pytest.param(
            changed(SMALLEST, "models.chat.objectives", {"kvCache": {"warning": 0.95}}),
            "inference:models.chat.objectives.kvCache.critical: 0.95 is not above warning 0.95; allowed: a number "
            "above kvCache.warning, to 1; set it with: pulumi config set --path "
            "'inference:models.chat.objectives.kvCache.critical' 0.975",
            id="no room between the two",
        ),
        pytest.param(
            changed(SMALLEST, "models.chat.objectives", {"availability": 0.5}),
            "inference:models.chat.objectives.availability: 0.5 is less than 0.95; allowed: a number from 0.95 to "
            "0.99999; set it with: pulumi config set --path 'inference:models.chat.objectives.availability' 0.999",
            id="an availability that no alert can tell from none",
        ),
        pytest.param(
            of(prometheus={"namespace": "metrics"}),
            'inference:networkPolicy.prometheusNamespace: "monitoring" keeps the Prometheus of metrics from reading '
            "the models; allowed: metrics, as monitoring.prometheus.namespace says; set it with: pulumi config set "
            "--path 'inference:networkPolicy.prometheusNamespace' metrics",
            id="a Prometheus that nobody lets in",
        ),
        pytest.param(
            of() | {"networkPolicy": {"prometheusNamespace": None}},
            "inference:networkPolicy.prometheusNamespace: none keeps the Prometheus of monitoring from reading the "
            "models; allowed: monitoring, as monitoring.prometheus.namespace says; set it with: pulumi config set "
            "--path 'inference:networkPolicy.prometheusNamespace' monitoring",
            id="no Prometheus let in",
        ),
        pytest.param(
            of(prometheus={"install": True, "namespace": "keda"})
            | {"autoscaling": {"keda": {"install": True}}, "networkPolicy": {"prometheusNamespace": "keda"}},
            'inference:monitoring.prometheus.namespace: "keda" is that of autoscaling.keda, and each namespace is made '
            "for one of them; allowed: another one than autoscaling.keda.namespace; set it with: pulumi config set "
            "--path 'inference:monitoring.prometheus.namespace' monitoring",
            id="two charts that each make the same namespace",
        ),
        pytest.param(
            of(prometheus={"namespace": "inference"}) | {"networkPolicy": {"prometheusNamespace": "inference"}},
            'inference:monitoring.prometheus.namespace: "inference" is that of the models, whose pods may do less; '
            "allowed: another one than inference:namespace; set it with: pulumi config set --path "
            "'inference:monitoring.prometheus.namespace' monitoring",
            id="Prometheus among the models",
        ),
        pytest.param(
            of(prometheus={"address": "https://admin:hunter2@prometheus.example.com"}),
            None,
            id="a password in the address",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_the_way_out(config: dict[str, Any], mistake: str | None) -> None:
    (found,) = mistakes(config)
    assert "hunter2" not in found
    assert mistake is None or found == mistake


def test_policies_that_are_off_keep_nobody_out() -> None:
    config = of(prometheus={"namespace": "metrics"}) | {"networkPolicy": {"enabled": False}}
    assert settings(config).monitoring is not None
