"""Settings of what nodes cost, where it is not the price list's on-demand price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, Field

from components.settings.section import SECTION
from components.settings.types import FRACTION, NOT_BOOL, InstanceType, Name

Dollars = Annotated[float, Field(ge=0.001, le=10_000), FRACTION, NOT_BOOL]


class Prices(BaseModel):
    """US dollars for an hour of a node, over those that the program knows; a pool's own goes first."""

    model_config = SECTION

    pools: Mapping[Name, Dollars] = Field(
        default={},
        description="Dollars an hour of a node by GPU pool: of nodes that are there, reserved, spot or of a block.",
    )
    instance_types: Mapping[InstanceType, Dollars] = Field(
        default={}, description="Dollars an hour by instance type, where yours is not the on-demand price."
    )
