"""The way from Pulumi's configuration to settings, and of mistakes to Pulumi's error channel."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks

from components.settings import hub_token, load
from tests.components.program import Recorder, event_loop
from tests.components.samples import AWS_ATTACHED, SMALLEST, changed, full, raw, settings


@pytest.fixture(autouse=True)
def _runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("PULUMI_CONFIG", raising=False)
    with event_loop():
        recorder = Recorder()
        mocks.set_mocks(recorder.mocks, project="inference", stack="dev", preview=True, monitor=recorder)
        yield
        pulumi.runtime.set_all_config({}, [])


def configure(values: Mapping[str, str], *secrets: str) -> pulumi.Config:
    pulumi.runtime.set_all_config(
        {"aws:region": "eu-west-1"} | {full(key): value for key, value in values.items()},
        [full(key) for key in secrets],
    )
    return pulumi.Config("inference")


def test_settings_come_from_the_projects_own_keys() -> None:
    assert load(configure(raw(SMALLEST))) == settings(SMALLEST)


def test_region_and_profile_are_the_aws_providers_own_settings() -> None:
    loaded = load(configure(raw(AWS_ATTACHED)))
    assert loaded == settings(AWS_ATTACHED)
    assert (loaded.region, loaded.profile) == ("us-west-2", None)
    assert load(configure(raw(AWS_ATTACHED | {"aws:profile": "ml"}))).profile == "ml"


def test_settings_come_from_the_environment_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps({f"inference:{key}": value for key, value in raw(SMALLEST).items()}))
    assert load(pulumi.Config("inference")) == settings(SMALLEST)


def test_every_mistake_is_an_error_of_its_own_and_the_program_ends_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = changed(changed(SMALLEST, "models.chat.contextLength", "long"), "namespce", "llm")
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(pulumi.RunError, match="the settings of stack dev have 2 mistakes; nothing was changed"),
    ):
        load(configure(raw(config)))
    assert [line.split(": ")[0] for line in caplog.messages] == [
        "inference:models.chat.contextLength",
        "inference:namespce",
    ]


def test_a_plain_token_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    config = configure(raw(SMALLEST | {"hfToken": "hf_plain"}))
    with pytest.raises(pulumi.RunError, match="have a mistake;"):
        load(config)
    assert "hf_plain" not in caplog.text
    assert "pulumi config set --secret inference:hfToken" in caplog.text


def test_a_secret_token_stays_a_secret() -> None:
    config = configure(raw(SMALLEST | {"hfToken": "hf_secret"}), "hfToken")
    seen: list[object] = []

    def read() -> pulumi.Output[None]:
        token = hub_token(config)
        assert token is not None
        secret: pulumi.Output[Any] = pulumi.Output.from_input(token.is_secret())
        return pulumi.Output.all(token, secret).apply(seen.append)

    pulumi.runtime.test(read)()  # type: ignore[no-untyped-call]
    assert load(config) == settings(SMALLEST)
    assert seen == [["hf_secret", True]]


def test_a_stack_without_a_token_has_none() -> None:
    assert hub_token(configure(raw(SMALLEST))) is None
