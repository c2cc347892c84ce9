"""Whether a secret stands in clear, wherever people put one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claims.claim import Verdict
from claims.private import claims
from tests.claims.one import chat_with, claim_on, scaled
from tests.components.samples import AWS_CREATED, CUSTOM, SMALLEST, changed

TOKEN = "hf_" + "aB3dE5fG7hJ9kL1m"
WORD = "hunter2"
NUMBER = "0011223344"
CHAT = "inference:models.chat"
VALUES = "inference:monitoring.prometheus.values"


def with_model(**values: Any) -> dict[str, Any]:
    return chat_with(SMALLEST, **values)


def env(name: str) -> str:
    return f'{CHAT}.env["{name}"]'


def with_values(prometheus: dict[str, Any]) -> dict[str, Any]:
    config = scaled()
    return changed(config, "monitoring.prometheus", {"install": True, "values": prometheus})


@pytest.mark.parametrize(
    "config", [SMALLEST, CUSTOM, AWS_CREATED, scaled()], ids=["smallest", "custom", "aws", "scaled"]
)
def test_a_stack_without_secrets_is_proved(config: dict[str, Any]) -> None:
    claim = claim_on(claims, config, "stack")
    assert (claim.verdict, claim.change, claim.proof) == (Verdict.PROVED, None, None)
    assert claim.arithmetic[0].endswith(" texts of the settings: 0 with a secret in clear")


@pytest.mark.parametrize(
    ("config", "key", "secret"),
    [
        pytest.param(with_model(annotations={"a": f"use {TOKEN}"}), f"{CHAT}.annotations.a", TOKEN, id="by its form"),
        pytest.param(with_model(env={"A_API_KEY": NUMBER}), env("A_API_KEY"), NUMBER, id="a key by its name"),
        pytest.param(with_model(env={"DB_PASSWORD": WORD}), env("DB_PASSWORD"), WORD, id="a password"),
        pytest.param(with_model(engineArgs=[f"--kv-token={WORD}"]), f"{CHAT}.engineArgs[0]", WORD, id="an argument"),
        pytest.param(
            with_values({"grafana": {"adminPassword": WORD}}), f"{VALUES}.grafana.adminPassword", WORD, id="of a chart"
        ),
        pytest.param(with_model(env={"REDIS_URL": f"redis://:{WORD}@host"}), env("REDIS_URL"), WORD, id="address"),
        pytest.param(with_model(env={"OPENAI_KEY": WORD}), env("OPENAI_KEY"), WORD, id="a key of a service"),
        pytest.param(with_model(env={"DB_PASS": WORD}), env("DB_PASS"), WORD, id="a password, cut short"),
        pytest.param(
            with_model(engineArgs=["--db-password", WORD]), f"{CHAT}.engineArgs[1]", WORD, id="a flag and its value"
        ),
        pytest.param(
            with_values({"env": [{"name": "DB_PASSWORD", "value": WORD}]}), f"{VALUES}.env[0].value", WORD, id="by name"
        ),
        pytest.param(with_values({"a": [{"b": {"token": WORD}}]}), f"{VALUES}.a[0].b.token", WORD, id="in a list"),
    ],
)
def test_a_secret_in_clear_is_refused_and_not_shown(config: dict[str, Any], key: str, secret: str) -> None:
    claim = claim_on(claims, config, "stack")
    assert claim.verdict is Verdict.REFUSED
    assert claim.arithmetic[1:] == (f"{key}: reads like a secret, which is not shown here",)
    assert claim.change is not None
    assert claim.change.startswith(f"{key} taken out and revoked")
    assert secret not in json.dumps([claim.sentence, *claim.arithmetic, claim.change])


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(with_model(env={"TOKENIZERS_PARALLELISM": "no"}), id="TOKENIZERS_PARALLELISM"),
        pytest.param(with_model(env={"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}), id="a switch"),
        pytest.param(with_model(env={"MAX_TOKEN": "4096"}), id="a number"),
        pytest.param(with_model(env={"SSL_PRIVATE_KEY": "/etc/tls/tls.key"}), id="a path"),
        pytest.param(with_model(env={"A_TOKEN": "$(OTHER)"}), id="another variable"),
        pytest.param(with_model(engineArgs=["--max-token=12"]), id="an argument with a number"),
        pytest.param(with_values({"grafana": {"admin": {"existingSecret": "grafana"}}}), id="a Secret's name"),
        pytest.param(with_model(env={"EOS_TOKEN": "</s>", "PAD_TOKEN": "!", "IMAGE_TOKEN": "<|image|>"}), id="marks"),
        pytest.param(with_model(env={"SSH_PUBLIC_KEY": "ssh-rsa x", "SORT_KEY": "name"}), id="keys of nothing"),
        pytest.param(with_model(env={"REDIS_URL": "redis://:$(PASSWORD)@host"}), id="an address with a variable"),
        pytest.param(
            with_model(annotations={"vault.hashicorp.com/agent-inject-secret-hf-token": "secret/data/hf"}), id="Vault's"
        ),
        pytest.param(with_model(engineArgs=["--db-token", "--seed"]), id="a flag without its value"),
        pytest.param(with_values({"auth": {"passwordSecretName": "x", "tokenRef": "y"}}), id="references"),
    ],
)
def test_what_only_has_the_word_in_it_is_no_secret(config: dict[str, Any]) -> None:
    assert claim_on(claims, config, "stack").verdict is Verdict.PROVED
