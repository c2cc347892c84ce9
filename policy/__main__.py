"""The policy pack: `pulumi preview --policy-pack policy`, as `make preview` does."""

from __future__ import annotations

from inference_policy.pack import policies
from pulumi_policy import EnforcementLevel, PolicyPack

PolicyPack(
    "inference",
    policies(),
    enforcement_level=EnforcementLevel.MANDATORY,
    description="What holds for every resource of an inference stack, ours or added by hand",
)
