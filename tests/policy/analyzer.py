"""The pack behind the SDK's own server, asked as the engine asks it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from google.protobuf import json_format, struct_pb2
from inference_policy.pack import policies
from pulumi.runtime.proto import analyzer_pb2 as pb
from pulumi_policy import EnforcementLevel
from pulumi_policy.policy import _PolicyAnalyzerServicer
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

UNKNOWN: Final = UNKNOWN_STRING_VALUE
"""What the engine sends for a value that a preview cannot know."""
SECRET: Final = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
_urns: Final = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A resource that a program asks for."""

    type: str
    name: str = "it"
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] | None = None
    """What a server made of the inputs; without it the inputs."""
    protect: bool = False
    ignored: tuple[str, ...] = ()
    behind: Mapping[str, tuple[Asked, ...]] = field(default_factory=dict)
    """Resources that an input is made of."""
    number: int = field(default_factory=lambda: next(_urns))

    @property
    def urn(self) -> str:
        return f"urn:pulumi:test::inference::{self.type}::{self.name}-{self.number}"

    def edited(self, path: str, value: Any) -> Asked:
        """With another value at the path: `spec.template.spec.containers.0.image`."""
        inputs = copy.deepcopy(self.inputs)
        at, steps = _walk(inputs, path)
        at[steps] = value
        return replace(self, inputs=inputs)

    def without(self, path: str) -> Asked:
        """With nothing at the path."""
        inputs = copy.deepcopy(self.inputs)
        at, step = _walk(inputs, path)
        del at[step]
        return replace(self, inputs=inputs)


def _walk(tree: Any, path: str) -> tuple[Any, Any]:
    *way, last = [int(step) if step.isdecimal() else step for step in path.split("/")]
    for step in way:
        tree = tree.setdefault(step, {}) if isinstance(tree, dict) else tree[step]
    return tree, last


class Analyzer:
    """Says what is wrong with resources, by policy."""

    def __init__(self, config: Mapping[str, Mapping[str, Any]] | None = None, level: str = "MANDATORY") -> None:
        self.server = _PolicyAnalyzerServicer("inference", "0.1.0", policies(), EnforcementLevel[level])
        request = pb.ConfigureAnalyzerRequest()
        for policy, given in (config or {}).items():
            request.policyConfig[policy].enforcementLevel = getattr(pb, level)
            request.policyConfig[policy].properties.update(given)
        self.server.Configure(request, None)  # type: ignore[no-untyped-call]

    def problems(self, resources: Iterable[Asked]) -> list[tuple[str, str]]:
        """Policy and message of each violation, the last line of it alone."""
        asked = list(resources)
        answers = [self.server.Analyze(_request(each), None) for each in asked]  # type: ignore[no-untyped-call]
        stack = pb.AnalyzeStackRequest(resources=[_in_stack(each) for each in asked])
        answers.append(self.server.AnalyzeStack(stack, None))  # type: ignore[no-untyped-call]
        return [
            (each.policyName, each.message.rpartition("\n")[2]) for answer in answers for each in answer.diagnostics
        ]

    def remediated(self, resource: Asked) -> Asked | None:
        """The resource as the pack would have it; None where it leaves it alone."""
        answer = self.server.Remediate(_request(resource), None)  # type: ignore[no-untyped-call]
        assert not [each.diagnostic for each in answer.remediations if each.diagnostic]
        if not answer.remediations:
            return None
        return replace(resource, inputs=json_format.MessageToDict(answer.remediations[-1].properties))


def _options(asked: Asked) -> pb.AnalyzerResourceOptions:
    return pb.AnalyzerResourceOptions(protect=asked.protect, ignoreChanges=asked.ignored)


def _struct(tree: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(tree, struct_pb2.Struct())


def _request(asked: Asked) -> pb.AnalyzeRequest:
    return pb.AnalyzeRequest(
        type=asked.type, name=asked.name, urn=asked.urn, properties=_struct(asked.inputs), options=_options(asked)
    )


def _in_stack(asked: Asked) -> pb.AnalyzerResource:
    outputs = asked.inputs if asked.outputs is None else asked.outputs
    resource = pb.AnalyzerResource(
        type=asked.type, name=asked.name, urn=asked.urn, properties=_struct(outputs), options=_options(asked)
    )
    for key, others in asked.behind.items():
        resource.propertyDependencies[key].urns.extend(each.urn for each in others)
    return resource
