"""What the engine is told of resources beside their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.components.program import Recorder, run_program


def options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The request for a resource of each type, by what follows the last colon of the type."""
    found: dict[str, Any] = {}
    original = Recorder.RegisterResource

    def register(self: Recorder, request: Any) -> Any:
        found[request.type.rsplit(":", 1)[-1]] = request
        return original(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "RegisterResource", register)
        run_program(config)
    return found
