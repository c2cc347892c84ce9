"""The claims in a preview: told, and where one is refused, the end of the program before any resource is registered."""

from __future__ import annotations

from typing import Any

import pulumi

from claims import claims_of, render
from claims.accept import stale
from claims.bill import told
from claims.claim import Verdict
from components.settings import Settings


def check(settings: Settings) -> dict[str, Any]:
    """Log the claims on the stack, and give what its outputs keep of them.

    `pulumi.RunError` where one is refused and not accepted, or an acceptance is for none: each is an error of its own,
    on a line of its own, and nothing is changed.
    """
    claims = claims_of(settings)
    pulumi.log.info(f"{render.table(claims)}\n{told(settings)}")
    refused = [claim for claim in claims if claim.verdict is Verdict.REFUSED and claim.accepted is None]
    errors = [*map(render.refusal, refused), *map(str, stale(claims, settings.claims.accept))]
    for error in errors:
        pulumi.log.error(error)
    if errors:
        count = "a claim does" if len(errors) == 1 else f"{len(errors)} claims do"
        raise pulumi.RunError(
            f"{count} not hold on stack {pulumi.get_stack()}; nothing was changed. To go on all the same, say why: "
            "pulumi config set --path 'inference:claims.accept[\"fits:models.NAME\"]' 'the reason'"
        )
    return render.summary(claims)
