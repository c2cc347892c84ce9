"""Every time of a model's rollout, from one estimate of its load.

    load estimate      weights / bandwidth + engine start; of the weights the facts' bytes, or else the volume's size
    startup budget     twice the estimate, or probes.startupSeconds; the startup probe gives up after it
    progress deadline  new node + image pull + startup budget + minReadySeconds + grace: from one replica to the next;
                       and before the startup probe begins, the time to look at the weights by checksums, or to seed
                       where replicas seed their own nodes
    Pulumi's timeout   a progress deadline for each round, which replaces as many replicas as rollout.surge says
    seeding deadline   new node + image pull + time to seed, which is twice the download and a margin
    cleaning wait      grace and a margin: replicas of the revision before still drain when a rollout has ended

Hence load estimate <= startup budget < progress deadline < Pulumi's timeout, and who gives up first knows the reason
best: the kubelet says why the engine did not start, Kubernetes which replica, Pulumi only that it took long. A setting
that breaks the order is refused (components/settings/rollout_checks.py). All in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.drain import grace_seconds
from components.engines import engine_of
from components.settings.source import parse_source
from components.surge import replaced, surge_of
from components.weights_timing import checking_seconds, read_seconds

if TYPE_CHECKING:  # settings check times here, so that an import at run time would be a circle
    from components.settings import Model

# A disk or node may be half as fast as its data sheet, and a pod that is killed while loading starts over.
STARTUP_SAFETY: Final = 2
# Public hubs serve one client more slowly than most volumes are written.
HUB_MBPS: Final = 50
SEEDING_SAFETY: Final = 2
SEEDING_MARGIN: Final = 600
WAIT_MARGIN: Final = 60
# What one token takes on a replica that has just found room for it.
TOKEN_SECONDS: Final = 5


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds, each derived from the same estimate; the startup budget in whole attempts of the probe."""

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
    return transfer_seconds(model) + engine_start_seconds(model)


def engine_start_seconds(model: Model) -> int:
    """Seconds from the weights being in memory to the first token."""
    given = model.probes.engine_start_seconds
    return engine_of(model).start_seconds if given is None else given


def transfer_seconds(model: Model) -> int:
    """Seconds in which a replica reads its weights; each node of one that is on several reads them all at worst."""
    return math.ceil(read_seconds(model, model.weights.bandwidth_mbps))


def startup_budget(model: Model) -> int:
    """Seconds that a replica may take from the start of its container to its first token, in whole attempts."""
    allowed = model.probes.startup_seconds or STARTUP_SAFETY * load_estimate(model)
    attempt = model.probes.first_token_seconds
    return math.ceil(allowed / attempt) * attempt


def between_replicas(model: Model, *, seeds: bool = False) -> dict[str, int]:
    """What may come between one replica and the next, each part by its name: their sum is the least deadline."""
    parts = {
        "a new node": model.rollout.node_seconds or 0,
        "image pull": model.rollout.image_pull_seconds,
        "seeding": seeding_seconds(model) if seeds else 0,
        "checking the weights": 0 if seeds else checking_seconds(model),
        "startup": startup_budget(model),
        "minReadySeconds": model.rollout.min_ready_seconds,
        # On a full pool the next replica waits for the GPU of one that still drains.
        "grace period": grace_seconds(model),
    }
    return {name: seconds for name, seconds in parts.items() if seconds}


def rounds(model: Model) -> int:
    """Times that a rollout waits for new replicas before it goes on."""
    # A scaler's further groups come after the rollout, when the new set has its own.
    return 1 if model.nodes_per_replica > 1 else math.ceil(replaced(model) / surge_of(model))


def timing(model: Model, *, seeds: bool = False) -> Timing:
    """The times of a model's Deployment; `seeds` where a replica may find a node without the weights and fetch them."""
    least = sum(between_replicas(model, seeds=seeds).values())
    progress_deadline = model.rollout.progress_deadline_seconds or least
    return Timing(
        startup_budget=startup_budget(model),
        grace=grace_seconds(model),
        progress_deadline=progress_deadline,
        deployment_timeout=model.rollout.timeout_seconds or rounds(model) * progress_deadline + WAIT_MARGIN,
    )


def inference_seconds(model: Model) -> int:
    """Seconds until a full replica answers one more request with a token: all that run have ended by then."""
    return model.drain_seconds + TOKEN_SECONDS


def cleaning_wait(model: Model) -> int:
    """Seconds that cleaning waits for replicas that drain."""
    return grace_seconds(model) + WAIT_MARGIN


def seeding_deadline(model: Model) -> int:
    """Seconds that the seeding Job may run: its pod may need a node first, and has to be pulled."""
    return (model.rollout.node_seconds or 0) + model.rollout.image_pull_seconds + seeding_seconds(model)


def seeding_seconds(model: Model) -> int:
    """Seconds that seeding may take, retries included: twice the download at the slower of hub and volume.

    And those that it takes to look at what is there first, where that is by checksums.
    """
    download = read_seconds(model, min(model.weights.bandwidth_mbps, HUB_MBPS))
    return math.ceil(SEEDING_SAFETY * download) + SEEDING_MARGIN + checking_seconds(model)


def seeding_timeout(model: Model) -> int:
    """Seconds that Pulumi waits for the Job, which reports its own deadline first."""
    return seeding_deadline(model) + WAIT_MARGIN
