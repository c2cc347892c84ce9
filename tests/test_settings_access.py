"""Refusals of the settings of who reaches the models."""

from __future__ import annotations

from typing import Any

import pytest

from components.settings import SettingsError, parse
from tests.components.samples import SMALLEST, changed, raw

DOOR = "inference:gateway"
GATEWAY = {"kind": "gateway", "name": "shared", "host": "llm.example.com"}
OURS = {"kind": "gateway", "className": "traefik", "host": "llm.example.com"}
NGINX = {"kind": "ingress", "className": "nginx", "controller": "nginx", "host": "llm.example.com"}
OPEN = {"gatewayNamespace": "gateway"}


def of(door: dict[str, Any], policy: dict[str, Any] = OPEN, **model: Any) -> dict[str, Any]:
    config = changed(changed(SMALLEST, "gateway", door), "networkPolicy", policy)
    return changed(config, "models.chat", config["models"]["chat"] | model)


@pytest.mark.parametrize(
    ("config", "mistake"),
    [
        pytest.param(
            of({"kind": "gateway", "host": "llm.example.com"}),
            f"{DOOR}.className: is missing, and so is name; allowed: name for a Gateway that is there, or className; "
            f"set it with: pulumi config set --path '{DOOR}.className' traefik",
            id="no Gateway",
        ),
        pytest.param(
            of(GATEWAY | {"className": "traefik"}),
            f'{DOOR}.className: "traefik" is for a Gateway that is made, and name is one that is there; allowed: name '
            "or className; take one of them out",
            id="two Gateways",
        ),
        pytest.param(
            of(OURS | {"listener": "https"}),
            f'{DOOR}.listener: "https" is for a Gateway that is there, and this one is made; allowed: none with '
            "className; take it out; the listener follows from tls",
            id="a listener of ours",
        ),
        pytest.param(
            of(GATEWAY | {"tls": {"secret": "llm-tls"}}),
            f"{DOOR}.tls: is for a Gateway that is made: one that is there has its listeners already; allowed: none "
            "with name; take it out, and set scheme to what the listener speaks",
            id="a certificate for a Gateway that is there",
        ),
        pytest.param(
            of(GATEWAY | {"requestSeconds": 60}),
            f"{DOOR}.requestSeconds: 60 is less than 300; allowed: an integer from 300 to 3600; set it with: "
            f"pulumi config set --path '{DOOR}.requestSeconds' 600",
            id="the usual 60 s",
        ),
        pytest.param(
            of(GATEWAY, drainSeconds=900),
            f"{DOOR}.requestSeconds: cuts answers of model chat after 600 s: its drainSeconds let answers run for "
            f"900 s; allowed: at least 900, at most 3600; set it with: pulumi config set --path "
            f"'{DOOR}.requestSeconds' 900",
            id="a shorter time than the drain",
        ),
        pytest.param(
            of(NGINX, outputTokens=8000, tpotMillis=150),
            f"{DOOR}.requestSeconds: cuts answers of model chat after 600 s: 8000 outputTokens x 150 ms are 1200 s; "
            f"allowed: at least 1200, at most 3600; set it with: pulumi config set --path "
            f"'{DOOR}.requestSeconds' 1200",
            id="a shorter time than an answer",
        ),
        pytest.param(
            of(GATEWAY, policy={}),
            "inference:networkPolicy.gatewayNamespace: is missing: the NetworkPolicies would let no gateway through to "
            "the engines; allowed: the namespace of the gateway's pods; set it with: pulumi config set --path "
            "'inference:networkPolicy.gatewayNamespace' gateway",
            id="a gateway that the policies stop",
        ),
        pytest.param(
            of(NGINX | {"controller": "alb"}, policy={}),
            "inference:networkPolicy.clients: is missing: the NetworkPolicies would let no gateway through to the "
            "engines; allowed: the addresses of the load balancer's subnets; write them in the stack file: clients: "
            "[10.0.0.0/16]",
            id="a load balancer that the policies stop",
        ),
        pytest.param(
            of(NGINX | {"controller": "alb", "tls": {"secret": "llm-tls"}}),
            f"{DOOR}.tls: has a secret; allowed: tls.certificate with controller alb; name the certificate as "
            "gateway.tls.certificate in the stack file",
            id="a Secret for an ALB",
        ),
        pytest.param(
            of(NGINX | {"tls": {}}),
            f"{DOOR}.tls: has no secret; allowed: tls.secret with controller nginx; name the certificate as "
            "gateway.tls.secret in the stack file",
            id="no certificate",
        ),
        pytest.param(
            of(NGINX | {"controller": "traefik", "maxBodyMiB": 4}),
            f"{DOOR}.maxBodyMiB: 4 cannot be said to controller traefik by an annotation; allowed: none, or controller "
            "nginx; take it out, and configure the controller itself",
            id="a bound that traefik has no annotation for",
        ),
        pytest.param(
            of(NGINX | {"controller": "other"}),
            f"{DOOR}.hosts.chat: is missing: nothing tells a controller that we do not know to rewrite /chat/v1 to "
            "/v1; allowed: a host for each model with controller other; set it with: pulumi config set --path "
            f"'{DOOR}.hosts.chat' chat.llm.example.com",
            id="a path that nobody rewrites",
        ),
        pytest.param(
            of(GATEWAY | {"hosts": {"chta": "chat.example.com"}}),
            f"{DOOR}.hosts.chta: is the host of no model; allowed: a key of inference:models (chat); rename it in the "
            "stack file, or take it out",
            id="a host of nobody",
        ),
        pytest.param(
            of(GATEWAY | {"host": "https://llm.example.com/"}),
            f'{DOOR}.host: "https://llm.example.com/" is not valid; allowed: a host\'s name in lower case, without '
            f"scheme, port and path, such as llm.example.com; set it with: pulumi config set --path '{DOOR}.host' "
            "llm.example.com",
            id="an address for a host",
        ),
    ],
)
def test_each_mistake_is_a_line_that_says_what_to_do(config: dict[str, Any], mistake: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse(raw(config))
    assert str(error.value).splitlines() == [mistake]


def test_two_models_cannot_have_the_same_host() -> None:
    config = of(GATEWAY | {"hosts": {"chat": "a.example.com", "second": "a.example.com"}})
    config["models"]["second"] = config["models"]["chat"]
    with pytest.raises(SettingsError, match=r"second: a\.example\.com is the host of model chat too"):
        parse(raw(config))


@pytest.mark.parametrize(
    "config",
    [
        of(GATEWAY),
        of(GATEWAY, policy={"enabled": False}),
        of(NGINX | {"controller": "alb"}, policy={"clients": ["10.0.0.0/16"]}),
        of(GATEWAY | {"requestSeconds": 900}, drainSeconds=900),
        of(NGINX, outputTokens=8000, tpotMillis=75),
    ],
    ids=["a gateway", "without policies", "an ALB", "as long as the drain", "as long as an answer"],
)
def test_what_goes_together_is_taken(config: dict[str, Any]) -> None:
    assert parse(raw(config)).gateway is not None
