"""What is asked of a Prometheus, and what is made of its answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from rehearsal.fault import Fault
from rehearsal.prometheus import Prometheus

ANSWERS = {
    "one": [{"metric": {}, "value": [7.0, "3"]}],
    "none": [],
    "two": [{"metric": {}, "value": [7.0, "3"]}, {"metric": {}, "value": [7.0, "4"]}],
    "range": [{"metric": {}, "values": [[2.0, "1"], [4.0, "NaN"], [6.0, "2.5"]]}],
}
ALERTS = [
    {"state": "firing", "labels": {"alertname": "Slow"}},
    {"state": "pending", "labels": {"alertname": "Full"}},
]


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query).get("query", [""])[0]
        body: dict[str, object] = {"status": "success", "data": {"result": ANSWERS.get(query), "alerts": ALERTS}}
        if query == "(":
            body = {"status": "error", "error": "unclosed left parenthesis"}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    with HTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Prometheus(url=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_one_number_or_none(prometheus: Prometheus) -> None:
    assert prometheus.value("one") == 3
    assert prometheus.value("none") is None


def test_several_series_are_no_number(prometheus: Prometheus) -> None:
    with pytest.raises(Fault, match="two gives 2 series, not one; sum them"):
        prometheus.value("two")


def test_a_mistake_in_a_query_is_told(prometheus: Prometheus) -> None:
    with pytest.raises(Fault, match=r"\(: unclosed left parenthesis"):
        prometheus.value("(")


def test_points_without_what_is_no_number(prometheus: Prometheus) -> None:
    assert prometheus.points("range", 0, 10) == [(2.0, 1.0), (6.0, 2.5)]
    assert prometheus.points("none", 0, 10) == []


def test_alerts_that_fire_and_not_those_that_are_about_to(prometheus: Prometheus) -> None:
    assert prometheus.firing() == {"Slow"}
