"""Every time of a model's rollout, from one estimate of its load.

    load estimate      weights / bandwidth + engine start; of the weights the facts' bytes, or else the volume's size
    startup budget     twice the estimate, or probes.startupSeconds; the startup probe gives up after it
    progress deadline  new node + image pull + startup budget + minReadySeconds + grace: from one replica to the next;
                       and the time to seed, where replicas seed their own nodes before the startup probe begins
    seeding deadline   new node + image pull + time to seed, which is twice the download and a margin
    cleaning wait      grace and a margin: replicas of the revision before still drain when a rollout has ended
    Pulumi's timeout   as many progress deadlines as replicas are deployed, since surge 1 replaces them one by one

Hence startup budget < progress deadline < Pulumi's timeout, and who gives up first knows the reason best: the kubelet
says why the engine did not start, Kubernetes which replica, Pulumi only that it took long. All in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from components.engines import engine_of
from components.settings import Model, parse_source, size_bytes
from components.sizing import revision_bytes, volume_size

STARTUP_PERIOD: Final = 5
# A disk or node may be half as fast as its data sheet, and a pod that is killed while loading starts over.
STARTUP_SAFETY: Final = 2
# Public hubs serve one client more slowly than most volumes are written.
HUB_MBPS: Final = 50
SEEDING_SAFETY: Final = 2
SEEDING_MARGIN: Final = 600
WAIT_MARGIN: Final = 60


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds, each derived from the same estimate; the startup budget in whole probe periods."""

    startup_budget: int
    grace: int
    progress_deadline: int
    deployment_timeout: int


def load_estimate(model: Model) -> int:
    """Seconds from the start of a replica's container to its first answer.

    Of weights in the engine's image only the user knows: half of what a replica is allowed, as it is for all others.
    """
    if parse_source(model.source).scheme == "image":
        return (model.probes.startup_seconds or 0) // STARTUP_SAFETY
    return math.ceil(_transfer(model, model.weights.bandwidth_mbps)) + engine_of(model).start_seconds


def timing(model: Model, *, seeds: bool = False) -> Timing:
    """The times of a model's Deployment; `seeds` where a replica may find a node without the weights and fetch them."""
    allowed = model.probes.startup_seconds or STARTUP_SAFETY * load_estimate(model)
    startup_budget = math.ceil(allowed / STARTUP_PERIOD) * STARTUP_PERIOD
    # The preStop sleep counts towards the grace period.
    grace = model.pre_stop_seconds + model.drain_seconds + engine_of(model).exit_seconds
    # On a full pool the next replica waits for the GPU of one that still drains, hence the grace.
    progress_deadline = _arrival(model) + startup_budget + model.rollout.min_ready_seconds + grace
    if seeds:
        progress_deadline += seeding_seconds(model)
    return Timing(
        startup_budget=startup_budget,
        grace=grace,
        progress_deadline=progress_deadline,
        deployment_timeout=model.replicas.min * progress_deadline + WAIT_MARGIN,
    )


def cleaning_wait(model: Model) -> int:
    """Seconds that cleaning waits for replicas that drain."""
    return timing(model).grace + WAIT_MARGIN


def seeding_deadline(model: Model) -> int:
    """Seconds that the seeding Job may run: its pod may need a node first, and has to be pulled."""
    return _arrival(model) + seeding_seconds(model)


def seeding_seconds(model: Model) -> int:
    """Seconds that seeding may take, retries included: twice the download at the slower of hub and volume."""
    download = _transfer(model, min(model.weights.bandwidth_mbps, HUB_MBPS))
    return math.ceil(SEEDING_SAFETY * download) + SEEDING_MARGIN


def seeding_timeout(model: Model) -> int:
    """Seconds that Pulumi waits for the Job, which reports its own deadline first."""
    return seeding_deadline(model) + WAIT_MARGIN


def _arrival(model: Model) -> int:
    """Seconds until a pod's first container starts on a node that is not there yet."""
    return (model.rollout.node_seconds or 0) + model.rollout.image_pull_seconds


def _transfer(model: Model, megabytes_per_second: int) -> float:
    known = revision_bytes(model)
    return (size_bytes(volume_size(model)) if known is None else known) / (megabytes_per_second * 1_000_000)
