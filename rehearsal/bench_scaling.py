"""How soon replicas follow a load step, and what they cost, beside a trigger that looks at waiting requests alone.

Such a trigger is what the Helm chart of vLLM's production-stack ships: `vllm:num_requests_waiting` of the model against
5 a replica (github.com/vllm-project/production-stack, docs/source/use_cases/autoscaling-keda.rst). Both scale an
understudy of the model under the same load, with the same behaviour up and down: nothing but the trigger differs.
"""

from __future__ import annotations

import copy
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rehearsal.answer import service_address
from rehearsal.counts import Counts
from rehearsal.fault import Fault
from rehearsal.kubectl import Kubectl
from rehearsal.prometheus import Prometheus
from rehearsal.traffic.background import Background
from rehearsal.traffic.load import Load
from rehearsal.understudy import INSTANCE, deployment_of, policy_of, service_of

OURS, WAITING = "requests in flight", "waiting only, 5 a replica"
TRIGGERS = (OURS, WAITING)
MOST = 8
"""Replicas that either may make."""
LOAD_S = 10.0
"""Seconds that the engine loads for."""
HPA_PERIOD_S = 15.0
"""Between two looks of Kubernetes' autoscaler: its default."""
CALM_S, BUSY_S, AFTER_S = 30.0, 180.0, 90.0
CALM, BUSY = 0.5, 4.0
"""Requests in flight before and after the step, in targets of one replica."""
STREAM_S, TOKENS = 4.0, 20
PATIENCE_S = 300.0
_NAME = "bench-scaling"
_ENV = {
    "SIMULATOR_LOAD_MBPS": "0",
    "SIMULATOR_STARTUP_SECONDS": f"{LOAD_S:g}",
    "SIMULATOR_STEP_MS": f"{1000 * STREAM_S / TOKENS:g}",
    "SIMULATOR_STEP_MS_PER_SEQ": "0",
}
_BEHAVIOUR = {
    "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]},
    "scaleDown": {"stabilizationWindowSeconds": 30, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]},
}


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """What a load step, from one replica to four of them, made of one trigger. Times in seconds.

    `floor_s` is the mean time of noticing (half of a reading and of the autoscaler's period) and the engine's load;
    `served_s` the time to the first replica more that is ready.
    """

    trigger: str
    created_s: float
    served_s: float
    floor_s: float
    first_token_p99_s: float
    replica_seconds: float
    streams: int
    lost: int


def expected_s() -> float:
    """About what `measure` takes."""
    return len(TRIGGERS) * (CALM_S + BUSY_S + AFTER_S + LOAD_S + 30)


