"""Settings of who reaches the models, and how: the front door, and the network around the pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from components.settings.section import SECTION, refusal
from components.settings.types import (
    NOT_BOOL,
    CertificateArn,
    Cidr,
    FreeText,
    Host,
    LabelKey,
    Name,
    Namespace,
    ObjectName,
    SecretName,
)

Seconds = Annotated[int, Field(ge=300, le=3600), NOT_BOOL]
NGINX_BODY_MIB: Final = 16
"""nginx's own is 1, which a prompt with an image exceeds."""

_HOST: Final[Any] = Field(description="Name under which clients reach the models: HOST/MODEL/v1 is a model's base URL.")
_HOSTS: Final[Any] = Field(
    default={}, description="Names of models that have one of their own, by model: there HOST/v1 is the base URL."
)
_REQUEST: Final[Any] = Field(default=600, description="Seconds that a whole answer may take; often 60 by default.")


class GatewayTls(BaseModel):
    """The certificate of a Gateway of our own, by reference."""

    model_config = SECTION

    secret: SecretName = Field(description="Secret with the certificate.", examples=["llm-tls"])
    namespace: Namespace | None = Field(
        default=None, description="Namespace of the Secret, which then gets a ReferenceGrant; without it the Gateway's."
    )


class IngressTls(BaseModel):
    """The certificate of an Ingress, by reference: a Secret, or for an ALB the ARN."""

    model_config = SECTION

    secret: SecretName | None = Field(default=None, description="Secret with the certificate, beside the models.")
    certificate: CertificateArn | None = Field(
        default=None, description="ARN of the certificate, for an ALB, which reads no Secrets."
    )


