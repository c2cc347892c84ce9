"""Asking the Prometheus of an embedded cluster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from rehearsal.fault import Fault
from rehearsal.kubectl import Kubectl

POD = ("pod/prometheus-rehearsal-0", "--namespace=monitoring")
PORT = 9090
Points = Sequence[tuple[float, float]]
"""Seconds since the epoch, and what was measured then."""


@dataclass(frozen=True, kw_only=True)
class Prometheus:
    """One that answers at `url`, which this host has a route to."""

    url: str

    @classmethod
    def of_cluster(cls, kubectl: Kubectl) -> Prometheus:
        """The embedded cluster's own, by its pod's address: its Service has none."""
        return cls(url=f"http://{kubectl.read('get', *POD, '--output=jsonpath={.status.podIP}')}:{PORT}")

    def value(self, query: str) -> float | None:
        """What the query gives now; None where it gives nothing. Fault if it gives more than one number."""
        found = self._ask("query", query=query)["result"]
        if len(found) > 1:
            raise Fault(f"Prometheus: {query} gives {len(found)} series, not one; sum them")
        return float(found[0]["value"][1]) if found else None

    def points(self, query: str, start: float, end: float, step_s: float = 2) -> Points:
        """What the query gave between two times, in seconds since the epoch; of several series the first."""
        asked = self._ask("query_range", query=query, start=str(start), end=str(end), step=str(step_s))["result"]
        every = [(float(at), float(value)) for at, value in (asked[0]["values"] if asked else ())]
        return [(at, value) for at, value in every if math.isfinite(value)]

    def firing(self) -> frozenset[str]:
        """Names of the alerts that fire."""
        alerts = self._ask("alerts")["alerts"]
        return frozenset(alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing")

    def _ask(self, what: str, **query: str) -> Any:
        with httpx.Client(trust_env=False, timeout=10) as client:
            answer = client.get(f"{self.url}/api/v1/{what}", params=query).json()
        if answer["status"] != "success":
            raise Fault(f"Prometheus: {query.get('query', what)}: {answer['error']}")
        return answer["data"]
