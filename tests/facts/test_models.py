"""The lists of models' files that ship, and which files of a list the seeder takes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weight_seeder.files import Selection

from components.facts import models
from components.settings import parse_source
from rehearsal.hub import model as hub

TINY = f"hf://{hub.REPOSITORY}@{hub.commit()}"


def test_the_rehearsals_own_model_is_listed_as_its_hub_has_it() -> None:
    assert models.files(TINY) == {name: len(content) for name, content in hub.files()}, (
        "renew it with: make model-facts STACK=local MODEL=chat ENDPOINT=http://127.0.0.1:<the hub's port>"
    )


def test_the_data_are_lists_of_sources_in_the_order_and_form_that_they_are_written_in() -> None:
    known = json.loads(models.DATA.read_text())
    data = {source: entry["files"] for source, entry in known.items() if "files" in entry}
    configs = {source: entry["config"] for source, entry in known.items() if "config" in entry}
    assert models.DATA.read_text() == models.render(data, configs)
    for source, files in data.items():
        assert parse_source(source).scheme != "image"
        assert all(isinstance(size, int) and size >= 0 for size in files.values())
        assert not any(path.startswith("/") or ".." in path.split("/") for path in files)


def test_a_source_that_nobody_listed_is_not_known() -> None:
    assert models.files("s3://weights/llm") is None
    assert models.config("s3://weights/llm") == {}


def test_a_shape_is_that_of_every_revision_and_a_revisions_own_word_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = f"hf://owner/name@{'1' * 40}"
    configs = {"hf://owner/name": {"heads": 32, "layers": 4}, pinned: {"heads": 16}}
    (tmp_path / "models.json").write_text(models.render({pinned: {"a": 1}}, configs))
    monkeypatch.setattr(models, "DATA", tmp_path / "models.json")
    monkeypatch.setattr(models, "_data", models._data.__wrapped__)
    monkeypatch.setattr(models, "_configs", models._configs.__wrapped__)
    assert models.config(f"hf://owner/name@{'2' * 40}") == {"heads": 32, "layers": 4}
    assert models.config(pinned) == {"heads": 16, "layers": 4}
    assert models.config(f"hf://owner/name-2@{'1' * 40}") == {}
    assert models.files(pinned) == {"a": 1}
    assert models.files("hf://owner/name") is None


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("model.safetensors", True),
        ("original/model.safetensors", False),
        ("tokenizer/vocab.json", False),
        ("onnx/model.json", True),
        ("consolidated.safetensors", False),
        ("MODEL.SAFETENSORS", False),
    ],
)
def test_a_pattern_without_a_slash_is_for_files_at_the_top(path: str, *, taken: bool) -> None:
    include, exclude = ("*.safetensors", "*.json", "onnx/*"), ("consolidated*",)
    assert (models.selected({path: 1}, include, exclude) == {path: 1}) is taken


def test_without_a_pattern_every_file_is_taken() -> None:
    assert models.selected({"a": 1, "b/c": 2}, (), ("a",)) == {"b/c": 2}


PATTERNS = st.lists(st.text("ab./*?[]", max_size=6), max_size=3)


@given(path=st.text("ab./A", min_size=1, max_size=8), include=PATTERNS, exclude=PATTERNS)
def test_the_program_selects_the_very_files_that_the_seeder_does(
    path: str, include: list[str], exclude: list[str]
) -> None:
    seeder = Selection(include=include, exclude=exclude)
    assert bool(models.selected({path: 1}, include, exclude)) is seeder.takes(path)


def test_the_facts_cost_a_preview_next_to_nothing() -> None:
    models._data.cache_clear()
    begun = time.perf_counter()
    models.files(TINY)
    assert time.perf_counter() - begun < 0.01
    unread = "import components.settings, components.facts.models as m; print(m._data.cache_info().currsize)"
    assert subprocess.check_output([sys.executable, "-c", unread], text=True) == "0\n"
