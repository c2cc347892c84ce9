"""Settings of what scales the models: KEDA, and what holds requests while a model has no replica."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, Field

from components.settings.helm import HelmAddon
from components.settings.section import SECTION, over

KEDACORE: Final = "https://kedacore.github.io/charts"
KEDA: Final = HelmAddon(namespace="keda", repository=KEDACORE, version="2.21.0")
HTTP_ADD_ON: Final = HelmAddon(namespace="keda", repository=KEDACORE, version="0.12.0")


class Autoscaling(BaseModel):
    """What scales every model whose replicas.max is above its replicas.min."""

    model_config = SECTION

    keda: Annotated[HelmAddon, over(KEDA)] = Field(default=KEDA, description="KEDA, which makes and feeds the scalers.")
    http_add_on: Annotated[HelmAddon, over(HTTP_ADD_ON)] | None = Field(
        default=None,
        description="KEDA's HTTP add-on, which holds the requests of models with replicas.min 0 until one is ready.",
    )
