"""The stand-in for the aws provider, called as the engine calls it."""

from __future__ import annotations

from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2 as pb

from rehearsal.plugins.aws_host import AmazonWebServices
from rehearsal.plugins.properties import dump, load

REGION = "us-west-2"


class Aborted(Exception):
    """What the engine is told instead of an answer."""


class Context:
    """A call's context that raises what it is aborted with."""

    def set_trailing_metadata(self, metadata: Any) -> None:
        """Nothing travels with a failure."""

    def abort(self, code: grpc.StatusCode, message: str) -> None:
        raise Aborted(message)


class Provider:
    """One configured provider; `up` does what the engine would do to bring a resource to its inputs."""

    def __init__(self, **settings: str) -> None:
        self.host = AmazonWebServices()
        variables = {f"aws:config:{key}": text for key, text in {"region": REGION, **settings}.items()}
        self.host.Configure(pb.ConfigureRequest(variables=variables), Context())

    def check(self, token: str, inputs: dict[str, Any], old: dict[str, Any] | None = None, name: str = "it") -> Any:
        request = pb.CheckRequest(
            urn=urn(token), type=token, name=name, randomSeed=b"12345678", news=dump(inputs), olds=dump(old or {})
        )
        return load(self.host.Check(request, Context()).inputs)

    def create(self, token: str, inputs: dict[str, Any], *, preview: bool = False) -> Resource:
        checked = self.check(token, inputs)
        request = pb.CreateRequest(urn=urn(token), properties=dump(checked), preview=preview)
        made = self.host.Create(request, Context())
        return Resource(self, token, made.id, checked, load(made.properties))

    def invoke(self, token: str, **args: Any) -> Any:
        answer = self.host.Invoke(pb.InvokeRequest(tok=token, args=dump(args)), Context())
        return load(getattr(answer, "return"))


class Resource:
    """A resource as it is in the engine's state."""

    def __init__(self, provider: Provider, token: str, id_: str, inputs: Any, state: Any) -> None:
        self.provider, self.token, self.id, self.inputs, self.state = provider, token, id_, inputs, state

    def diff(self, **changes: Any) -> pb.DiffResponse:
        request = pb.DiffRequest(
            id=self.id, urn=urn(self.token), olds=dump(self.state), news=dump(self._news(changes)),
            old_inputs=dump(self.inputs),
        )  # fmt: skip
        answer: pb.DiffResponse = self.provider.host.Diff(request, Context())
        return answer

    def update(self, *, preview: bool = False, **changes: Any) -> Any:
        news = self._news(changes)
        request = pb.UpdateRequest(
            id=self.id, urn=urn(self.token), olds=dump(self.state), news=dump(news), old_inputs=dump(self.inputs),
            preview=preview,
        )  # fmt: skip
        state = load(self.provider.host.Update(request, Context()).properties)
        if not preview:
            self.inputs, self.state = news, state
        return state

    def read(self) -> Any:
        request = pb.ReadRequest(
            id=self.id, urn=urn(self.token), type=self.token, inputs=dump(self.inputs), properties=dump(self.state)
        )
        return self.provider.host.Read(request, Context())

    def delete(self) -> None:
        request = pb.DeleteRequest(id=self.id, urn=urn(self.token), properties=dump(self.state))
        self.provider.host.Delete(request, Context())

    def _news(self, changes: dict[str, Any]) -> Any:
        return self.provider.check(self.token, {**self.inputs, **changes}, self.inputs)


def urn(token: str) -> str:
    return f"urn:pulumi:dev::inference::inference:index:Cluster${token}::it"
