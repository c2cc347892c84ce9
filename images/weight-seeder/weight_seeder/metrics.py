"""How far a seeding is, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from weight_seeder.console import say
from weight_seeder.tally import Tally

_GAUGES: dict[str, tuple[str, Callable[[Tally], int]]] = {
    "weight_seeder_bytes": ("Bytes of the selection that are on the volume", lambda tally: tally.bytes),
    "weight_seeder_expected_bytes": ("Bytes of the selection", lambda tally: tally.expected_bytes),
    "weight_seeder_verified_bytes": ("Bytes that were read back from the volume", lambda tally: tally.verified_bytes),
    "weight_seeder_files": ("Files whose checksum was found right", lambda tally: tally.files),
    "weight_seeder_expected_files": ("Files of the selection", lambda tally: tally.expected_files),
}
_COUNTERS: dict[str, tuple[str, Callable[[Tally], int]]] = {
    "weight_seeder_retries": ("Times that the source was asked again", lambda tally: tally.retries),
    "weight_seeder_wrong_contents": (
        "Times that a file had another content than announced, and was fetched again",
        lambda tally: tally.wrong,
    ),
}


class _Seeding(Collector):
    """Reads the tally when it is asked."""

    def __init__(self, tally: Tally, source: str) -> None:
        self._tally, self._source = tally, source

    def collect(self) -> Iterator[Metric]:
        """The values of this moment."""
        for name, (text, value) in _GAUGES.items():
            gauge = GaugeMetricFamily(name, text, labels=["source"])
            gauge.add_metric([self._source], value(self._tally))
            yield gauge
        for name, (text, value) in _COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=["source"])
            counter.add_metric([self._source], value(self._tally))
            yield counter


def serve(tally: Tally, source: str, *, port: int) -> WSGIServer | None:
    """Serve the metrics on a port of every address; a port that is taken is no reason not to seed."""
    registry = CollectorRegistry()
    registry.register(_Seeding(tally, source))
    try:
        server, _ = start_http_server(port, registry=registry)
    except OSError as error:
        say(f"no metrics are served: port {port}: {error.strerror}")
        return None
    return server
