"""What cuts a connection on its way in: a bound of the whole answer, and one of the time in which nothing comes.

An answer that is no stream is silent to its end, so that the second has to be as long as the first.
"""

from __future__ import annotations

from collections.abc import Iterator

from claims.parts import Part, setting
from components.settings import Ingress, Model, Settings
from components.settings.model import answer_seconds


def cut(settings: Settings, name: str, model: Model) -> Iterator[Part]:
    """The longest answer of a model against what the front door of the stack allows."""
    door = settings.gateway
    if door is None:
        yield Part(line="front door: none in this stack; what is inside the cluster cuts nothing")
        return
    tokens = model.output_tokens
    longest = model.drain_seconds if tokens is None else answer_seconds(tokens, model.tpot_millis)
    whole = door.request_seconds
    holds = longest <= whole
    yield Part(
        line=f"front door: {longest} s of an answer {'<=' if holds else '>'} {whole} s of a request",
        change=None if holds else setting("gateway.requestSeconds", longest),
    )
    stream = f"a request of {longest} s through {door.hosts.get(name, door.host)} that ends with finish_reason stop"
    if not isinstance(door, Ingress):
        yield Part(
            line="front door: nothing says whether the Gateway takes timeouts, which are an extended feature of its "
            "class, nor what is in front of it",
            proof=f"{stream}, and HTTPRouteRequestTimeout in the features of its GatewayClass",
        )
    elif door.controller in {"nginx", "alb"}:
        idle = longest <= door.idle
        yield Part(
            line=f"front door: {longest} s of silence {'<=' if idle else '>'} {door.idle} s that {door.controller} "
            "lets nothing come, as for an answer that is no stream",
            change=None if idle else setting("gateway.idleSeconds", longest),
        )
    elif door.controller == "traefik":
        yield Part(
            line="front door: traefik's entry points have a time of their own for what is silent, 180 s between "
            "requests and none within one by default"
        )
    else:
        yield Part(line="front door: the times of a controller that this program does not know", proof=stream)
