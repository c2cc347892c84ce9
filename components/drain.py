"""How a replica leaves: out of the Service first, then its running answers end, then its process.

sleep  preStopSeconds: endpoints and proxies learn that the replica goes, while it still takes requests; and the
       drain on top for an engine that cuts its answers at SIGTERM, which so has to come after them
drain  drainSeconds: outputTokens x tpotMillis, or 300. By the engine itself, or by an argument that it gets
exit   what the process needs after the last answer, of the engine's profile
grace  sleep + drain + exit, each counted once: Kubernetes counts the sleep towards the grace period, and kills
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.engines import Drain, engine_of

if TYPE_CHECKING:  # settings reckon with these times, so that an import at run time would be a circle
    from components.settings import Model


def sleep_seconds(model: Model) -> int:
    """Seconds between the end of the endpoint and SIGTERM: with those of the drain that the engine does not do."""
    engine = engine_of(model)
    most = 0 if engine.drain is Drain.NOT_AT_ALL else engine.drain_most
    return model.pre_stop_seconds + (0 if most is None else max(0, model.drain_seconds - most))


def grace_seconds(model: Model) -> int:
    """Seconds from the end of the endpoint until the kubelet kills what is left."""
    return model.pre_stop_seconds + model.drain_seconds + engine_of(model).exit_seconds
