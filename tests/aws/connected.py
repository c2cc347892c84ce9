"""Runs only what connects the program to its cluster, and records what that registered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pytest
from pulumi.runtime.stack import Stack

from components.cluster import Connection, connect
from tests.components import program
from tests.components.samples import settings


@dataclass
class Recorder(program.Recorder):
    """Keeps what resources ignore as well, and the connection that came of it."""

    ignored: dict[str, list[str]] = field(default_factory=dict)
    connection: Connection | None = None
    eks: dict[str, Any] = field(default_factory=dict)
    """The fields of the connection's EKS part that have a value."""

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name in the protocol
        response = super().RegisterResource(request)
        self.ignored[response.urn] = list(request.ignoreChanges)
        return response

    def named(self, kind: str, name: str) -> program.Registration:
        """The registration of a type that ends with `:kind` and a name."""
        (found,) = [each for each in self.of(kind) if each.name == name]
        return found


def connected(config: Mapping[str, Any]) -> Recorder:
    """What `connect` registers for a stack configuration."""
    seen: list[program.Recorder] = []

    def main() -> None:
        def connecting() -> None:
            recorder = seen[0]
            assert isinstance(recorder, Recorder)
            recorder.connection = connection = connect(settings(config))
            if connection.eks is not None:
                fields = {key: value for key, value in vars(connection.eks).items() if value is not None}
                pulumi.Output.all(**fields).apply(recorder.eks.update)

        Stack(connecting)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "_main", main)
        patch.setattr(program, "Recorder", Recorder)
        recorder = program.run_program(config, seen=seen)
    assert isinstance(recorder, Recorder)
    return recorder


def trust(recorder: Recorder, role: str) -> dict[str, Any]:
    """Who may assume a role, by its name in the program."""
    document: dict[str, Any] = json.loads(recorder.named("Role", role).inputs["assumeRolePolicy"])
    return document
