"""What a seeding says of itself: lines, and metrics that Prometheus can read."""

from __future__ import annotations

import socket
import time
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from weight_seeder import metrics, progress
from weight_seeder.files import Digest, File
from weight_seeder.tally import Tally

from tests.simulator.engines import free_port

FILES = [File(path=name, size=size, digest=Digest(kind="sha256", value="")) for name, size in (("a", 750), ("b", 250))]


@pytest.fixture
def tally() -> Tally:
    tally = Tally(FILES)
    tally.here("a", 600)
    tally.verified("a", 500)
    tally.here("b", 250)
    tally.verified("b", 250)
    tally.done("b")
    tally.retried()
    tally.found_wrong()
    tally.found_wrong()
    return tally


def test_a_line_has_bytes_share_rate_and_estimate(tally: Tally) -> None:
    assert progress.line(tally, 50.0) == "0.00 MB of 0.00 MB (85 %), 0.00 MB/s, about 3 s left"
    assert progress.line(tally, 0.0).endswith("waiting for the source")
    tally.here("a", 750)
    assert progress.line(tally, 50.0).endswith("(100 %), 0.00 MB/s, 0.00 MB are still to be read back")


def test_the_rate_is_that_of_the_last_seconds_and_not_of_what_was_there_before(
    tally: Tally, capsys: pytest.CaptureFixture[str]
) -> None:
    big = Tally([File(path="a", size=100_000_000, digest=Digest(kind="sha256", value=""))])
    big.here("a", 40_000_000)
    with progress.reported(big, seconds=0.2):
        time.sleep(0.3)
        big.here("a", 42_000_000)
        time.sleep(0.2)

    first, second, third, *_ = capsys.readouterr().out.splitlines()
    assert first == "weight-seeder: 1 files, 100.00 MB, of which 40.00 MB are here already"
    assert second.endswith("0.00 MB/s, waiting for the source")
    assert "42.00 MB of 100.00 MB (42 %), " in third
    rate = float(third.split("%), ")[1].split(" MB/s")[0])
    assert 2 < rate <= 10


def test_the_metrics_are_the_tally_of_this_moment(tally: Tally) -> None:
    port = free_port()
    server = metrics.serve(tally, "hf://a/b", port=port)
    assert server is not None
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    finally:
        server.shutdown()
        server.server_close()

    samples = {
        sample.name: (family.type, sample.labels, sample.value) for family in families for sample in family.samples
    }
    source = {"source": "hf://a/b"}
    assert samples == {
        "weight_seeder_bytes": ("gauge", source, 850),
        "weight_seeder_expected_bytes": ("gauge", source, 1000),
        "weight_seeder_verified_bytes": ("gauge", source, 750),
        "weight_seeder_files": ("gauge", source, 1),
        "weight_seeder_expected_files": ("gauge", source, 2),
        "weight_seeder_retries_total": ("counter", source, 1),
        "weight_seeder_wrong_contents_total": ("counter", source, 2),
    }


def test_a_port_that_is_taken_is_said_and_no_reason_not_to_seed(
    tally: Tally, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 - as the metrics' server does
        port = taken.getsockname()[1]
        assert metrics.serve(tally, "hf://a/b", port=port) is None
    assert capsys.readouterr().out == f"weight-seeder: no metrics are served: port {port}: Address already in use\n"
