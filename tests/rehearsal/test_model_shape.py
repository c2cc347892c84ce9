"""The shape of a model from its config.json, wherever that can be read."""

from __future__ import annotations

import json
from pathlib import Path

from components.facts import models
from components.settings import parse_source
from rehearsal.hub import model
from rehearsal.model_shape import shape
from tests.hub.hubs import running
from tests.simulator.engines import free_port

PIN = "sha256:" + "ab" * 32
HUB = parse_source(f"hf://{model.REPOSITORY}@{'6bbb9a4933d7c55a4f22f84cd91c58a8a8b30427'}")


def test_of_a_folder_it_is_read_where_the_folder_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "models/chat").mkdir(parents=True)
    (tmp_path / "models/chat/config.json").write_text(json.dumps({"num_attention_heads": 32}))
    source = parse_source(f"file:///models/chat@{PIN}")
    assert shape(source, endpoint=None, read_from=str(tmp_path)) == {"heads": 32}


def test_of_a_hub_it_is_read_at_the_commit(tmp_path: Path) -> None:
    model.write(tmp_path / model.REPOSITORY)
    with running(tmp_path) as hub:
        told = shape(HUB, endpoint=hub.url, read_from=None)
    assert told == models.config(f"hf://{model.REPOSITORY}@{HUB.revision}")
    assert (told["heads"], told["kvHeads"], told["parameters"]) == (4, 2, 8_519_680)


def test_where_nobody_tells_nothing_is_known(tmp_path: Path) -> None:
    assert shape(HUB, endpoint=f"http://127.0.0.1:{free_port()}", read_from=None) == {}
    assert shape(parse_source(f"file:///nowhere@{PIN}"), endpoint=None, read_from=str(tmp_path)) == {}
    assert shape(parse_source("s3://weights/llm"), endpoint=None, read_from=None) == {}
