"""The dashboard over a running engine, read by a real Prometheus: no query of it comes back empty.

Of the simulator, and of the real vLLM where `make calibrate` asks for it.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.observability import watched
from components.observability.dashboard import dashboard
from rehearsal.hub import model
from tests.components.program import plain, run_program
from tests.components.prometheus import programs, queries
from tests.components.samples import SMALLEST, settings
from tests.simulator import engines
from tests.simulator.engines import Engine, Kind, free_port, running

# The real engine's start is part of the test.
pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

CONFIG = SMALLEST | {"monitoring": {}}
SECONDS = 120


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, id=kind.name, marks=() if kind is engines.SIMULATOR else pytest.mark.vllm)
        for kind in engines.installed()
    ],
)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    kind: Kind = request.param
    folder = tmp_path_factory.mktemp("engine")
    model.write(folder / "model")
    with running(folder / "model", folder / "log", "--max-model-len=512", kind=kind) as found:
        yield found


@contextmanager
def prometheus(engine: Engine, folder: Path) -> Iterator[str]:
    """One that reads the engine as the PodMonitor says, and evaluates the rules; gives its address."""
    recorder = run_program(CONFIG)
    (endpoint,) = plain(recorder.one("PodMonitor").inputs)["spec"]["podMetricsEndpoints"]
    rules = folder / "rules.json"
    rules.write_text(json.dumps(plain(recorder.one("PrometheusRule").inputs)["spec"]))
    labels = {"namespace": "inference", "pod": "chat-7d9c5b6f4-x2vqk", "container": "engine"}
    job = {
        "job_name": "inference/chat-engine",
        "metrics_path": endpoint["path"],
        "static_configs": [{"targets": [engine.url.removeprefix("http://")], "labels": labels}],
        "relabel_configs": [
            {"action": each["action"], "target_label": each["targetLabel"], "replacement": each["replacement"]}
            for each in endpoint["relabelings"]
        ],
    }
    often = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (folder / "prometheus.json").write_text(
        json.dumps({"global": often, "scrape_configs": [job], "rule_files": [str(rules)]})
    )
    address = f"127.0.0.1:{free_port()}"
    program = programs() / "prometheus"
    options = (
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", program, *options], stdout=log, stderr=log)
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_no_query_of_the_dashboard_comes_back_empty(engine: Engine, tmp_path: Path) -> None:
    of = settings(CONFIG)
    asked = [query for query in queries(dashboard(of.namespace, watched(of), dcgm=False)) if "ALERTS" not in query]
    assert len(asked) > 20
    with prometheus(engine, tmp_path) as address:
        deadline, empty = time.monotonic() + SECONDS, asked
        while empty:
            assert time.monotonic() < deadline, empty
            engine.stream("What is a replica?", tokens=8)
            empty = [query for query in empty if not values(address, query)]
        (worst,) = values(address, "model:inference_score:min")
        firing = values(address, 'ALERTS{alertstate="firing"}')
    assert 0 <= float(worst["value"][1]) <= 1
    assert worst["metric"] == {"__name__": "model:inference_score:min", "model": "chat", "namespace": "inference"}
    assert firing == []


def values(address: str, query: str) -> list[dict[str, Any]]:
    """Elements of an instant query that are numbers; none as long as nobody answers."""
    try:
        answer = httpx.get(f"{address}/api/v1/query", params={"query": query})
    except httpx.HTTPError:
        return []
    # One that still starts answers in plain text.
    found = answer.json()["data"]["result"] if answer.is_success else []
    return [each for each in found if each["value"][1] != "NaN"]
