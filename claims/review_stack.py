"""The file of a review stack, made of another's: `python -m claims.review_stack --of dev --number 123`.

A review stack is the same models, small and for a while: one replica of each on nodes that come when they are needed,
nothing protected, so that it can be destroyed when its pull request is closed, and names of its own. On a cluster that
is there it has its own namespace and node groups, and the device plugin is the other stack's. There is no scaler, no
monitoring and no way in from outside.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from claims import Verdict, claims_of
from claims.stack_file import StackFileError, settings_of

CHECKOUT: Final = Path(__file__).resolve().parents[1]
PREFIX: Final = "review"
LEFT_OUT: Final = ("inference:autoscaling", "inference:gateway", "inference:monitoring", "inference:priorityClasses")
FILE_SYSTEMS: Final = ("efs", "fsx")
CLAIMS: Final = "inference:claims"
IN_IMAGE: Final = "image:"
SECRET: Final = "secure"  # noqa: S105 - the key under which Pulumi has a secret's ciphertext


def review(document: dict[str, Any], number: int) -> dict[str, Any]:
    """The stack's file, changed; secrets are not taken along, since their key is the other stack's."""
    kept = {key: value for key, value in document["config"].items() if key not in LEFT_OUT and not _secret(value)}
    config = copy.deepcopy(kept)
    name = f"{PREFIX}-{number}"
    config["inference:namespace"] = name
    cluster = config["inference:cluster"]
    if cluster.get("create") is None:
        config["inference:devicePlugin"] = {"enabled": False}
    else:
        cluster |= {"name": name, "create": cluster["create"] | {"protect": False}}
    for pool in config["inference:gpuPools"].values():
        if "instanceType" in pool:
            pool["min"] = 0
    for storage in config.get("inference:storage", {}).values():
        if storage["kind"] in FILE_SYSTEMS:
            storage["protect"] = False
    for model in config["inference:models"].values():
        model["replicas"] = {"min": 1, "max": 1}
        # Weights of the image have no volume.
        if not str(model["source"]).startswith(IN_IMAGE):
            model["weights"] = model.get("weights", {}) | {"protect": False}
        for key in ("scaling", "priorityClass"):
            model.pop(key, None)
    accepted = config.pop(CLAIMS, {}).get("accept", {})
    refused = _refused(config) if accepted else frozenset()
    still = {name: reason for name, reason in accepted.items() if name in refused}
    return {"config": config | ({CLAIMS: {"accept": still}} if still else {})}


def _refused(config: dict[str, Any]) -> frozenset[str]:
    """The claims that are refused of it, as acceptances name them: what a small stack does not need is stale there."""
    try:
        claims = claims_of(settings_of(config, f"Pulumi.{PREFIX}.yaml"))
    except StackFileError:
        return frozenset()
    return frozenset(name for each in claims if each.verdict is Verdict.REFUSED for name in (each.key, each.id))


def _secret(value: object) -> bool:
    return isinstance(value, dict) and SECRET in value


def main(words: Sequence[str] | None = None) -> None:
    """Write Pulumi.review-NUMBER.yaml beside the other's file, and its stack's name to standard output."""
    parser = argparse.ArgumentParser(prog="python -m claims.review_stack", description=__doc__.splitlines()[0])
    parser.add_argument("--of", required=True, help="the stack that it is made of")
    parser.add_argument("--number", required=True, type=int, help="the pull request's number")
    given = parser.parse_args(words)
    document = yaml.safe_load((CHECKOUT / f"Pulumi.{given.of}.yaml").read_text())
    name = f"{PREFIX}-{given.number}"
    path = CHECKOUT / f"Pulumi.{name}.yaml"
    path.write_text(yaml.safe_dump(review(document, given.number), sort_keys=False))
    sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
