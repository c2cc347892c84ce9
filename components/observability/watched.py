"""A model as Prometheus sees it: the labels by which all that is measured of it is told from the rest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from components.engines import engine_of
from components.engines.profile import Metrics
from components.engines.queries import selected
from components.settings import Model

# Pods of a Deployment, NAME-HASH-ID, and of the groups of a LeaderWorkerSet, NAME-group-HASH-GROUP[-INDEX]; those of a
# model whose name goes on, and of seeding Jobs, have one part more.
POD: Final = "{name}-[a-z0-9]+-[a-z0-9]{{5}}"
POD_OF_GROUP: Final = "{name}-group-[a-z0-9]+-[0-9]+(-[0-9]+)?"


def scraped(namespace: str, name: str) -> dict[str, str]:
    """Labels of every sample of a model, whatever its engine: the PodMonitor gives it `model`, the operator the rest.

    An engine's own label of that name becomes `exported_model`.
    """
    return {"namespace": namespace, "model": name}


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A model, and where it is."""

    name: str
    model: Model
    namespace: str

    @cached_property
    def labels(self) -> dict[str, str]:
        """Of every sample, every recorded series and every alert of the model."""
        return scraped(self.namespace, self.name)

    @cached_property
    def metrics(self) -> Metrics | None:
        """What its engine counts; None where it counts nothing."""
        return engine_of(self.model).metrics

    @cached_property
    def pods(self) -> dict[str, str]:
        """Labels of what kube-state-metrics and others say of its replicas, whom our PodMonitor gives no label."""
        named = POD_OF_GROUP if self.model.nodes_per_replica > 1 else POD
        return {"namespace": self.namespace, "pod": f"=~{named.format(name=self.name)}"}

    def of(self, metric: str, **labels: str) -> str:
        """The metric of this model."""
        return selected(metric, {**self.labels, **labels})
