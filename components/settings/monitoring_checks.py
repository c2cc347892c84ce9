"""Watching that cannot work: a Prometheus that the network lets through to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from components.settings.mistakes import Mistake, quote, refused
from components.settings.stack import Settings


def _prometheus_gets_through(settings: Settings) -> Iterator[Mistake]:
    """Everybody but the namespace of the network policies is kept out of the engines."""
    policy, monitoring = settings.network_policy, settings.monitoring
    if monitoring is None or not policy.enabled or policy.prometheus_namespace == monitoring.prometheus.namespace:
        return
    given, wanted = policy.prometheus_namespace, monitoring.prometheus.namespace
    yield refused(
        ("networkPolicy", "prometheusNamespace"),
        f"{'none' if given is None else quote(given)} keeps the Prometheus of {wanted} from reading the models",
        allowed=f"{wanted}, as monitoring.prometheus.namespace says",
        example=wanted,
    )


def _prometheus_has_a_namespace_of_its_own(settings: Settings) -> Iterator[Mistake]:
    """That of the models lets none of its connections out, and none of its pods read the node."""
    monitoring = settings.monitoring
    if monitoring is None or monitoring.prometheus.namespace != settings.namespace:
        return
    yield refused(
        ("monitoring", "prometheus", "namespace"),
        f"{quote(settings.namespace)} is that of the models, whose pods may do less",
        allowed="another one than inference:namespace",
        example="monitoring",
    )


def _prometheus_is_not_installed_beside_the_scaler(settings: Settings) -> Iterator[Mistake]:
    """A namespace is made once, at the Pod Security level of what it is made for."""
    autoscaling, monitoring = settings.autoscaling, settings.monitoring
    if autoscaling is None or monitoring is None or not monitoring.prometheus.install:
        return
    wanted = monitoring.prometheus.namespace
    for key, addon in (("keda", autoscaling.keda), ("httpAddOn", autoscaling.http_add_on)):
        if addon is not None and addon.install and addon.namespace == wanted:
            yield refused(
                ("monitoring", "prometheus", "namespace"),
                f"{quote(wanted)} is that of autoscaling.{key}, and each namespace is made for one of them",
                allowed=f"another one than autoscaling.{key}.namespace",
                example="prometheus" if wanted == "monitoring" else "monitoring",
            )
            return


def _the_device_plugin_has_a_namespace_of_its_own(settings: Settings) -> Iterator[Mistake]:
    plugin = settings.device_plugin
    for key, addon in settings.charts.items():
        if plugin.enabled and addon.install and addon.namespace == plugin.namespace:
            yield refused(
                ("devicePlugin", "namespace"),
                f"{quote(plugin.namespace)} is that of {key}, and each namespace is made for one of them",
                allowed=f"another one than {key}.namespace",
                example="nvidia-device-plugin",
            )
            return


CHECKS: Final[tuple[Callable[[Settings], Iterator[Mistake]], ...]] = (
    _prometheus_gets_through,
    _prometheus_has_a_namespace_of_its_own,
    _prometheus_is_not_installed_beside_the_scaler,
    _the_device_plugin_has_a_namespace_of_its_own,
)