def measure(kubectl: Kubectl, namespace: str, model: str, *, target: int, scrape_s: float) -> list[Scaled]:
    """Scale an understudy of a model that has a scaler of its own by each trigger, one after the other.

    `target` is what of requests a replica is to have in flight, `scrape_s` how often its metrics are read. Fault if
    the model has no scaler, or no replica comes.
    """

    def read(kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(kubectl.read("get", kind, name, f"--namespace={namespace}", "--output=json"))
        return found

    live = {kind: read(kind, model) for kind in ("deployment", "service", "scaledobject")}
    live["podmonitor"] = read("podmonitor", f"{model}-engine")
    return [_one(kubectl, namespace, live, trigger, target, scrape_s) for trigger in TRIGGERS]


def objects(live: Mapping[str, dict[str, Any]], trigger: str) -> list[dict[str, Any]]:
    """The understudy, all that it needs to be reached, read and scaled, from the model's own objects."""
    return [
        deployment_of(live["deployment"], _NAME, replicas=1, env=_ENV),
        service_of(live["service"], _NAME),
        policy_of(live["deployment"], _NAME),
        _monitor(live["podmonitor"]),
        _scaler(live["scaledobject"], trigger),
    ]


def replica_seconds(counts: Sequence[tuple[float, int]], start: float, end: float) -> float:
    """What so many replicas, each number from its time on, add up to between two times."""
    bounded = [(max(at, start), count) for at, count in counts]
    return sum(
        count * max(0.0, min(later, end) - at) for (at, count), (later, _) in itertools.pairwise([*bounded, (end, 0)])
    )


def _one(
    kubectl: Kubectl, namespace: str, live: Mapping[str, dict[str, Any]], trigger: str, target: int, scrape_s: float
) -> Scaled:
    here = f"--namespace={namespace}"
    kinds = "scaledobject,podmonitor,deployment,service,networkpolicy"
    gone = ("delete", kinds, f"--selector={INSTANCE}={_NAME}", here, "--ignore-not-found", "--wait")
    # Left by a bench that was killed.
    kubectl.read(*gone)
    try:
        items = {"apiVersion": "v1", "kind": "List", "items": objects(live, trigger)}
        kubectl.read("create", "--filename=-", text=json.dumps(items))
        kubectl.read("rollout", "status", f"deployment/{_NAME}", here, f"--timeout={PATIENCE_S:g}s")
        up = f'sum(up{{namespace="{namespace}",model="{_NAME}"}})'
        prometheus = Prometheus.of_cluster(kubectl)
        _until(lambda: prometheus.value(up) == 1, "Prometheus does not read the understudy")
        served = live["deployment"]["metadata"]["name"]
        return _under_load(kubectl, namespace, served, trigger, target, scrape_s)
    finally:
        kubectl.read(*gone)


def _under_load(kubectl: Kubectl, namespace: str, served: str, trigger: str, target: int, scrape_s: float) -> Scaled:
    """Half of one replica's target, four targets, and half of one again; `served` is the model's name in requests.

    At the whole of its target the scaler may well take a second one before the step.
    """
    calm = Load(
        base_url=f"http://{service_address(kubectl, namespace, _NAME)}/v1",
        model=served,
        streams=1,
        rate=CALM * target / STREAM_S,
        tokens=TOKENS,
        long_every=0,
        first_token_s=PATIENCE_S,
        gap_s=PATIENCE_S,
        patience_s=PATIENCE_S,
    )
    fields = (".status.replicas", ".status.readyReplicas")
    with Counts(kubectl, namespace, _NAME, *fields) as counts, Background(calm) as steady:
        began = time.time()
        time.sleep(CALM_S)
        stepped = time.time()
        if counts.seen[-1][1][0] != 1:
            raise Fault("bench: there is more than one replica before the load step; run again: make bench")
        with Background(replace(calm, rate=(BUSY - CALM) * target / STREAM_S, seed=8)) as more:
            _until(lambda: counts.seen[-1][1][1] > 1, f"no replica comes by the trigger on {trigger}")
            time.sleep(max(0.0, stepped + BUSY_S - time.time()))
        time.sleep(AFTER_S)
        ended = time.time()
    after = [(at, there, ready) for at, (there, ready) in counts.seen if at >= stepped]
    results = (steady.result, more.result)
    return Scaled(
        trigger=trigger,
        created_s=next(at for at, there, _ in after if there > 1) - stepped,
        served_s=next(at for at, _, ready in after if ready > 1) - stepped,
        floor_s=(scrape_s + HPA_PERIOD_S) / 2 + LOAD_S,
        first_token_p99_s=max(each.first_token.p99 or 0.0 for each in results),
        replica_seconds=replica_seconds([(at, there) for at, (there, _) in counts.seen], began, ended),
        streams=sum(each.streams for each in results),
        lost=sum(len(each.lost) for each in results),
    )


def _monitor(live: Mapping[str, Any]) -> dict[str, Any]:
    spec = copy.deepcopy(live["spec"])
    spec["selector"]["matchLabels"][INSTANCE] = _NAME
    for endpoint in spec["podMetricsEndpoints"]:
        for each in endpoint["relabelings"]:
            if each.get("targetLabel") == "model":
                each["replacement"] = _NAME
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": _metadata(live), "spec": spec}


def _scaler(live: Mapping[str, Any], trigger: str) -> dict[str, Any]:
    demand = next((each for each in live["spec"]["triggers"] if each["type"] == "prometheus"), None)
    if demand is None:
        raise Fault("bench: the model is not scaled by what its engine counts; take a stack with a model of vLLM")
    model = live["metadata"]["name"]
    ours = demand["metadata"]["query"].replace(f'model="{model}"', f'model="{_NAME}"')
    waiting = {"query": f'sum(vllm:num_requests_waiting{{model="{_NAME}"}})', "threshold": "5"}
    metadata = {**demand["metadata"], **({"query": ours} if trigger == OURS else waiting)}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": _NAME},
        "minReplicaCount": 1,
        "maxReplicaCount": MOST,
        "advanced": {"horizontalPodAutoscalerConfig": {"name": _NAME, "behavior": _BEHAVIOUR}},
        "triggers": [{**demand, "metricType": "AverageValue", "metadata": metadata}],
    }
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": _metadata(live), "spec": spec}


def _metadata(live: Mapping[str, Any]) -> dict[str, Any]:
    # Its labels are those by which Prometheus selects the model's own.
    labels = {**live["metadata"].get("labels", {}), INSTANCE: _NAME}
    return {"name": _NAME, "namespace": live["metadata"]["namespace"], "labels": labels}


def _until(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            raise Fault(f"bench: {otherwise}; look at: kubectl describe scaledobject,hpa,pods -A")
        time.sleep(0.5)
