"""The claims in the program: nothing is registered where one is refused; what is accepted is told and handed out."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from claims import claims_of
from claims.claim import Verdict
from components.settings import parse
from rehearsal import stack
from tests.components.program import Recorder, run_program
from tests.components.samples import SMALLEST, changed, settings

STACK = "pulumi:pulumi:Stack"
WHY = "a stack for tests, of which nobody asks anything"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the program logs, each with its severity."""
    lines: list[tuple[str, str]] = []
    for severity in ("info", "error"):
        monkeypatch.setattr(pulumi.log, severity, lambda text, *_, at=severity, **__: lines.append((at, text)))
    return lines


def accepting(config: dict[str, Any], **more: str) -> dict[str, Any]:
    refused = {claim.key for claim in claims_of(settings(config)) if claim.verdict is Verdict.REFUSED}
    return changed(config, "claims", {"accept": dict.fromkeys(refused, WHY) | more})


def test_a_refused_claim_ends_the_program_before_anything_is_registered(said: list[tuple[str, str]]) -> None:
    seen: list[Recorder] = []
    with pytest.raises(pulumi.RunError, match=r"not hold on stack test; nothing was changed\. To go on all the same"):
        run_program(SMALLEST, seen=seen, checked=True)
    (recorder,) = seen
    assert {each.type for each in recorder.registrations} == {STACK}
    refused = [claim for claim in claims_of(settings(SMALLEST)) if claim.verdict is Verdict.REFUSED]
    errors = [text for severity, text in said if severity == "error"]
    assert [line.split(" ")[0] for line in errors] == [claim.key for claim in refused]
    assert not any("\n" in line for line in errors)
    assert "fits:models.chat is refused: it does not hold that 32 requests of 8,192 tokens fit in the" in errors[0]
    assert errors[0].endswith("; inference:models.chat.concurrency 2 (or contextLength 512)")


def test_what_is_accepted_goes_on_and_is_told_every_time(said: list[tuple[str, str]]) -> None:
    recorder = run_program(accepting(SMALLEST), checked=True)
    assert recorder.one("Deployment").name == "chat"
    ((severity, text),) = said
    assert severity == "info"
    assert text.startswith("claims: ")
    assert f"accepted: {WHY}" in text
    (outputs,) = [value for urn, value in recorder.outputs.items() if urn.endswith("::inference-test")]
    assert outputs["claims"]["accepted"]["fits:models.chat"] == WHY
    assert outputs["claims"]["refused"] == {}


def test_an_acceptance_of_nothing_stops_it_too(said: list[tuple[str, str]]) -> None:
    with pytest.raises(pulumi.RunError, match="a claim does not hold"):
        run_program(accepting(SMALLEST, **{"scales:models.gone": WHY}), checked=True)
    ((_, line),) = [each for each in said if each[0] == "error"]
    assert line.startswith('inference:claims.accept["scales:models.gone"]: is no claim on this stack')


@pytest.mark.parametrize("name", ["dev", "prod", "local"])
def test_the_stacks_that_ship_go_on(name: str, said: list[tuple[str, str]]) -> None:
    written = stack.configuration(name)
    config = {key.removeprefix("inference:"): value for key, value in written.items()}
    assert parse({key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()})
    recorder = run_program(config, checked=True)
    assert [severity for severity, _ in said] == ["info"]
    (outputs,) = [value for urn, value in recorder.outputs.items() if urn.endswith("::inference-test")]
    assert outputs["claims"]["refused"] == {}
