"""Settings of who asks a Prometheus that does not answer everybody."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from components.settings.section import SECTION
from components.settings.types import Region, SecretKey, SecretName


class BearerAuth(BaseModel):
    """A token in the header of each query."""

    model_config = SECTION

    kind: Literal["bearer"] = Field(description="How Prometheus is asked: with a bearer token.")
    secret: SecretName = Field(
        description="Secret of the models' namespace.", json_schema_extra={"examples": ["prometheus"]}
    )
    key: SecretKey = Field(default="token", description="Key of the Secret with the token.")


class BasicAuth(BaseModel):
    """A user and a password in the header of each query."""

    model_config = SECTION

    kind: Literal["basic"] = Field(description="How Prometheus is asked: with a user and a password.")
    secret: SecretName = Field(
        description="Secret of the models' namespace.", json_schema_extra={"examples": ["prometheus"]}
    )
    username_key: SecretKey = Field(default="username", description="Key of the Secret with the user.")
    password_key: SecretKey = Field(default="password", description="Key of the Secret with the password.")


class AwsAuth(BaseModel):
    """Queries that are signed by SigV4, for Amazon Managed Service for Prometheus."""

    model_config = SECTION

    kind: Literal["aws"] = Field(
        description="How Prometheus is asked: signed with the role of KEDA's operator, for a managed one of AWS."
    )
    region: Region | None = Field(default=None, description="Region of the workspace; without it aws:region.")


Auth = Annotated[BearerAuth | BasicAuth | AwsAuth, Field(discriminator="kind")]
