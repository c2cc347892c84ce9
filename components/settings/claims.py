"""What the preview claims, and which of its refusals somebody goes on in spite of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, Field

from components.settings.section import SECTION

CLAIM_IDS: Final = ("fits", "schedules", "loads", "drops", "scales", "shares", "reachable", "pinned", "private")
"""In the order in which they are told."""
CLAIM_KEY_ALLOWED: Final = (
    f"a claim: {', '.join(CLAIM_IDS)}; of all, or of one: fits:models.chat, schedules:gpuPools.l40s"
)
_NAME: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"

ClaimKey = Annotated[
    str,
    Field(
        pattern=rf"^({'|'.join(CLAIM_IDS)})(:(stack|(models|gpuPools)\.{_NAME}))?$",
        json_schema_extra={"patternErrorMessage": CLAIM_KEY_ALLOWED},
    ),
]
Reason = Annotated[
    str,
    Field(
        pattern=r"^\s*\S[\s\S]{8,498}\S\s*$",
        json_schema_extra={"patternErrorMessage": "why, in 10 to 500 characters"},
    ),
]


class Claims(BaseModel):
    """What is claimed of the stack before anything of it is changed."""

    model_config = SECTION

    accept: Mapping[ClaimKey, Reason] = Field(
        default={},
        description="Claims that are refused and do not stop a change, each with the reason, which every preview "
        "prints: fits:models.chat, or fits for every model.",
    )
