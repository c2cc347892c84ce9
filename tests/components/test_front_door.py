"""How clients from outside come in: routes of the Gateway API, or Ingresses with their controllers' annotations."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from components import gateway_routes, ingress
from components.front_door import base_url
from components.settings import Gateway, Ingress
from tests.components.program import Recorder, plain, run_program
from tests.components.samples import SMALLEST, changed, settings

HOST, OWN = "llm.example.com", "chat.example.com"
BACKEND = ("chat", 8000)
CERTIFICATE = "arn:aws:acm:us-west-2:123456789012:certificate/0a1b2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d"


def config(kind: str, **door: Any) -> dict[str, Any]:
    with_door = changed(SMALLEST, "gateway", {"kind": kind, "host": HOST, **door})
    return changed(with_door, "networkPolicy", {"gatewayNamespace": "gateway"})


def gateway(**door: Any) -> Gateway:
    return cast("Gateway", settings(config("gateway", **({"className": "traefik"} | door))).gateway)


def at_gateway(**door: Any) -> Gateway:
    return cast("Gateway", settings(config("gateway", name="shared", **door)).gateway)


def by_ingress(controller: str, **door: Any) -> Ingress:
    given = {"className": controller, "controller": controller, **door}
    return cast("Ingress", settings(config("ingress", **given)).gateway)


def route(door: Gateway) -> dict[str, Any]:
    return gateway_routes.route_spec("front-door", "chat", door, BACKEND, "inference")


def rule(door: Gateway) -> dict[str, Any]:
    (found,) = route(door)["rules"]
    assert isinstance(found, dict)
    return found


def annotated(door: Ingress) -> dict[str, str]:
    model = settings(SMALLEST).models["chat"]
    return {
        key.partition("/")[2]: value
        for key, value in ingress.controller_annotations("chat", model, door, "inference").items()
    }


def test_behind_one_host_the_path_names_the_model_and_the_engine_never_sees_it() -> None:
    found = rule(at_gateway())
    assert found["matches"] == [{"path": {"type": "PathPrefix", "value": "/chat/v1"}}]
    assert found["filters"] == [
        {
            "type": "URLRewrite",
            "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/v1"}},
        }
    ]
    assert found["backendRefs"] == [{"kind": "Service", "name": "chat", "port": 8000}]
    assert route(at_gateway())["hostnames"] == [HOST]


def test_a_host_of_the_models_own_has_the_path_of_the_engine() -> None:
    door = at_gateway(hosts={"chat": OWN})
    assert rule(door)["matches"] == [{"path": {"type": "PathPrefix", "value": "/v1"}}]
    assert "filters" not in rule(door)
    assert route(door)["hostnames"] == [OWN]


@pytest.mark.parametrize("door", [at_gateway(), by_ingress("nginx"), by_ingress("traefik"), by_ingress("alb")])
def test_nothing_but_the_api_is_let_through(door: Gateway | Ingress) -> None:
    """/metrics, /health and what else an engine serves are nobody's outside of the cluster."""
    if isinstance(door, Gateway):
        paths = [match["path"]["value"] for match in rule(door)["matches"]]
    else:
        spec: Any = ingress.ingress_spec("chat", door, BACKEND)
        paths = [path.path for path in spec.rules[0].http.paths]
    assert [re.sub(r"/\(\.\*\)$", "", path) for path in paths] == ["/chat/v1"]


@pytest.mark.parametrize(("given", "seconds"), [({}, "600s"), ({"requestSeconds": 300}, "300s")])
def test_an_answer_may_take_as_long_as_the_settings_say(given: dict[str, int], seconds: str) -> None:
    assert rule(at_gateway(**given))["timeouts"] == {"request": seconds, "backendRequest": seconds}


@pytest.mark.parametrize(
    ("door", "parent"),
    [
        (at_gateway(), {"name": "shared"}),
        (at_gateway(namespace="inference"), {"name": "shared"}),
        (
            at_gateway(namespace="edge", listener="https"),
            {"name": "shared", "namespace": "edge", "sectionName": "https"},
        ),
        (gateway(), {"name": "front-door"}),
        (gateway(namespace="edge"), {"name": "front-door", "namespace": "edge"}),
    ],
)
def test_a_route_is_at_the_gateway_of_the_settings(door: Gateway, parent: dict[str, str]) -> None:
    assert route(door)["parentRefs"] == [parent]


