"""Settings of what a cluster may have already, and otherwise gets as a Helm chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field

from components.settings.section import OVERLAY
from components.settings.types import ChartVersion, NamespaceName, Repository


class HelmAddon(BaseModel):
    """A chart at one exact version, or what is there."""

    model_config = OVERLAY

    install: bool = Field(default=False, description="Whether to install it; otherwise it has to be there.")
    namespace: NamespaceName = Field(description="Namespace of it, made by this program where it is installed.")
    repository: Repository = Field(description="Where the chart comes from.")
    version: ChartVersion = Field(description="Exact version of the chart.")
    values: Annotated[Mapping[str, Any], Field(json_schema_extra={"additionalProperties": True})] = Field(
        default={}, description="Further values of the chart, over the program's own."
    )
