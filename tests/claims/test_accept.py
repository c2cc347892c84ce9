"""Going on in spite of a refused claim: by its key or its id, with a reason, and for no longer than it is refused."""

from __future__ import annotations

import pytest

from claims import MODULES, claims_of
from claims.accept import accepted, stale
from claims.claim import Claim, Verdict
from components.settings import SettingsError
from components.settings.claims import CLAIM_IDS
from tests.components.samples import SMALLEST, changed, settings

WHY = "a demo of one day, with few users"


def claim(id_: str = "fits", subject: str = "models.chat", verdict: Verdict = Verdict.REFUSED) -> Claim:
    return Claim(id=id_, subject=subject, sentence="it holds", arithmetic=("1 > 0",), verdict=verdict, change="x 1")


def test_a_claim_is_accepted_by_its_key_or_all_of_its_id() -> None:
    chat, draft, late = claim(), claim(subject="models.draft"), claim("loads")
    by_key = accepted([chat, draft, late], {"fits:models.chat": WHY})
    assert [each.accepted for each in by_key] == [WHY, None, None]
    by_id = accepted([chat, draft, late], {"fits": WHY})
    assert [each.accepted for each in by_id] == [WHY, WHY, None]
    # The nearer one goes first.
    both = accepted([chat, draft], {"fits": WHY, "fits:models.draft": "only this one is small"})
    assert [each.accepted for each in both] == [WHY, "only this one is small"]


@pytest.mark.parametrize("verdict", [Verdict.PROVED, Verdict.UNPROVEN])
def test_what_is_not_refused_is_not_accepted(verdict: Verdict) -> None:
    assert accepted([claim(verdict=verdict)], {"fits": WHY})[0].accepted is None


def test_an_acceptance_of_what_is_refused_is_no_mistake() -> None:
    assert list(stale([claim()], {"fits:models.chat": WHY})) == []
    assert list(stale([claim(), claim(subject="models.draft", verdict=Verdict.PROVED)], {"fits": WHY})) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "fits:models.chat",
            (
                'inference:claims.accept["fits:models.chat"]: accepts what is not refused: it is proved; allowed: what '
                "is refused (loads:models.chat); take it out of the stack file"
            ),
        ),
        (
            "fits:models.gone",
            (
                'inference:claims.accept["fits:models.gone"]: is no claim on this stack; allowed: what is refused '
                "(loads:models.chat); take it out of the stack file"
            ),
        ),
    ],
)
def test_an_acceptance_that_has_gone_stale_is_a_mistake(name: str, line: str) -> None:
    (mistake,) = stale([claim(verdict=Verdict.PROVED), claim("loads")], {name: WHY, "loads": WHY})
    assert str(mistake) == line


def test_nothing_refused_is_said_so() -> None:
    (mistake,) = stale([claim(verdict=Verdict.UNPROVEN)], {"fits": WHY})
    assert "it is unproven; allowed: what is refused (nothing is now)" in str(mistake)


def test_the_settings_know_every_claim_that_there_is() -> None:
    assert tuple(module.__name__.removeprefix("claims.") for module in MODULES) == CLAIM_IDS
    found = claims_of(settings(SMALLEST))
    assert {each.id for each in found} <= set(CLAIM_IDS)
    assert [each.id for each in found] == sorted((each.id for each in found), key=CLAIM_IDS.index)


def test_no_claim_is_made_twice() -> None:
    keys = [each.key for each in claims_of(settings(SMALLEST))]
    assert len(keys) == len(set(keys))


def test_a_reason_of_the_settings_comes_with_the_claim() -> None:
    found = claims_of(settings(changed(SMALLEST, "claims", {"accept": {"fits:models.chat": WHY}})))
    assert [each.accepted for each in found if each.key == "fits:models.chat"] == [WHY]


@pytest.mark.parametrize("name", ["fit", "fits:models", "fits:models.", "fits:chat", "fits:models.Chat", "fits models"])
def test_what_is_no_claim_is_told_with_those_that_are(name: str) -> None:
    with pytest.raises(SettingsError) as error:
        settings(changed(SMALLEST, "claims", {"accept": {name: WHY}}))
    (line,) = str(error.value).splitlines()
    assert line == (
        f'inference:claims.accept{key(name)}: "{name}" is not a valid name; allowed: a claim: fits, schedules, loads, '
        "drops, scales, shares, reachable, pinned, private; of all, or of one: fits:models.chat, "
        "schedules:gpuPools.l40s; rename it in the stack file"
    )


def key(name: str) -> str:
    return f".{name}" if name.isalnum() else f'["{name}"]'


@pytest.mark.parametrize("name", CLAIM_IDS)
@pytest.mark.parametrize("subject", ["", ":stack", ":models.chat-2", ":gpuPools.l40s"])
def test_every_claim_can_be_named(name: str, subject: str) -> None:
    accept = {f"{name}{subject}": WHY}
    assert settings(changed(SMALLEST, "claims", {"accept": accept})).claims.accept == accept


@pytest.mark.parametrize("reason", ["", "too short", " " * 40, "x" * 501])
def test_a_reason_says_something(reason: str) -> None:
    with pytest.raises(SettingsError, match="why, in 10 to 500 characters"):
        settings(changed(SMALLEST, "claims", {"accept": {"fits": reason}}))
