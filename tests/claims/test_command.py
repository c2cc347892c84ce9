"""`python -m claims`: what it writes, how it ends, and that nobody waits for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from claims.__main__ import CHECKOUT, main
from tests.components.samples import SMALLEST, changed, full

ACCEPT = "a stack for tests, of which nobody asks anything"


def written(folder: Path, config: dict[str, Any], name: str = "lab") -> Path:
    """A folder with the stack's file."""
    document = {"config": {full(key): value for key, value in config.items()}, "encryptionsalt": "v1:abc"}
    (folder / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump(document))
    return folder


def refused_ids(out: str) -> set[str]:
    return {each["id"] for each in json.loads(out) if each["verdict"] == "refused"}


@pytest.mark.parametrize("stack", ["dev", "prod", "local"])
def test_no_stack_that_ships_has_a_claim_that_is_refused(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--stack", stack])
    said = capsys.readouterr()
    assert code == 0, said.out
    assert said.err == ""


@pytest.mark.parametrize("stack", ["dev", "prod", "local"])
def test_every_model_that_ships_fits_by_facts(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--stack", stack, "--json"])
    fits = [each for each in json.loads(capsys.readouterr().out) if each["id"] == "fits"]
    assert fits
    assert {each["verdict"] for each in fits} == {"proved"}


def test_the_cost_of_a_stack_is_one_line_and_what_has_no_price_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--stack", "prod"])
    *_, cost = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"cost an hour, at least and at most: \$\d+\.\d\d to \$\d+\.\d\d", cost)
    main(["--stack", "local"])
    assert "of none of its nodes is a price known" in capsys.readouterr().out.splitlines()[-1]


def test_the_arithmetic_that_the_readme_shows_is_that_of_its_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = yaml.safe_load((CHECKOUT / "Pulumi.dev.yaml").read_text())
    document["config"]["inference:models"]["chat"]["concurrency"] = 32
    (tmp_path / "Pulumi.lab.yaml").write_text(yaml.safe_dump(document))
    assert main(["--stack", "lab"], tmp_path) == 1
    told = [line.strip() for line in capsys.readouterr().out.splitlines()]
    shown = re.search(r"    fits:models\.chat (is refused.*?)\n\n", (CHECKOUT / "README.md").read_text(), re.DOTALL)
    assert shown
    first, *lines = (line.strip() for line in shown[1].splitlines())
    assert f"fits {first}" in told
    assert lines == told[told.index(f"fits {first}") + 1 :][: len(lines)]


def test_a_refused_claim_ends_with_1_and_an_accepted_one_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--stack", "lab", "--json"], written(tmp_path, SMALLEST)) == 1
    refused = refused_ids(capsys.readouterr().out)
    assert "fits" in refused
    accepting = changed(SMALLEST, "claims", {"accept": dict.fromkeys(refused, ACCEPT)})
    assert main(["--stack", "lab"], written(tmp_path, accepting)) == 0
    assert f"accepted: {ACCEPT}" in capsys.readouterr().out


def test_an_acceptance_of_nothing_ends_with_1_and_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--stack", "lab", "--json"], written(tmp_path, SMALLEST))
    refused = refused_ids(capsys.readouterr().out)
    accept = dict.fromkeys([*refused, "scales:models.gone"], ACCEPT)
    assert main(["--stack", "lab"], written(tmp_path, changed(SMALLEST, "claims", {"accept": accept}))) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('inference:claims.accept["scales:models.gone"]: is no claim on this stack')


@pytest.mark.parametrize(
    ("form", "part"),
    [
        ("--json", ' "id": "fits",\n  "subject": "models.chat",\n  "verdict": "proved",'),
        ("--markdown", "**Claims**: "),
        ("--all", "      KV cache of a token: 2 layers x 2 x 2 KV heads x 64 x 2 B = 1,024 B\n"),
    ],
)
def test_it_writes_what_it_is_asked_for(form: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--stack", "local", form])
    assert part in capsys.readouterr().out


def test_mistakes_of_the_settings_are_told_as_by_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--stack", "lab"], written(tmp_path, changed(SMALLEST, "models.chat.pool", "l40"))) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith('inference:models.chat.pool: "l40" is no GPU pool; allowed: ')


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "there is no Pulumi.lab.yaml; allowed: other"),
        ("config: [", "Pulumi.lab.yaml: while parsing a flow node"),
        ("config: [1]", "Pulumi.lab.yaml: config is no map of settings by key"),
        ("", "Pulumi.lab.yaml: config is no map of settings by key"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    text: str | None, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Pulumi.other.yaml").write_text("")
    if text is not None:
        (tmp_path / "Pulumi.lab.yaml").write_text(text)
    assert main(["--stack", "lab"], tmp_path) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(line)


@pytest.mark.parametrize(
    "value",
    [
        "{created: 2026-01-01}", "!!set {a, b}", "!!binary aGk=", "{2026-01-01: x}", "2026-13-45", "!!int x",
        "&a {b: *a}",
        "!!timestamp x", "!!bool maybe", "2026-01-01", ".nan", "!!omap [a: 1]", "{1: x, null: y}", "!x y",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["annotations", "env", "replicas"])
def test_no_value_that_yaml_has_ends_in_a_traceback(
    key: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (written(tmp_path, SMALLEST) / "Pulumi.lab.yaml").read_text()
    assert text.count("    chat:\n") == 1
    (tmp_path / "Pulumi.lab.yaml").write_text(text.replace("    chat:\n", f"    chat:\n      {key}: {value}\n"))
    assert main(["--stack", "lab"], tmp_path) == 1
    said = capsys.readouterr()
    assert said.out or all(line.startswith(("inference:", "Pulumi.lab.yaml: ")) for line in said.err.splitlines())
    assert said.out or said.err


def test_a_file_that_is_no_utf_8_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Pulumi.lab.yaml").write_bytes(b"config:\n  a: \xff\n")
    assert main(["--stack", "lab"], tmp_path) == 1
    assert capsys.readouterr().err == "Pulumi.lab.yaml: is not UTF-8 at byte 13\n"


def test_a_secret_is_neither_needed_nor_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ciphertext = "v1:5b1GqO3Xb0k=:do-not-show"
    main(["--stack", "lab"], written(tmp_path, SMALLEST | {"hfToken": {"secure": ciphertext}}))
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith("claims: ")
    assert "do-not-show" not in said.out


def test_it_loads_none_of_what_takes_long() -> None:
    """The package `pulumi_kubernetes` itself is light: its modules come when they are asked for."""
    heavy = ("pulumi_aws", "pulumi_kubernetes.core.v1", "rehearsal", "jinja2", "rich")
    imports = f"import sys, claims.__main__; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.check_output([sys.executable, "-c", imports], cwd=CHECKOUT, text=True)
    assert said == "[]\n"