class Gateway(BaseModel):
    """Routes of the Gateway API, one a model, at a Gateway that is there or one of our own."""

    model_config = SECTION

    kind: Literal["gateway"] = Field(description="How clients come in: by routes of the Gateway API.")
    name: ObjectName | None = Field(default=None, description="Gateway that is there; without it one is made.")
    class_name: ObjectName | None = Field(
        default=None, description="GatewayClass of the Gateway that is made.", validate_default=True
    )
    namespace: Namespace | None = Field(
        default=None, description="Namespace of the Gateway, which has to be there; without it that of the models."
    )
    listener: ObjectName | None = Field(
        default=None, description="Listener of the Gateway that is there; without it all that take the routes."
    )
    host: Host = _HOST
    hosts: Mapping[Name, Host] = _HOSTS
    tls: GatewayTls | None = Field(default=None, description="Certificate of the Gateway that is made.")
    port: Annotated[int, Field(ge=1, le=65535), NOT_BOOL] | None = Field(
        default=None,
        description="Port of the listener of the Gateway that is made; without it 443 with tls, else 80; traefik's are "
        "those of its entry points, such as 8443.",
    )
    scheme: Literal["https", "http"] | None = Field(
        default=None, description="Of the base URLs at a Gateway that is there; without it https."
    )
    request_seconds: Seconds = _REQUEST

    @property
    def secure(self) -> bool:
        """Whether clients connect by TLS."""
        return self.tls is not None if self.name is None else self.scheme != "http"

    @field_validator("class_name")
    @classmethod
    def _one_gateway(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "name" not in info.data:
            return value
        name = info.data["name"]
        if value is None and name is None:
            raise refusal(
                "is missing, and so is name",
                at=("className",),
                allowed="name for a Gateway that is there, or className",
                example="traefik",
            )
        if value is not None and name is not None:
            raise refusal(
                "is for a Gateway that is made, and name is one that is there",
                allowed="name or className",
                fix="take one of them out",
            )
        return value

    @field_validator("listener", "scheme")
    @classmethod
    def _of_one_that_is_there(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("class_name") is not None:
            raise refusal(
                "is for a Gateway that is there, and this one is made",
                allowed="none with className",
                fix="take it out; the listener follows from tls",
            )
        return value

    @field_validator("tls", "port")
    @classmethod
    def _of_our_own(cls, value: GatewayTls | int | None, info: ValidationInfo) -> GatewayTls | int | None:
        if value is not None and info.data.get("name") is not None:
            raise refusal(
                "is for a Gateway that is made: one that is there has its listeners already",
                allowed="none with name",
                fix="take it out, and set scheme to what the listener speaks",
            )
        return value


class Ingress(BaseModel):
    """An Ingress a model, with the annotations that its controller needs for streams."""

    model_config = SECTION

    kind: Literal["ingress"] = Field(description="How clients come in: by Ingresses.")
    class_name: ObjectName = Field(description="IngressClass.", examples=["nginx"])
    controller: Literal["nginx", "traefik", "alb", "other"] = Field(
        description="Whose annotations: ingress-nginx, traefik, the AWS load balancer controller, or none of ours."
    )
    host: Host = _HOST
    hosts: Mapping[Name, Host] = _HOSTS
    tls: IngressTls | None = Field(default=None, description="Certificate.")
    request_seconds: Seconds = _REQUEST
    idle_seconds: Seconds | None = Field(
        default=None,
        description="Seconds in which nothing may come: a queue before the first token; without it requestSeconds.",
    )
    max_body_mib: Annotated[int, Field(ge=1, le=1024), NOT_BOOL] | None = Field(
        default=None, description=f"Largest request, with nginx: the others have no bound; without it {NGINX_BODY_MIB}."
    )
    annotations: Mapping[LabelKey, FreeText] = Field(
        default={}, description="Further annotations of the Ingresses, over the program's own."
    )

    @property
    def secure(self) -> bool:
        """Whether clients connect by TLS."""
        return self.tls is not None

    @property
    def idle(self) -> int:
        """Seconds in which nothing may come."""
        return self.idle_seconds or self.request_seconds

    @field_validator("tls")
    @classmethod
    def _a_certificate_that_the_controller_reads(
        cls, value: IngressTls | None, info: ValidationInfo
    ) -> IngressTls | None:
        if value is None or "controller" not in info.data:
            return value
        key, other = ("certificate", "secret") if info.data["controller"] == "alb" else ("secret", "certificate")
        if getattr(value, other) is not None or getattr(value, key) is None:
            raise refusal(
                f"has {'a ' + other if getattr(value, other) else 'no ' + key}",
                allowed=f"tls.{key} with controller {info.data['controller']}",
                fix=f"name the certificate as gateway.tls.{key} in the stack file",
            )
        return value

    @field_validator("idle_seconds", "max_body_mib")
    @classmethod
    def _what_the_controller_can(cls, value: int | None, info: ValidationInfo) -> int | None:
        able = {"idle_seconds": ("nginx", "alb"), "max_body_mib": ("nginx",)}[str(info.field_name)]
        controller = info.data.get("controller")
        if value is not None and controller is not None and controller not in able:
            raise refusal(
                f"cannot be said to controller {controller} by an annotation",
                allowed=f"none, or controller {' or '.join(able)}",
                fix="take it out, and configure the controller itself",
            )
        return value


FrontDoor = Annotated[Gateway | Ingress, Field(discriminator="kind")]


class NetworkPolicy(BaseModel):
    """Who may connect to the models' pods; out, they reach DNS, and seeding pods their source."""

    model_config = SECTION

    enabled: bool = Field(
        default=True, description="Whether to make NetworkPolicies: nothing in or out but what is named here."
    )
    clients: tuple[Cidr, ...] = Field(default=(), description="Addresses that may ask the engines directly.")
    gateway_namespace: Namespace | None = Field(
        default=None, description="Namespace of the gateway's pods, which may ask the engines."
    )
    prometheus_namespace: Namespace | None = Field(
        default="monitoring", description="Namespace of Prometheus, which may read the metrics."
    )
