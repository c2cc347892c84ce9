"""Whatever a stack file holds: a refusal in plain lines, or claims; and what no claim refuses can be previewed."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import HealthCheck, given, settings

from claims import Verdict, claims_of, render
from claims.claim import Claim
from components.settings import SettingsError, parse
from tests.components.program import run_program
from tests.components.samples import raw
from tests.figures import FIGURES
from tests.mistakes.corpus import refusals_of
from tests.mistakes.trees import likely_stacks, odd_stacks

SECRETS: Final = ("hfToken", "apiKeys")
TRIED = "fuzzed stacks"
REFUSED_BY_SETTINGS = "fuzzed stacks: refused, with mistakes of settings"
REFUSED_BY_CLAIMS = "fuzzed stacks: refused, by claims"
PREVIEWED = "fuzzed stacks: let through, and their program ran"


FEW: Final = settings(max_examples=150, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@FEW
@given(config=odd_stacks())
def test_whatever_a_stack_holds_there_is_no_traceback(config: dict[str, Any]) -> None:
    _refused_in_plain_lines_or_previewed(config)


@FEW
@given(config=likely_stacks())
def test_what_is_not_refused_can_be_previewed(config: dict[str, Any]) -> None:
    _refused_in_plain_lines_or_previewed(config)


def _refused_in_plain_lines_or_previewed(config: dict[str, Any]) -> None:
    FIGURES[TRIED] += 1
    secrets = [key for key in SECRETS if key in config]
    try:
        checked = parse(raw(config), frozenset(secrets))
    except SettingsError as error:
        for mistake in error.mistakes:
            _is_one_line(str(mistake))
            assert mistake.key
            assert mistake.fix
        FIGURES[REFUSED_BY_SETTINGS] += 1
        return
    claims = claims_of(checked)
    for claim in claims:
        _is_whole(claim)
    assert render.table(claims, everything=True)
    if refusals_of(checked):
        FIGURES[REFUSED_BY_CLAIMS] += 1
        return
    recorder = run_program(config, secrets=secrets, checked=True)
    assert {each.name for each in recorder.of("InferenceServer")} == set(checked.models)
    FIGURES[PREVIEWED] += 1


def _is_whole(claim: Claim) -> None:
    for line in (claim.sentence, *claim.arithmetic, *filter(None, (claim.change, claim.proof))):
        _is_one_line(line)
    assert claim.arithmetic
    assert (claim.change is not None) == (claim.verdict is Verdict.REFUSED), claim
    assert (claim.proof is not None) == (claim.verdict is Verdict.UNPROVEN), claim


def _is_one_line(text: str) -> None:
    assert text
    assert text.isprintable(), repr(text)
