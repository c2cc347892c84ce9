"""Runs the whole program against a monitor that records every registration, without an engine or a cluster."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import runpy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pulumi
import pytest
from google.protobuf import empty_pb2, json_format
from pulumi.runtime import mocks
from pulumi.runtime.proto.source_pb2 import StackTrace
from pulumi.runtime.settings import set_root_resource
from pulumi.runtime.stack import Stack

from tests.components.samples import full, raw

PROJECT: Final = Path(__file__).parents[2]
SECRET: Final = ("4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270")

ACCOUNT: Final = "123456789012"
AWS_OUTPUTS: Final[dict[str, dict[str, Any]]] = {
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1, "defaultVersion": 1},
    "aws:fsx/lustreFileSystem:LustreFileSystem": {"dnsName": "fs.example.com", "mountName": "abcdefgh"},
    "aws:efs/fileSystem:FileSystem": {"dnsName": "fs.example.com"},
    "aws:kms/key:Key": {"keyId": "12345678-1234-1234-1234-123456789012"},
}
"""What AWS adds to the inputs of a resource, beyond its name and ARN."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A resource as the program asked for it; `inputs` is JSON on the wire, with secrets still marked."""

    urn: str
    type: str
    name: str
    parent: str
    provider: str
    depends_on: list[str]
    protect: bool
    ignore_changes: list[str]
    replace_on_changes: list[str]
    timeouts: dict[str, str]
    inputs: dict[str, Any]


@dataclass
class Recorder(mocks.MockMonitor):
    """A monitor that answers with the inputs as state and keeps what it was asked."""

    registrations: list[Registration] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(_Echo())

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name in the protocol
        with event_loop():
            response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        self.registrations.append(
            Registration(
                urn=response.urn,
                type=request.type,
                name=request.name,
                parent=request.parent,
                provider=request.provider,
                depends_on=list(request.dependencies),
                protect=request.protect,
                ignore_changes=list(request.ignoreChanges),
                replace_on_changes=list(request.replaceOnChanges),
                timeouts={"create": request.customTimeouts.create, "update": request.customTimeouts.update},
                inputs=json_format.MessageToDict(request.object),
            )
        )
        return response

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - the name in the protocol
        with event_loop():
            return super().Invoke(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the name in the protocol
        self.outputs[request.urn] = json_format.MessageToDict(request.outputs)
        return empty_pb2.Empty()

    def of(self, kind: str) -> list[Registration]:
        """Registrations whose type ends with `:kind`."""
        return [each for each in self.registrations if each.type.endswith(f":{kind}")]

    def one(self, kind: str) -> Registration:
        """The only registration whose type ends with `:kind`."""
        (found,) = self.of(kind)
        return found


class _Echo(mocks.Mocks):
    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        if args.token == "aws:eks/getCluster:getCluster":
            return aws_cluster(args.args["name"]) | args.args, []
        message = f"the program calls no other function of a provider, but did call {args.token}"
        raise AssertionError(message)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if not args.typ.startswith("aws:"):
            metadata = {"name": f"{args.name}-0123abcd", **args.inputs.get("metadata", {})}
            return f"{args.name}-id", {**args.inputs, "metadata": metadata} if "kind" in args.inputs else args.inputs
        service = args.typ.split(":")[1].split("/")[0]
        named = {"name": args.name, "arn": f"arn:aws:{service}:us-west-2:{ACCOUNT}:{args.name}"}
        outputs = named | AWS_OUTPUTS.get(args.typ, {}) | args.inputs
        if args.typ == "aws:eks/cluster:Cluster":
            facts = aws_cluster(args.name)
            (authority,) = facts.pop("certificateAuthorities")
            outputs = facts | outputs | {"certificateAuthority": authority}
            outputs["vpcConfig"] = facts["vpcConfig"] | args.inputs["vpcConfig"]
        return f"{args.name}-id", outputs


def aws_cluster(name: str) -> dict[str, Any]:
    """What EKS says of a cluster."""
    return {
        "arn": f"arn:aws:eks:us-west-2:{ACCOUNT}:cluster/{name}",
        "certificateAuthorities": [{"data": "Y2E="}],
        "endpoint": f"https://{name}.eks.example.com",
        "version": "1.34",
        "vpcConfig": {
            "clusterSecurityGroupId": "sg-0c1b2c3d4e5f60001",
            "subnetIds": ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"],
            "vpcId": "vpc-0a1b2c3d4e5f60001",
        },
    }


def run_program(
    config: Mapping[str, Any],
    *,
    secrets: Iterable[str] = (),
    seen: list[Recorder] | None = None,
    checked: bool = False,
) -> Recorder:
    """Run the program with a stack configuration, wait for everything that it started, and return what it registered.

    `seen` gets the recorder first, for programs that fail. Unless it is `checked`, what is registered does not hang on
    whether the claims on the stack hold: most samples are for one part of it.
    """
    recorder = Recorder()
    if seen is not None:
        seen.append(recorder)
    with event_loop(), pytest.MonkeyPatch.context() as patch:
        # An f-string of an Output is an error then, and not a sentence in a resource's inputs.
        patch.setenv("PULUMI_ERROR_OUTPUT_STRING", "true")
        # The program freezes what it has loaded, for its one short run; here the garbage of every run would stay.
        patch.setattr(gc, "freeze", lambda: None)
        # Where a resource is made in the source takes a fifth of a run, and no test asks for it.
        patch.setattr("pulumi.runtime.resource._get_stack_trace", StackTrace)
        if not checked:
            patch.setattr("claims.check.check", lambda _: {})
        mocks.set_mocks(_Echo(), project="inference", stack="test", preview=False, monitor=recorder)
        pulumi.runtime.set_all_config(
            {full(key): value for key, value in raw(config).items()}, [full(key) for key in secrets]
        )
        set_root_resource(None)  # type: ignore[arg-type]
        try:
            pulumi.runtime.test(_main)()  # type: ignore[no-untyped-call]
        finally:
            set_root_resource(None)  # type: ignore[arg-type]
            pulumi.runtime.set_all_config({}, [])
    _freeze_what_is_loaded()
    return recorder


@functools.cache
def _freeze_what_is_loaded() -> None:
    """Once, after a first run: to look for garbage in the SDKs' million objects takes a good part of every other."""
    gc.collect()
    gc.freeze()


@contextmanager
def event_loop() -> Iterator[None]:
    """An event loop for this thread, run empty and closed in the end.

    One that Pulumi opens by itself stays open, and pytest reports it.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        pending = asyncio.all_tasks(loop)
        if pending:
            loop.run_until_complete(asyncio.wait(pending))
        asyncio.set_event_loop(None)
        loop.close()


def _main() -> None:
    def program() -> None:
        runpy.run_path(str(PROJECT), run_name="__main__")

    Stack(program)


def plain(value: Any) -> Any:
    """A recorded value without the marks of secrets."""
    if isinstance(value, dict):
        return (
            plain(value["value"])
            if value.get(SECRET[0]) == SECRET[1]
            else {key: plain(each) for key, each in value.items()}
        )
    return [plain(each) for each in value] if isinstance(value, list) else value


def public(value: Any) -> str:
    """A recorded value as text, with what is marked secret left out."""
    if isinstance(value, dict):
        if value.get(SECRET[0]) == SECRET[1]:
            return "[secret]"
        return json.dumps({key: public(each) for key, each in value.items()})
    return json.dumps([public(each) for each in value]) if isinstance(value, list) else json.dumps(value)
