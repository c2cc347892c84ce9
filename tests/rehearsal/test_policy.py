"""Which policies a preview is under."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inference_policy.pack import RULES

from rehearsal import policy, stack
from rehearsal.fault import Fault
from rehearsal.places import CHECKOUT


def test_a_preview_is_under_the_pack_and_the_exceptions_of_its_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("POLICY", raising=False)
    pack = str(CHECKOUT / "policy")
    assert policy.options("local") == ("--policy-pack", pack, "--policy-pack-config", f"{pack}/local.json")
    assert policy.options("mine") == ("--policy-pack", pack)


def test_the_pack_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLICY", "none")
    assert policy.options("local") == ()


def test_another_choice_is_refused_with_those_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLICY", "off")
    with pytest.raises(Fault, match=r"^POLICY: 'off'; allowed: pack \(the default\), none; run: make preview "):
        policy.options("dev")


@pytest.mark.parametrize("path", sorted(policy.PACK.glob("*.json")), ids=lambda path: path.stem)
def test_exceptions_name_stacks_policies_and_settings_that_there_are(path: Path) -> None:
    assert path.stem in stack.names()
    settings = {rule.name: {*rule.settings, "enforcementLevel"} for rule in RULES}
    for key, given in json.loads(path.read_text()).items():
        assert set(given) <= settings[key]