def listener(door: Gateway) -> dict[str, Any]:
    (found,) = gateway_routes.gateway_spec(door, "inference")["listeners"]
    assert isinstance(found, dict)
    return found


def test_a_gateway_of_our_own_listens_by_tls_where_there_is_a_certificate() -> None:
    with_tls = gateway(tls={"secret": "llm-tls"})
    # Not every implementation fills in the group and kind of a reference.
    reference = {"group": "", "kind": "Secret", "name": "llm-tls"}
    tls = {"mode": "Terminate", "certificateRefs": [reference]}
    routes = {"namespaces": {"from": "Same"}}
    assert listener(with_tls) == {
        "name": "https",
        "port": 443,
        "protocol": "HTTPS",
        "tls": tls,
        "allowedRoutes": routes,
    }
    assert listener(gateway()) == {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": routes}
    assert listener(gateway(tls={"secret": "llm-tls"}, port=8443))["port"] == 8443


def test_a_gateway_elsewhere_takes_the_routes_of_our_namespace_and_no_others() -> None:
    assert listener(gateway(namespace="edge"))["allowedRoutes"] == {
        "namespaces": {
            "from": "Selector",
            "selector": {"matchLabels": {"kubernetes.io/metadata.name": "inference"}},
        }
    }


@pytest.mark.parametrize(
    ("door", "where"),
    [
        ({"tls": {"secret": "llm-tls"}}, None),
        ({"tls": {"secret": "llm-tls", "namespace": "inference"}}, None),
        ({"tls": {"secret": "llm-tls", "namespace": "edge"}, "namespace": "edge"}, None),
        ({"tls": {"secret": "llm-tls", "namespace": "certificates"}}, ("certificates", "inference")),
        ({"tls": {"secret": "llm-tls", "namespace": "inference"}, "namespace": "edge"}, ("inference", "edge")),
    ],
)
def test_a_certificate_of_another_namespace_is_granted_to_our_gateways_alone(
    door: dict[str, Any], where: tuple[str, str] | None
) -> None:
    recorder = run_program(config("gateway", className="traefik", **door))
    grants = [plain(each.inputs) for each in recorder.of("ReferenceGrant")]
    if where is None:
        assert grants == []
        return
    (grant,) = grants
    assert (grant["metadata"]["namespace"], grant["spec"]["from"][0]["namespace"]) == where
    assert grant["spec"]["to"] == [{"group": "", "kind": "Secret", "name": "llm-tls"}]


def made(recorder: Recorder) -> set[tuple[str, str]]:
    return {(each.type.rpartition(":")[2], each.name) for each in recorder.registrations if "FrontDoor" in each.parent}


@pytest.mark.parametrize(
    ("kind", "door", "objects"),
    [
        ("gateway", {"name": "shared"}, {("HTTPRoute", "chat")}),
        ("gateway", {"className": "traefik"}, {("Gateway", "front-door"), ("HTTPRoute", "chat")}),
        ("ingress", {"className": "nginx", "controller": "nginx"}, {("Ingress", "chat")}),
        ("ingress", {"className": "lb", "controller": "traefik"}, {("Ingress", "chat"), ("Middleware", "chat")}),
        (
            "ingress",
            {"className": "lb", "controller": "traefik", "hosts": {"chat": OWN}},
            {("Ingress", "chat")},
        ),
    ],
)
def test_a_door_is_one_object_a_model_and_its_url_is_an_output(
    kind: str, door: dict[str, Any], objects: set[tuple[str, str]]
) -> None:
    recorder = run_program(config(kind, **door))
    assert made(recorder) == objects
    (outputs,) = [value for urn, value in recorder.outputs.items() if urn.endswith("::inference-test")]
    scheme = "https" if door.get("name") else "http"
    path = f"{OWN}/v1" if "hosts" in door else f"{HOST}/chat/v1"
    assert outputs["models"]["chat"]["publicUrl"] == f"{scheme}://{path}"
    for each in recorder.registrations:
        if "FrontDoor" in each.parent:
            assert plain(each.inputs)["metadata"]["namespace"] == "inference"


def test_without_a_gateway_in_the_settings_there_is_no_door() -> None:
    recorder = run_program(SMALLEST)
    assert recorder.of("FrontDoor") == []
    assert "publicUrl" not in str(recorder.outputs)


@pytest.mark.parametrize(
    ("door", "url"),
    [
        (at_gateway(), f"https://{HOST}/chat/v1"),
        (at_gateway(scheme="http"), f"http://{HOST}/chat/v1"),
        (gateway(), f"http://{HOST}/chat/v1"),
        (gateway(tls={"secret": "llm-tls"}), f"https://{HOST}/chat/v1"),
        (by_ingress("nginx", tls={"secret": "llm-tls"}), f"https://{HOST}/chat/v1"),
        (by_ingress("nginx"), f"http://{HOST}/chat/v1"),
        (at_gateway(hosts={"chat": OWN}), f"https://{OWN}/v1"),
    ],
)
def test_the_base_url_is_what_openai_clients_take(door: Gateway | Ingress, url: str) -> None:
    assert base_url("chat", door) == url


def test_nginx_neither_cuts_nor_gathers_an_answer_and_takes_long_prompts() -> None:
    assert annotated(by_ingress("nginx")) == {
        "proxy-read-timeout": "600",
        "proxy-send-timeout": "600",
        "proxy-buffering": "off",
        "proxy-body-size": "16m",
        "use-regex": "true",
        "rewrite-target": "/v1/$1",
    }
    given = annotated(by_ingress("nginx", idleSeconds=300, maxBodyMiB=64, hosts={"chat": OWN}))
    assert given == {
        "proxy-read-timeout": "300",
        "proxy-send-timeout": "300",
        "proxy-buffering": "off",
        "proxy-body-size": "64m",
    }


def test_traefik_takes_the_models_name_off_the_path() -> None:
    door = by_ingress("traefik", tls={"secret": "llm-tls"})
    assert annotated(door) == {"router.tls": "true", "router.middlewares": "inference-chat@kubernetescrd"}
    recorder = run_program(config("ingress", className="traefik", controller="traefik"))
    assert plain(recorder.one("Middleware").inputs)["spec"] == {"stripPrefix": {"prefixes": ["/chat"]}}


def test_an_alb_waits_for_answers_lets_them_end_and_asks_the_engines_own_health() -> None:
    found = annotated(by_ingress("alb", tls={"certificate": CERTIFICATE}, idleSeconds=900))
    assert found["load-balancer-attributes"] == "idle_timeout.timeout_seconds=900"
    # preStop, drain and the end of the process: an engine that is stopped may go on for so long.
    assert found["target-group-attributes"] == "deregistration_delay.timeout_seconds=325"
    assert found["healthcheck-path"] == "/health"
    assert found["certificate-arn"] == CERTIFICATE
    assert found["listen-ports"] == '[{"HTTPS": 443}]'
    assert '"regex": "^/chat/v1/(.*)$", "replace": "/v1/$1"' in found["transforms.chat"]
    assert annotated(by_ingress("alb", hosts={"chat": OWN})).keys().isdisjoint({"transforms.chat", "certificate-arn"})


def test_an_unknown_controller_gets_what_the_user_writes() -> None:
    door = {"className": "own", "controller": "other", "hosts": {"chat": OWN}, "annotations": {"example.com/wait": 600}}
    found = plain(run_program(config("ingress", **door)).one("Ingress").inputs)["metadata"]["annotations"]
    assert found == {"pulumi.com/skipAwait": "true", "example.com/wait": "600"}


@pytest.mark.parametrize(
    ("door", "path", "kind"),
    [
        (by_ingress("nginx"), "/chat/v1/(.*)", "ImplementationSpecific"),
        (by_ingress("nginx", hosts={"chat": OWN}), "/v1", "Prefix"),
        (by_ingress("traefik"), "/chat/v1", "Prefix"),
        (by_ingress("alb"), "/chat/v1", "Prefix"),
    ],
)
def test_an_ingress_leads_to_the_models_service(door: Ingress, path: str, kind: str) -> None:
    spec: Any = ingress.ingress_spec("chat", door, BACKEND)
    (found,) = spec.rules
    (only,) = found.http.paths
    assert (only.path, only.path_type) == (path, kind)
    assert (only.backend.service.name, only.backend.service.port.number) == BACKEND
    assert found.host == door.hosts.get("chat", HOST)
    assert spec.tls is None


def test_an_ingress_has_the_certificate_of_its_host() -> None:
    spec: Any = ingress.ingress_spec("chat", by_ingress("nginx", tls={"secret": "llm-tls"}), BACKEND)
    (found,) = spec.tls
    assert (found.hosts, found.secret_name) == ([HOST], "llm-tls")
