"""Keys that clients have to show: where they are, and above all where they are not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.settings import SettingsError, parse
from tests.components.program import Recorder, plain, public, run_program
from tests.components.samples import SMALLEST, changed, raw

OLD, NEW = "old-0123456789abcdefghij", "new_0123456789abcdefghij"
FILE = "/etc/inference/api-keys/config.yaml"
KEY = "inference:apiKeys"


def with_keys(*keys: str, config: dict[str, Any] = SMALLEST) -> Recorder:
    return run_program(config | {"apiKeys": " ".join(keys)}, secrets=["apiKeys"])


@pytest.fixture(scope="module")
def kept() -> Recorder:
    return with_keys(OLD, NEW)


def pod(recorder: Recorder) -> dict[str, Any]:
    found: dict[str, Any] = plain(recorder.one("Deployment").inputs)["spec"]["template"]["spec"]
    return found


def mistakes(text: str, config: dict[str, Any] = SMALLEST, secrets: frozenset[str] = frozenset({"apiKeys"})) -> str:
    with pytest.raises(SettingsError) as error:
        parse(raw(config) | {"apiKeys": text}, secrets)
    return str(error.value)


def test_the_engine_reads_all_keys_from_a_file_of_a_secret_that_never_changes(kept: Recorder) -> None:
    secret = plain(kept.one("Secret").inputs)
    assert secret["immutable"] is True
    assert secret["stringData"].keys() == {"config.yaml"}
    # JSON is YAML, and the startup probe has no library for the latter.
    assert json.loads(secret["stringData"]["config.yaml"]) == {"api-key": [OLD, NEW]}
    (engine,) = pod(kept)["containers"]
    assert engine["args"][engine["args"].index("--config") + 1] == FILE
    assert {"name": "api-keys", "mountPath": "/etc/inference/api-keys", "readOnly": True} in engine["volumeMounts"]
    (volume,) = [each for each in pod(kept)["volumes"] if each["name"] == "api-keys"]
    assert volume["secret"] == {
        "secretName": secret["metadata"]["name"],
        "items": [{"key": "config.yaml", "path": "config.yaml"}],
    }


def test_the_startup_probe_shows_a_key_of_that_file(kept: Recorder) -> None:
    (engine,) = pod(kept)["containers"]
    assert engine["startupProbe"]["exec"]["command"][-1] == FILE


def test_no_key_is_anywhere_in_clear(kept: Recorder) -> None:
    texts = [public(each.inputs) for each in kept.registrations]
    texts += [public(output) for output in kept.outputs.values()]
    texts += [each.urn for each in kept.registrations]
    assert not any(key in text for key in (OLD, NEW) for text in texts)


def test_other_keys_are_another_secret_and_roll_the_replicas(kept: Recorder) -> None:
    """Its name is new in Kubernetes and in Pulumi, so that the one before is deleted after the rollout only."""
    others = {name: with_keys(*keys) for name, keys in {"added": (OLD,), "swapped": (NEW, OLD)}.items()}
    secrets = [each.one("Secret") for each in (kept, *others.values())]
    assert len({each.name for each in secrets}) == len({each.inputs["metadata"]["name"] for each in secrets}) == 3
    assert len({json.dumps(pod(each)["volumes"]) for each in (kept, *others.values())}) == 3
    assert with_keys(OLD, NEW).one("Secret").name == kept.one("Secret").name


def test_a_stack_without_keys_has_no_secret_and_lets_everybody_in() -> None:
    recorder = run_program(SMALLEST)
    assert recorder.of("Secret") + recorder.of("KeySecret") == []
    assert "--config" not in pod(recorder)["containers"][0]["args"]


def test_keys_in_plain_text_are_refused() -> None:
    assert mistakes(OLD, secrets=frozenset()) == (
        f"{KEY}: is stored in plain text; allowed: a secret; give up those keys and set new ones with: "
        f"pulumi config set --secret {KEY}"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no key"),
        (" \n", "holds no key"),
        (f"{OLD} abcdefgh", "holds a key of 8 characters, which may be guessed"),
        (f"--{OLD}", "holds a key with characters that no header can carry, or a hyphen in front"),
        (f"{OLD},{NEW}", "holds a key with characters that no header can carry, or a hyphen in front"),
        (f'["{OLD}"]', "holds a key with characters that no header can carry, or a hyphen in front"),
        (f"{OLD} {OLD}", "holds a key twice"),
    ],
)
def test_keys_that_would_not_do_are_refused_and_not_shown(text: str, problem: str) -> None:
    found = mistakes(text)
    assert found.startswith(f"{KEY}: {problem}; allowed: keys between spaces, each of at least 20 letters")
    assert "0123456789" not in found
    assert "abcdefgh" not in found


def test_every_mistake_in_the_keys_comes_at_once() -> None:
    assert len(mistakes("short -but-much-longer-than-that short").splitlines()) == 3


def test_what_a_stack_file_holds_encrypted_is_not_taken_for_a_key() -> None:
    encrypted = json.dumps({"secure": "v1:uWW5WCQIPsQ=:v1:IUjT6ZO2yD3EwpBh"})
    parse(raw(SMALLEST) | {"apiKeys": encrypted}, frozenset({"apiKeys"}), decrypted=False)


def test_an_engine_that_cannot_ask_for_keys_is_refused_by_its_name() -> None:
    ollama = changed(changed(SMALLEST, "models.chat.engine", "ollama"), "models.chat.source", "image:///models")
    assert f"{KEY}: protects no model chat: Ollama asks for no key" in mistakes(OLD, ollama)
