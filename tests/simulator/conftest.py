"""The model that engines load in these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal import vllm
from rehearsal.hub import model
from rehearsal.places import Places

collect_ignore = [] if vllm.installed(Places.of_user()) else ["test_against_vllm.py"]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model, as it lies on a volume."""
    folder = tmp_path_factory.mktemp("weights") / "tiny-llama"
    model.write(folder)
    return folder
