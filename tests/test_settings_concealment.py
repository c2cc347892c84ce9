"""Secrets where none belong: whatever is wrong with a setting, no message shows one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any

import pytest

from components.settings import SettingsError, parse
from components.settings.concealment import masked
from tests.components.samples import AWS_ATTACHED, AWS_CREATED, CUSTOM, changed, raw

# Made up, each as long as the real ones are.
SECRETS = {
    "token of the hub": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZ01234567",
    "key id of AWS": "AKIA" + "IOSFODNN7EXAMPLE",
    "secret key of AWS": "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY",
    "key of NVIDIA": "nvapi-" + "AbCd_0123456789-efGhIjKlMnOpQrStUvWxYz",
    "API key": "sk-" + "proj-AbCd0123456789EfGhIjKl",
    "token of GitHub": "ghp_" + "AbCd0123456789EfGhIjKlMnOpQrStUvWxYz",
    "login of registries": '{"auths": {"ghcr.io": {"auth": "dXNlcjpodW50ZXIyaHVudGVyMg=="}}}',
}
CONFIGS = {"custom": CUSTOM, "created": AWS_CREATED, "attached": AWS_ATTACHED}
PASSWORD = "dXNlcjpodW50ZXIyaHVudGVyMg=="


def places(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something may be pasted: every key, of a section as well."""
    if path:
        yield path
    pairs = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    for key, value in pairs:
        yield from places(value, (*path, key))


def with_value(tree: Any, path: tuple[str | int, ...], value: object) -> Any:
    if not path:
        return value
    copied: Any = dict(tree) if isinstance(tree, Mapping) else list(tree)
    copied[path[0]] = with_value(copied[path[0]], path[1:], value)
    return copied


def said(config: dict[str, Any]) -> str:
    try:
        parse(raw(config))
    except SettingsError as error:
        return str(error)
    return ""


def everywhere(tree: Any, secret: str) -> Any:
    """The tree with a secret in the place of every value that is no section."""
    if isinstance(tree, Mapping):
        return {key: everywhere(value, secret) for key, value in tree.items()}
    return [everywhere(value, secret) for value in tree] if isinstance(tree, list | tuple) else secret


def shown(line: str) -> list[str]:
    """The secrets that a line shows, as they are or as JSON has them."""
    forms = [*SECRETS.values(), *(json.dumps(secret)[1:-1] for secret in SECRETS.values()), PASSWORD]
    return [secret for secret in forms if secret in line]


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_secret_in_every_key_at_once_is_in_no_message(config: dict[str, Any], secret: str) -> None:
    line = said(everywhere(config, secret))
    assert len(line.splitlines()) > 5
    assert shown(line) == []


def test_a_secret_in_the_place_of_any_key_or_section_is_in_no_message() -> None:
    secrets = cycle(SECRETS.values())
    for path in places(CUSTOM):
        secret = next(secrets)
        for pasted in (secret, [{secret: secret}]):
            line = said(with_value(CUSTOM, path, pasted))
            assert shown(line) == [], (path, line)


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_line_that_hides_a_secret_says_what_to_do_with_it(secret: str) -> None:
    line = said(changed(CUSTOM, "models.chat.weights.credentials", secret))
    assert line.startswith("inference:models.chat.weights.credentials: ")
    assert line.endswith(
        "; what is *** here looks like a secret, and stands in clear in the stack file: take it out and revoke it; "
        "what signs in is a Secret: weights.credentials, or inference:hfToken"
    )
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("secret", list(SECRETS.values())[:-1], ids=list(SECRETS)[:-1])
def test_a_secret_as_a_key_a_branch_or_a_tag_is_in_no_message(secret: str) -> None:
    # None of these is a value that is quoted: they are in the key's path, the problem, or the way out.
    for key, value in {
        f"models.chat.{secret.replace('.', '')}": 1,
        "models.chat.source": f"hf://owner/name@{secret}",
        "models.chat.weights.nodeSelector": {secret: {secret: 1}},
        "models.chat.env": {f"{secret} ": "1"},
    }.items():
        line = said(changed(CUSTOM, key, value))
        assert "***" in line, line
        assert shown(line) == [], line


@pytest.mark.parametrize("part", ["source", "image", "pool"])
def test_a_secret_within_a_longer_value_is_hidden_before_the_value_is_cut(part: str) -> None:
    token = SECRETS["token of the hub"]
    for before in range(60, 78, 2):
        line = said(changed(CUSTOM, f"models.chat.{part}", f"{'x' * before} {token}"))
        assert token[:6] not in line


@pytest.mark.parametrize(
    "text",
    [
        "hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659",
        "HF://META-LLAMA/X@0E9E39F249A16976918F6564B8830BC894C89659",
        "oci://ghcr.io/team/llama@sha256:" + "ab" * 32,
        "task-runner-of-the-team, disk-0123456789, hf_cache_dir, hf_home, ASIA-PACIFIC-1, eyJ",
        "NVIDIA-H100-80GB-HBM3, subnet-0123456789abcdef0, arn:aws:iam::123456789012:role/admin",
        "s3://123456/a+b/Meta/Llama",
    ],
)
def test_what_is_no_secret_is_shown(text: str) -> None:
    assert masked(text) == text
