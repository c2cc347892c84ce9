"""Probes of a replica, which ask three things.

- startup: does it serve yet? One real token, again and again, for the startup budget: the model is loaded, and works.
- readiness: does it serve now? The engine's health by default; or a token, which waits in the queue like others.
- liveness: is it there? Whether the port is open: a full queue must not restart a replica, nor must a model that loads.
"""

from __future__ import annotations

from typing import Final

import pulumi_kubernetes as k8s

from components.engines import engine_of
from components.settings import Model
from components.timing import Timing, inference_seconds

PORT_NAME: Final = "http"
HEALTH_SECONDS: Final = 5


def readiness_timeout(model: Model) -> int:
    """Seconds that an answer of the readiness probe may take."""
    given = model.probes.readiness.timeout_seconds
    return given or (inference_seconds(model) if model.probes.readiness.kind == "inference" else HEALTH_SECONDS)


def startup(name: str, model: Model, times: Timing) -> k8s.core.v1.ProbeArgs:
    """A token within the budget; each attempt lasts a period, so that a model that hangs has no more time than that."""
    attempt = model.probes.first_token_seconds
    return k8s.core.v1.ProbeArgs(
        exec_=_token(name, model, attempt),
        period_seconds=attempt,
        timeout_seconds=attempt,
        failure_threshold=times.startup_budget // attempt,
    )


def readiness(name: str, model: Model) -> k8s.core.v1.ProbeArgs:
    """The engine's health, or a token."""
    probe, timeout = model.probes.readiness, readiness_timeout(model)
    by_token = probe.kind == "inference"
    health = k8s.core.v1.HTTPGetActionArgs(path=engine_of(model).health_path, port=PORT_NAME)
    return k8s.core.v1.ProbeArgs(
        exec_=_token(name, model, timeout) if by_token else None,
        http_get=None if by_token else health,
        period_seconds=probe.period_seconds,
        timeout_seconds=timeout,
        failure_threshold=probe.failure_threshold,
    )


def liveness(model: Model) -> k8s.core.v1.ProbeArgs:
    """Whether the process is there; a busy model must not get its replica killed."""
    probe = model.probes.liveness
    return k8s.core.v1.ProbeArgs(
        tcp_socket=k8s.core.v1.TCPSocketActionArgs(port=PORT_NAME),
        period_seconds=probe.period_seconds,
        timeout_seconds=probe.timeout_seconds,
        failure_threshold=probe.failure_threshold,
    )


def _token(name: str, model: Model, seconds: int) -> k8s.core.v1.ExecActionArgs:
    return k8s.core.v1.ExecActionArgs(command=list(engine_of(model).first_token(name, model, seconds)))
