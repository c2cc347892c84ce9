"""The corpus of mistakes: every one is refused before anything is touched, and no good stack is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pulumi
import pytest
import yaml

from claims import Verdict
from components.settings import SettingsError, parse
from components.settings.schema import SCHEMA_FILE
from components.settings.stack import REGION_KEY
from tests.components.program import Recorder, run_program
from tests.components.samples import raw
from tests.figures import FIGURES
from tests.mistakes.corpus import (
    BAD,
    CLAIM,
    GOOD,
    caught_by,
    claims_in,
    configuration,
    refusals,
    refusals_of,
    said,
    secrets,
    settings_in,
)

REFUSED = "mistakes of the corpus refused before anything is touched"
MENDED = "mistakes of the corpus mended by what their refusal says to do"
PASSED = "good stacks of the corpus that pass"
SCHEMA = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
# What a refusal says to set, as a command or as the change of a claim, whose first alternative is the smallest.
COMMAND = re.compile(r"pulumi config set --path (?:'(?P<quoted>[^']+)'|(?P<plain>\S+)) (?P<value>'[^']*'|\S+)$")
CHANGE = re.compile(r"inference:(?P<path>\S+) (?P<value>\d+(?:\.\d+)?|\d+[GM]i)(?=$| \(or |; | and | or )")


def each_of(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def test_the_corpus_is_as_large_as_was_asked() -> None:
    assert len(BAD) >= 60
    assert len(GOOD) >= 25


def test_each_says_what_it_is_about_and_is_unlike_all_others() -> None:
    texts = {path.stem: said(path) for path in (*BAD, *GOOD)}
    assert [name for name, text in texts.items() if len(text.split()) < 4] == []
    assert len(set(texts.values())) == len(texts)
    assert len({json.dumps(configuration(path), sort_keys=True) for path in (*BAD, *GOOD)}) == len(texts)


@each_of(BAD)
def test_a_mistake_is_refused_by_what_it_names_and_by_nothing_else(path: Path, tmp_path: Path) -> None:
    expected, found = caught_by(path), refusals(path, tmp_path)
    assert expected
    matched = [
        each
        for each in expected
        if any(line == each if each.startswith(CLAIM) else line.startswith(each) for line in found)
    ]
    assert matched == expected, found
    assert len(found) == len(expected), found


@each_of(BAD)
def test_a_mistake_ends_the_program_before_any_resource(path: Path) -> None:
    seen: list[Recorder] = []
    with pytest.raises(pulumi.RunError, match="nothing was changed"):
        run_program(configuration(path), secrets=secrets(path), seen=seen, checked=True)
    assert {each.type for each in seen[0].registrations} <= {"pulumi:pulumi:Stack"}
    FIGURES[REFUSED] += 1


def test_what_a_refusal_says_to_set_mends_the_stack(tmp_path: Path) -> None:
    """Where it says a value at all: often it is for people to decide, which is half of the corpus at most."""
    left: dict[str, list[str]] = {}
    for path in BAD:
        advice = _advice(path, tmp_path)
        if advice is not None:
            left[path.stem] = _refusals_after(path, *advice)
    assert {name: lines for name, lines in left.items() if lines} == {}
    assert len(left) > len(BAD) / 2
    FIGURES[MENDED] += len(left)


def _refusals_after(path: Path, key: str, value: Any) -> list[str]:
    config = configuration(path)
    _set(config, key, value)
    try:
        return refusals_of(parse(raw(config), frozenset(secrets(path))))
    except SettingsError as error:
        return list(map(str, error.mistakes))


def _advice(path: Path, folder: Path) -> tuple[str, Any] | None:
    lines = refusals(path, folder)
    if lines[0].startswith(CLAIM):
        refused = [claim for claim in claims_in(path, folder) if claim.verdict is Verdict.REFUSED]
        match = CHANGE.match(refused[0].change or "")
        return (match["path"], yaml.safe_load(match["value"])) if match else None
    command = COMMAND.search(lines[0])
    if command is None:
        return None
    key = (command["quoted"] or command["plain"]).removeprefix("inference:")
    return key, yaml.safe_load(command["value"].strip("'"))


def _set(config: dict[str, Any], path: str, value: Any) -> None:
    steps = [int(index) if index else step for step, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path)]
    node: Any = config
    *parents, last = (path,) if path == REGION_KEY else steps
    for step in parents:
        node = node[step] if isinstance(step, int) else node.setdefault(step, {})
    node[last] = value


@each_of(GOOD)
def test_a_good_stack_is_proved_or_unproven_and_its_program_runs(path: Path, tmp_path: Path) -> None:
    assert refusals(path, tmp_path) == []
    recorder = run_program(configuration(path), secrets=secrets(path), checked=True)
    models = {each.name for each in recorder.of("InferenceServer")}
    assert models == set(settings_in(path, tmp_path).models)
    FIGURES[PASSED] += 1


@each_of(GOOD)
def test_editors_take_a_good_stack(path: Path) -> None:
    SCHEMA.validate(yaml.safe_load(path.read_text()))
