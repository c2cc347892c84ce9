"""The claim of a sample that a test is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from claims.claim import Claim
from components.settings import Settings
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, SMALLEST, changed, settings

Module = Callable[[Settings], Iterator[Claim]]

# With all that nobody could know otherwise: what its claims lack to be proved is what a test takes out.
KNOWN: Final = changed(AWS_ATTACHED, "gpuPools.l40s.quotaVcpus", 16)


def chat_with(config: Mapping[str, Any] = SMALLEST, /, **model: Any) -> dict[str, Any]:
    """A sample whose model `chat` has these values, nested maps laid over its own."""
    own = config["models"]["chat"]
    return changed(config, "models.chat", {**own, **model})


def pool_with(config: Mapping[str, Any], pool: str, /, **values: Any) -> dict[str, Any]:
    """A sample whose pool has these values."""
    return changed(config, f"gpuPools.{pool}", {**config["gpuPools"][pool], **values})


def scaled(config: Mapping[str, Any] = AWS_ATTACHED, /, **model: Any) -> dict[str, Any]:
    """A sample with KEDA and Prometheus installed, and a model that they scale from 1 to 2 replicas."""
    with_scaler = {
        **config,
        "autoscaling": {"keda": {"install": True}},
        "monitoring": {"prometheus": {"install": True}},
    }
    more = pool_with(with_scaler, "l40s", max=3) if "l40s" in config["gpuPools"] else with_scaler
    return chat_with(more, **{"replicas": {"min": 1, "max": 2}, **model})


def claim_on(module: Module, config: Mapping[str, Any], subject: str = "models.chat") -> Claim:
    """The one claim of a module about a subject."""
    (found,) = [each for each in module(settings(config)) if each.subject == subject]
    return found


def line(claim: Claim, beginning: str) -> str:
    """The one line of its arithmetic that begins so."""
    (found,) = [each for each in claim.arithmetic if each.startswith(beginning)]
    return found


ON_DEMAND: Final = pool_with(AWS_CREATED, "l4", capacity="ON_DEMAND")
